// Curves of a run at a node that has no folder of it, asked of a real coordinator over HTTP.

import { expect, test } from "vitest";
import {
  FarHistories,
  type FarHistoriesOptions,
  MOST_FAR_BYTES,
} from "../../../coordinator/dashboard/far-histories.ts";
import { historyRequestSchema } from "../../../coordinator/dashboard/histories.ts";
import { startTestRun, workToTheEnd } from "../../fixtures/test-run.ts";

const request = historyRequestSchema.parse({ series: ["loss.task", "score"], points: 100 });

test("O18 curves of a run whose folder is elsewhere are those of its coordinator, asked once a second for all; without it they are RUN_UNREACHABLE", async () => {
  const started = await startTestRun({ maxSteps: 2, linger: true });
  const { dashboardToken } = started.run.directory;
  let now = 0;
  let asked = 0;
  let step = 0;
  const base = new URL("/", started.straightUrl).href;
  const options: FarHistoriesOptions = {
    address: () => base,
    token: () => dashboardToken,
    fetch: (url, init) => {
      asked++;
      return fetch(url, init);
    },
    step: () => step,
    now: () => now,
  };
  const far = new FarHistories(options);
  void workToTheEnd(started, 1).catch(() => undefined);
  await expect.poll(() => started.coordination.server && started.jsonLines.length).toBeGreaterThanOrEqual(2);
  const told = async () => JSON.parse(String((await far.answer(request)).plain));
  await expect
    .poll(async () => {
      now += 1000;
      return (await told()).steps;
    })
    .toEqual([1, 2]);
  const before = asked;
  const answers = await Promise.all([told(), told(), told()]);
  expect(asked).toBe(before);
  const [{ loss }] = started.jsonLines.map((line) => JSON.parse(line));
  expect(answers[0].series["loss.task"].mean[0]).toBeCloseTo(loss.task, 6);
  expect((await far.list()).runs).toContainEqual(expect.objectContaining({ run: "run", own: true }));
  expect(await far.grew()).toBe(false);
  step = 2;
  expect([await far.grew(), await far.grew()]).toEqual([true, false]);

  const refused = (change: Partial<FarHistoriesOptions>, why: RegExp) =>
    expect(new FarHistories({ ...options, ...change }).answer(request)).rejects.toMatchObject({
      code: "RUN_UNREACHABLE",
      message: expect.stringMatching(why),
    });
  await refused({ address: () => undefined }, /nobody has said yet where it is/);
  await refused({ token: () => "wrong" }, /it answers with 403/);
  await refused({ address: () => "http://127.0.0.1:1/" }, /cannot be asked \(fetch failed\)/);
  const piece = new Uint8Array(2 ** 20);
  const endless = new ReadableStream({ pull: (controller) => controller.enqueue(piece) });
  await refused(
    { fetch: async () => new Response(endless) },
    new RegExp(`longer than ${MOST_FAR_BYTES / 2 ** 20} MiB`),
  );
});
