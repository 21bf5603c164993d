// What strangers do over and over has a line a few times, a count each minute and a sum at the end: the log and the
// terminal do not grow with it.

import { stat } from "node:fs/promises";
import { expect, test } from "vitest";
import { printableJson } from "../../../coordinator/base/printable.ts";
import type { RunEvent } from "../../../coordinator/engine/run-event.ts";
import { EventBudget, KIND_LINES, SOURCE_LINES } from "../../../coordinator/program/event-budget.ts";
import { eventLine } from "../../../coordinator/program/progress-text.ts";
import { Timeline } from "../../../coordinator/simulate/timeline.ts";
import { workerId } from "../../../shared/base/ids.ts";
import { below, rawFrame } from "../../fixtures/raw-socket.ts";
import { frameOf, honestContribution } from "../../fixtures/scripted-contribution.ts";
import { newIdentity } from "../../fixtures/scripted-identity.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

const worker = workerId("w7");
const long = "\u0085".repeat(512);
const adapter = { vendor: long, architecture: long, description: long, software: false };

/** Each thing that one stranger does, as the log is told it. */
const strangers: readonly RunEvent[] = [
  { type: "joined", worker, account: "a".repeat(64), name: long, runtime: "node", adapter },
  { type: "calibrated", worker, elapsedMs: 3 },
  { type: "worker-suspended", worker, code: "GONE", message: long },
  { type: "worker-resumed", worker },
  { type: "returned", worker, reason: "error", detail: long },
  { type: "refused", worker, code: "CONTRIBUTION_STALE", message: long },
  { type: "requeued", worker, ranges: [{ from: 0, to: 16 }], cause: "returned" },
  { type: "backed-up", worker, ranges: [{ from: 0, to: 16 }], of: workerId("w1") },
  { type: "rests", account: "a".repeat(64), ms: 1000 },
  { type: "turned-away", code: "TOKEN_INVALID", message: long, address: "203.0.113.7" },
  { type: "left", worker, code: "LEFT", message: long },
];

/** What a budget lets through of these events, each so many milliseconds after the one before. */
function told(events: Iterable<RunEvent>, everyMs: number): RunEvent[] {
  const timeline = new Timeline();
  const lines: RunEvent[] = [];
  const budget = new EventBudget({ clock: timeline.clock("coordinator"), onLine: (event) => lines.push(event) });
  let at = 0;
  for (const event of events) {
    at += everyMs;
    timeline.at(at, "coordinator", () => budget.take(event));
  }
  timeline.at(at + 1, "coordinator", () => budget.close());
  for (let next = timeline.next(); next && lines.at(-1)?.type !== "totals"; next = timeline.next()) next.call();
  return lines;
}

const repeat = function* (count: number, of: (index: number) => Iterable<RunEvent>): Iterable<RunEvent> {
  for (let index = 0; index < count; index++) yield* of(index);
};
const ofType = <T extends RunEvent["type"]>(lines: readonly RunEvent[], type: T) =>
  lines.filter((line): line is Extract<RunEvent, { type: T }> => line.type === type);

test("a stranger who does each thing 1,000 times has a few lines of each, and what has none is counted", () => {
  const lines = told(
    repeat(1000, () => strangers),
    1,
  );
  for (const { type } of strangers) {
    const first = ofType(lines, type).length;
    expect(first).toBeGreaterThanOrEqual(SOURCE_LINES.burst);
    expect(first).toBeLessThanOrEqual(KIND_LINES.burst);
    const rest = ofType(lines, "repeated").filter(({ of }) => of === type);
    expect(first + rest.reduce((sum, { times }) => sum + times, 0)).toBe(1000);
  }
  expect(ofType(lines, "totals")).toEqual([
    { type: "totals", events: Object.fromEntries(strangers.map(({ type }) => [type, 1000])) },
  ]);
  const bytes = lines.reduce((sum, line) => sum + printableJson(line).length, 0);
  expect(bytes).toBeLessThan(1_000_000);
});

