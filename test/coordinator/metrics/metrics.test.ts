// What a run tells machines: its metrics in a format that is read here by its own rules, to whom, and that it names
// nobody; and whether it lives and takes workers.

import { expect, test } from "vitest";
import type { RunEvent } from "../../../coordinator/engine/run-event.ts";
import { RunMetrics } from "../../../coordinator/metrics/run-metrics.ts";
import { readiness } from "../../../coordinator/server/http-app.ts";
import { workerId } from "../../../shared/base/ids.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { classification } from "../../../shared/tasks/classification.ts";
import { shownScore } from "../../../shared/tasks/task.ts";
import type { RunStatus } from "../../../shared/wire/run-status.ts";
import { readExposition, seriesValue } from "../../fixtures/exposition.ts";
import { trainingStatus } from "../../fixtures/run-status.ts";
import { stepEvent } from "../../fixtures/step-event.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

const status: RunStatus = {
  ...trainingStatus,
  loss: { task: 0.5, total: 0.625 },
  bytesPerWorker: null,
  loopDelayMs: null,
  batchScore: null,
};

/** A run's metrics on a clock that the test turns. */
function metricsOf(vitals: { readonly connected: boolean; readonly rttMs: number | undefined }[] = []) {
  const time = { now: 0, status };
  const metrics = new RunMetrics({
    run: "r",
    config: parseConfig({ name: "fashion" }),
    now: () => time.now,
    status: () => time.status,
    surroundings: () => ({ vitals, uploadBytes: 77, connections: 3 }),
  });
  const families = async () => readExposition((await metrics.text()).text);
  return { metrics, time, families };
}

const none = { down: 0, up: 0 };
const firstStep = stepEvent(1, {
  bytes: {
    down: 10,
    up: 20,
    parameters: { down: 10, up: 0 },
    contributions: { down: 0, up: 20 },
    control: none,
    perWorker: none,
  },
});

/** What a stranger does of each kind. */
function strangersEvents(n: number): RunEvent[] {
  const worker = workerId(`w${n}`);
  const account = n.toString(16).padStart(64, "0");
  const adapter = { vendor: `vendor ${n}`, architecture: "", description: `adapter ${n}`, software: n % 2 === 0 };
  const message = `somebody ${n} said so`;
  return [
    { type: "joined", worker, account, name: `name ${n}`, runtime: "browser", adapter },
    { type: "refused", worker, code: "CONTRIBUTION_OUTLIER", message },
    { type: "returned", worker, reason: `a reason ${n}`, detail: message },
    { type: "requeued", worker, ranges: [], cause: "left" },
    { type: "audited", ranges: [], right: [account], wrong: [] },
    { type: "rests", account, ms: 1000 } as RunEvent,
    { type: "turned-away", code: "TOKEN_INVALID", message, address: `10.0.0.${n}` },
    { type: "left", worker, code: "GONE", message },
  ];
}

test.each([
  ["a_total 1\n", "before HELP"],
  ["# HELP a h\n# TYPE a gauge\nb 1\n", "another family"],
  ["# HELP a h\n# TYPE a gauge\na 1\na 2\n", "twice"],
  ['# HELP a h\n# TYPE a gauge\na{b="c"d="e"} 1\n', "labels"],
  ["# HELP a h\n# TYPE a gauge\na one\n", "no number"],
  ["# HELP a h\n# TYPE a gauge\na 1", "no end"],
])("the format's reader refuses %j", (text, why) => {
  expect(() => readExposition(text)).toThrow(why);
});

