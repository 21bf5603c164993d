// A tab that joins a real run over a store of chunks: they come by range, each once however many epochs and visits, and
// the page says how much of them it keeps.

import { join } from "node:path";
import { expect, test } from "vitest";
import { readReach } from "../../../coordinator/server/reach.ts";
import { visitPage } from "../../fixtures/page-visit.ts";
import { reverseProxy } from "../../fixtures/reverse-proxy.ts";
import { noiseSamples, writeStoreFolder } from "../../fixtures/store-folder.ts";
import { scratchFolder, startTestRun, type TestRun } from "../../fixtures/test-run.ts";

const shape = { h: 28, w: 28, c: 1 };
const samples = { train: noiseSamples(256, shape, 4), val: noiseSamples(64, shape, 4, 3) };

/** Waits until a count has stayed the same for a while. */
async function settled(count: () => number): Promise<void> {
  for (let before = -1; count() !== before; ) {
    before = count();
    await new Promise((resolve) => setTimeout(resolve, 700));
  }
}

test("a tab fetches each chunk of a store once, however many epochs and visits it takes", async () => {
  const store = join(await scratchFolder(), "store");
  const layout = { media: "pixels", mean: [0.5], std: [0.25], classes: 4, chunk: 8, chunksPerShard: 8 } as const;
  await writeStoreFolder(store, { ...layout, shape, splits: samples });
  let run: TestRun | undefined;
  const proxy = await reverseProxy(() => run?.straightUrl ?? "");
  run = await startTestRun({
    config: { data: { kind: "store", store } },
    reach: readReach({ publicUrl: proxy.origin, behindProxy: true }),
    checkSamples: true,
    maxSteps: 10,
  });
  const fetched = () => proxy.asked.filter((path) => path.startsWith("/shards/"));
  const { page, state, errors } = await visitPage(`${run.url}&tune=0`);
  await page.click("#start");
  await state("computing");
  await page.waitForFunction("Number(document.querySelector('#leases').textContent) >= 2");
  // What is under way when a tab is closed was fetched for nothing: here nothing is.
  await page.click("#pause");
  await state("paused");
  await settled(() => fetched().length);
  await page.reload();
  await page.waitForSelector("#start:enabled");
  await page.waitForFunction("/^Keeps [\\d.]+ KiB of images/.test(document.querySelector('#kept').textContent)");
  await page.click("#start");
  await state("ended");
  expect(fetched().length).toBeGreaterThan(10);
  expect(new Set(fetched()).size).toBe(fetched().length);
  for (const path of fetched()) expect(path).toMatch(/^\/shards\/[0-9a-f]{64} bytes=\d+-\d+$/);
  const summary = await run.coordination.done;
  expect(summary.step).toBe(10);
  expect(errors).toEqual([]);
}, 300_000);