test("whoever comes under as many accounts has no more lines than the kind", () => {
  const lines = told(
    repeat(5000, (index) => [
      { type: "joined", worker: workerId(`w${index}`), account: String(index), name: "", runtime: "node", adapter },
      { type: "left", worker: workerId(`w${index}`), code: "LEFT", message: "" },
    ]),
    1,
  );
  expect(ofType(lines, "joined")).toHaveLength(KIND_LINES.burst + Math.floor(10 * KIND_LINES.perSecond));
  expect(ofType(lines, "left").length).toBeLessThan(1.1 * KIND_LINES.burst);
});

test("the first of somebody else has its line beside one who does the same over and over", () => {
  const other = workerId("w8");
  const lines = told(
    [
      { type: "joined", worker: other, account: "b", name: "", runtime: "node", adapter },
      ...repeat(1000, () => strangers.slice(0, 2)),
      { type: "calibrated", worker: other, elapsedMs: 4 },
    ] as RunEvent[],
    1,
  );
  expect(ofType(lines, "calibrated").at(-1)).toMatchObject({ worker: other });
});

test("in an hour of it there are some lines a minute, each followed by the count of those that have none", () => {
  const lines = told(
    repeat(3600, () => strangers.slice(0, 1)),
    1000,
  );
  const counts = ofType(lines, "repeated");
  expect(counts.length).toBeGreaterThanOrEqual(59);
  expect(lines.length).toBeLessThan(60 * 2 + 2 * KIND_LINES.burst);
  expect(eventLine(counts[30])).toMatch(/^and \d\d more in the last 1 min 0 s: workers that joined$/);
});

test("what the run itself does always has its line", () => {
  const own: RunEvent = { type: "evaluation", step: 1, network: "student", score: {} as never };
  expect(
    ofType(
      told(
        repeat(5000, () => [own]),
        1,
      ),
      "evaluation",
    ),
  ).toHaveLength(5000);
});

test("a run's log has at most 200 KiB of what a stranger does 150 times each, and its first and its sum", async () => {
  const terminal: string[] = [];
  const { connect, coordination, events, run } = await startTestRun({
    config: { trust: { joinsPerMinute: 100_000 } },
    limits: { messageRate: { perSecond: 1e6, burst: 1e6 }, failures: 1e6, graceMs: 1 },
    terminal: { write: (text) => terminal.push(String(text)) > 0 },
  });
  const times = 150;
  const each = async (act: (index: number) => Promise<unknown>) => {
    for (let index = 0; index < times; index++) await act(index);
  };
  await each(async () => {
    const silent = await connect().opened();
    silent.close();
    await silent.closed;
  });
  await each(async () => {
    const wrong = await connect().opened();
    wrong.send(wrong.hello({ token: "guess" }));
    await wrong.closed;
  });
  await each(async () => {
    const broken = await connect().opened();
    below(broken.socket).write(Buffer.from([0xf2, 0x80, 0, 0, 0, 0]));
    await broken.closed;
  });
  const identity = newIdentity();
  await each(async () => {
    const guest = await connect({ identity }).join({ name: long });
    guest.send({ type: "leave" });
    await guest.closed;
  });
  const stranger = await connect({ identity }).join();
  await each(async () => {
    stranger.send({ type: "ready" });
    stranger.send({ type: "paused" });
  });
  stranger.send({ type: "ready" });
  let lease = await stranger.next("lease");
  for (let more = 0; more < times; more++) lease = await stranger.next("lease");
  stranger.sendContribution(honestContribution(stranger.welcome, lease));
  await stranger.next("accepted");
  for (let index = 0; index < times; index++) {
    below(stranger.socket).write(rawFrame(frameOf(honestContribution(stranger.welcome, lease))));
    await stranger.next("rejected");
  }
  stranger.close();
  coordination.stop();
  await coordination.done;
  const lines = await events();
  const totals = lines.at(-1);
  expect(totals).toMatchObject({
    type: "totals",
    events: { "turned-away": 3 * times, joined: times + 1, refused: times },
  });
  for (const type of ["turned-away", "joined", "left", "refused", "requeued"]) {
    expect(lines.filter((line) => line.type === type).length, type).toBeGreaterThanOrEqual(SOURCE_LINES.burst);
    expect(lines.filter((line) => line.type === type).length, type).toBeLessThan(4 * SOURCE_LINES.burst);
  }
  expect((await stat(run.directory.eventsPath)).size).toBeLessThan(200_000);
  expect(terminal.join("").length).toBeLessThan(100_000);
});