test("what happens is counted, and what is so is read when somebody asks", async () => {
  const { metrics, time, families } = metricsOf([
    { connected: true, rttMs: 20 },
    { connected: true, rttMs: 40 },
    { connected: true, rttMs: undefined },
    { connected: false, rttMs: undefined },
  ]);
  metrics.event(firstStep);
  time.now = 2000;
  metrics.event(firstStep);
  metrics.event({ type: "evaluation", step: 2, network: "teacher", score: shownScore(classification.score, 0.8) });
  time.now = 60_000;
  metrics.event(firstStep);
  metrics.event({ type: "undone", step: 9, to: 6, accounts: [], message: "" });
  metrics.event(strangersEvents(1)[0]!);
  const read = await families();
  const of = (name: string, labels?: Record<string, string>) => seriesValue(read, `bitswarm_${name}`, labels);
  expect(of("steps_total")).toBe(3);
  // What lies beyond an evaluation is none of a step's time.
  expect([of("step_duration_seconds_count"), of("step_duration_seconds_sum")]).toEqual([1, 2]);
  expect(of("undone_steps_total")).toBe(3);
  expect(of("worker_traffic_bytes_total", { of: "contributions", direction: "up" })).toBe(60);
  expect(of("workers", { runtime: "browser", adapter: "gpu" })).toBe(1);
  expect(of("leases_returned_total", { reason: "pause" })).toBe(0);
  expect(of("run_state", { state: "training" })).toBe(1);
  expect(of("run_state", { state: "done" })).toBe(0);
  expect(of("step")).toBe(6);
  expect(of("loss", { part: "total" })).toBe(0.625);
  expect(of("score", { network: "teacher" })).toBe(0.8);
  expect(of("sessions", { connection: "lost" })).toBe(1);
  expect(of("round_trip_seconds", { of: "max" })).toBe(0.04);
  expect(of("upload_memory_bytes")).toBe(77);
  expect(of("remaining_seconds")).toBe(192);
  time.status = { ...status, etaSeconds: null, loss: {} };
  const later = await families();
  expect(seriesValue(later, "bitswarm_remaining_seconds")).toBeUndefined();
  expect(seriesValue(later, "bitswarm_loss", { part: "total" })).toBeUndefined();
});

test("metrics name nobody: ten thousand who come, lie and go leave as many series as two", async () => {
  const { metrics, families } = metricsOf();
  const series = async () =>
    (await families()).filter(({ name }) => name.startsWith("bitswarm_")).flatMap(({ samples }) => samples);
  for (const event of [...strangersEvents(1), ...strangersEvents(2)]) metrics.event(event);
  const few = (await series()).length;
  for (let n = 3; n <= 10_000; n++) for (const event of strangersEvents(n)) metrics.event(event);
  const all = await series();
  expect(all).toHaveLength(few);
  expect(few).toBeLessThan(150);
  expect(
    seriesValue([{ name: "", type: "", help: "", samples: all }], "bitswarm_workers_left_total", { code: "GONE" }),
  ).toBe(10_000);
  expect(all.map(({ labels }) => Object.values(labels).join(" ")).join("\n")).not.toMatch(
    /w\d|somebody|name \d|adapter \d|10\.0\.|0{20}/,
  );
});

test("/metrics is for the dashboard's token and the operator's, in the query or behind Bearer, and for no volunteer", async () => {
  const { run, straightUrl, connect } = await startTestRun();
  const worker = await connect().join();
  await worker.answer(await worker.lease());
  const { token, operatorToken, dashboardToken } = run.directory;
  const ask = (query: string, headers: Record<string, string> = {}) =>
    fetch(new URL(`/metrics${query}`, straightUrl), { headers });
  const text = async () => (await ask("", { authorization: `Bearer ${operatorToken}` })).text();
  await expect.poll(async () => seriesValue(readExposition(await text()), "bitswarm_steps_total")).toBe(1);
  const given = await ask(`?token=${dashboardToken}`);
  expect([given.status, given.headers.get("cache-control")]).toEqual([200, "no-store"]);
  expect(given.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
  const families = readExposition(await given.text());
  expect(seriesValue(families, "bitswarm_sessions", { connection: "up" })).toBe(1);
  for (const refused of [
    await ask(""),
    await ask(`?token=${token}`),
    await ask("", { authorization: `Bearer ${token}` }),
  ])
    expect([refused.status, (await refused.json()).code]).toEqual([403, "TOKEN_INVALID"]);
});

test("/healthz and /readyz take no token: a run takes workers until it stops, and is ready when it is full", async () => {
  const { straightUrl, connect, coordination } = await startTestRun({ config: { maxWorkers: 1 } });
  const ask = async (path: string) => {
    const answer = await fetch(new URL(path, straightUrl));
    return [answer.status, await answer.text()];
  };
  expect(await ask("/healthz")).toEqual([200, "alive\n"]);
  expect(await ask("/readyz")).toEqual([200, "ready\n"]);
  const worker = await connect().join();
  await worker.lease();
  expect(await ask("/readyz")).toEqual([200, "full\n"]);
  coordination.stop();
  // It finishes the step that the worker holds.
  expect(await ask("/readyz")).toEqual([503, "stopping\n"]);
  expect(readiness("done", false)).toEqual({ word: "over", status: 503 });
});
