// A run under a path of a site that exists already: programs keep the path of their link, and what it holds goes
// nowhere else on that site.

import { expect, test } from "vitest";
import { readStatus } from "../../../coordinator/program/status-command.ts";
import { readReach } from "../../../coordinator/server/reach.ts";
import { fetchContent, wholeContent } from "../../../worker/content/content-fetch.ts";
import { parseRunUrl } from "../../../worker/platform/node/run-url.ts";
import { runtimePorts } from "../../../worker/platform/runtime-ports.ts";
import { readJoinLink } from "../../../worker/session/join-link.ts";
import { reverseProxy } from "../../fixtures/reverse-proxy.ts";
import { startTestRun, type TestRun } from "../../fixtures/test-run.ts";

async function publishedRun() {
  let run: TestRun | undefined;
  const proxy = await reverseProxy(() => run?.straightUrl ?? "http://127.0.0.1:9/", { prefix: "/lab/bitswarm" });
  run = await startTestRun({ reach: readReach({ publicUrl: `${proxy.origin}/lab/bitswarm`, behindProxy: true }) });
  return { ...run, proxy };
}

test.each([
  ["https://example.org/lab/bitswarm/?token=t", "https://example.org/lab/bitswarm"],
  ["https://example.org/lab/bitswarm?token=t", "https://example.org/lab/bitswarm"],
  ["http://192.0.2.1:8080/?token=t", "http://192.0.2.1:8080"],
  ["http://192.0.2.1:8080?token=t", "http://192.0.2.1:8080"],
])("everything of the link %s lies below %s", (link, base) => {
  expect(readJoinLink(link)).toEqual({ base, token: "t", socketUrl: `${base.replace("http", "ws")}/ws` });
  // For a browser the folder of the page's files needs its slash.
  expect(parseRunUrl(link).href).toBe(`${base}/?token=t`);
});

test.each(["/", ""])(
  "a worker joins, fetches its data and asks for the status by a link whose path ends in %j",
  async (end) => {
    const { connectStranger, proxy, run, url } = await publishedRun();
    const link = url.replace("/?", `${end}?`);
    expect(link).toContain(`${proxy.origin}/lab/bitswarm${end}?token=`);
    const worker = await connectStranger({ via: link }).join();
    expect((await worker.lease()).ranges[0].from).toBe(0);
    const { base, token } = readJoinLink(link);
    const [{ sha256, bytes }] = run.data.dataset.train.shards;
    const from = { base, token, kept: undefined, backoff: { baseMs: 1, capMs: 1 }, ports: runtimePorts() };
    const shard = await fetchContent(wholeContent("shards", sha256, bytes), from, AbortSignal.timeout(5000));
    expect(shard.bytes.length).toBe(bytes);
    expect(await readStatus(link)).toMatchObject({ state: "training" });
    expect(proxy.elsewhere).toEqual([]);
  },
);

test("a link whose path is not the run's is refused with the address that was asked", async () => {
  const { proxy, url } = await publishedRun();
  const wrong = url.replace("/lab/bitswarm/", "/lab/other/");
  await expect(readStatus(wrong)).rejects.toMatchObject({
    code: "RUN_UNREACHABLE",
    message: expect.stringContaining(`${proxy.origin}/lab/other/ answers, but not as a coordinator does (HTTP 404)`),
  });
  expect(proxy.elsewhere).toEqual([expect.stringMatching(/^\/lab\/other\/status\?/)]);
});
