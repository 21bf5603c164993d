import { mkdir, readdir, readFile, symlink, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { RunEvent } from "../../../coordinator/engine/run-event.ts";
import { HISTORY_FILE, MOST_HISTORY_BYTES } from "../../../coordinator/history/history-line.ts";
import { HistoryWriter } from "../../../coordinator/history/history-writer.ts";
import { CsvColumns, MetricsCsv, MOST_CSV_COLUMNS } from "../../../coordinator/history/metrics-csv.ts";
import { RunHistory } from "../../../coordinator/history/run-history.ts";
import { rng } from "../../../shared/base/rng.ts";
import { historyOf } from "../../fixtures/history-files.ts";
import { readTensorboard } from "../../fixtures/read-tensorboard.ts";
import { stepEvent } from "../../fixtures/step-event.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

/** Every fourth step begins an epoch, every other has its layers measured. */
function madeStep(step: number, loss: Record<string, number> = {}): RunEvent {
  return stepEvent(step, {
    epoch: Math.floor((step - 1) / 4),
    loss: { task: step / 2, total: step, ...loss },
    workedMs: 500,
    workers: 2,
    rates: { weights: 0.125 },
    ...(step % 2 === 0 && { layers: { "flips/conv1": 1 / step } }),
  });
}

function evaluation(step: number): RunEvent {
  const other = { name: "top5", value: 0.75, better: "higher" } as const;
  const score = { name: "accuracy", value: 0.25, better: "higher", text: "", sentence: "", others: [other] } as const;
  return { type: "evaluation", step, network: "student", score: { ...score, others: [...score.others] } };
}

const undone = (to: number): RunEvent => ({ type: "undone", step: to + 1, to, accounts: [], message: "" });

function writer(runDir: string, step = 0, evaluatedAt: Record<string, number | null> = {}): Promise<HistoryWriter> {
  let now = 1_800_000_000_000;
  return HistoryWriter.open({ runDir, place: { step, evaluatedAt }, wallClock: () => now++ });
}

/** What the files of a run say that nothing disturbed, of these events. */
async function undisturbed(events: readonly RunEvent[]) {
  const folder = await scratchFolder();
  const history = await writer(folder);
  for (const event of events) history.take(event);
  expect(await history.close()).toBeUndefined();
  return historyOf(folder);
}

test("history, metrics.csv and TensorBoard's file tell the same of every step and evaluation", async () => {
  const folder = await scratchFolder();
  const history = await writer(folder);
  for (const event of [madeStep(1), madeStep(2, { kernel: 8 }), evaluation(2), madeStep(3)]) history.take(event);
  expect(await history.close()).toBeUndefined();
  const read = await RunHistory.open(folder);
  expect(read.passes).toEqual([{ phase: "student", network: "student", epoch: 0, after: 0 }]);
  expect(read.evaluations).toMatchObject([{ step: 2, score: "accuracy", value: 0.25, others: { top5: 0.75 } }]);
  const view = read.view("steps", { series: ["loss.total", "loss.kernel", "rate.weights", "samplesPerSecond"] });
  expect([view.steps, view.times.map((time) => time! - 1_800_000_000_000)]).toEqual([
    [1, 2, 3],
    [1, 2, 4],
  ]);
  expect(view.series).toEqual({
    "loss.total": { mean: [1, 2, 3] },
    "loss.kernel": { mean: [null, 8, null] },
    "rate.weights": { mean: [0.125, 0.125, 0.125] },
    samplesPerSecond: { mean: [128, 128, 128] },
  });
  expect(read.view("layers", { series: read.series("layers") })).toMatchObject({
    steps: [2],
    series: { "flips/conv1": { mean: [0.5] } },
  });
  const csv = await readFile(join(folder, "metrics.csv"), "utf8");
  const columns =
    "score,loss.task,loss.total,rate.weights,samples,samplesPerSecond,workers,bytes.down,bytes.up,loss.kernel,score.top5";
  const at = (ms: number) => new Date(1_800_000_000_000 + ms).toISOString();
  expect(csv.split("\r\n")).toEqual([
    `step,event,time,phase,epoch,network,score_name,${columns}`,
    `1,step,${at(1)},student,0,student,,0.5,0.5,1,0.125,64,128,2,10,20,,`,
    `2,step,${at(2)},student,0,student,,0.5,1,2,0.125,64,128,2,10,20,8,`,
    `2,evaluation,${at(3)},student,0,student,accuracy,0.25,,,,,,,,,,0.75`,
    `3,step,${at(4)},student,0,student,,0.5,1.5,3,0.125,64,128,2,10,20,,`,
    "",
  ]);
  const [name, ...others] = (await readdir(folder)).filter((file) => file.includes("tfevents"));
  expect([name, others]).toEqual(["events.out.tfevents.1800000000.bitswarm", []]);
  const events = readTensorboard(await readFile(join(folder, name)));
  expect(events.slice(0, 2)).toMatchObject([
    { step: 0, fileVersion: "brain.Event:2" },
    { step: 0, sessionStatus: 1 },
  ]);
  const [one, two, layers, evaluated, three] = events.slice(2);
  const run = { "run/samples": 64, "run/samplesPerSecond": 128, "run/workers": 2, "bytes/down": 10, "bytes/up": 20 };
  const always = { "run/score": 0.5, "rate/weights": 0.125, ...run };
  expect(one).toMatchObject({ step: 1, scalars: { ...always, "loss/task": 0.5, "loss/total": 1 } });
  expect(one.wallTime).toBe(1_800_000_000.001);
  expect(two.scalars).toEqual({ ...always, "loss/task": 1, "loss/total": 2, "loss/kernel": 8 });
  expect(layers).toMatchObject({ step: 2, scalars: { "flips/conv1": 0.5 } });
  expect(evaluated.scalars).toEqual({ "evaluation/student accuracy": 0.25, "evaluation/student top5": 0.75 });
  expect(three.scalars).toEqual({ ...always, "loss/task": 1.5, "loss/total": 3 });
});

test("wherever a run is killed, resumed or undone, each of its steps is told once, and none is missing", async () => {
  for (let seed = 0; seed < 12; seed++) {
    const draws = rng("history", seed);
    const folder = await scratchFolder();
    const last = 30;
    const events: RunEvent[] = [];
    for (let step = 1; step <= last; step++) {
      events.push(madeStep(step));
      if (step % 4 === 0) events.push(evaluation(step));
    }
    const path = join(folder, HISTORY_FILE);
    let history = await writer(folder);
    const length = async () => (await readFile(path)).length;
    // How many events the newest checkpoint has, and how much of the history is on the disk for sure.
    let saved = { done: 0, bytes: await length() };
    const place = () => {
      const before = events.slice(0, saved.done);
      const stepOf = (type: string) => before.findLast((event) => event.type === type) as { step?: number } | undefined;
      return { step: stepOf("step")?.step ?? 0, student: stepOf("evaluation")?.step ?? null };
    };
    for (let done = 0; done < events.length; ) {
      history.take(events[done]);
      const evaluates = events[done++].type === "evaluation";
      const chance = draws.below(evaluates ? 2 : 12);
      if (chance === 0) {
        expect(await history.close()).toBeUndefined();
        // A kill leaves all that was written, a power cut any part of what was not on the disk yet.
        if (draws.below(2) === 0) await truncate(path, saved.bytes + draws.below((await length()) - saved.bytes + 1));
        const { step, student } = place();
        history = await writer(folder, step, { student });
        done = saved.done;
      } else if (evaluates || chance < 4) {
        await history.flush();
        saved = { done, bytes: await length() };
      } else if (chance === 4) {
        history.take(undone(place().step));
        done = saved.done;
      }
    }
    expect(await history.close()).toBeUndefined();
    expect(await historyOf(folder), `seed ${seed}`).toEqual(await undisturbed(events));
  }
});

test("what columns and passes were told by steps that are undone is told again", async () => {
  const folder = await scratchFolder();
  const history = await writer(folder);
  const steps = [1, 2, 3, 4, 5].map((step) => madeStep(step));
  for (const event of [...steps, undone(1), ...steps.slice(1)]) history.take(event);
  expect(await history.close()).toBeUndefined();
  expect(await historyOf(folder)).toEqual(await undisturbed(steps));
});

test("a run that an older build began has a history from where it goes on", async () => {
  const folder = await scratchFolder();
  const history = await writer(folder, 5);
  history.take(madeStep(6));
  await history.close();
  const [begin] = (await readFile(join(folder, HISTORY_FILE), "utf8")).split("\n");
  expect(JSON.parse(begin)).toEqual({ history: 1, after: 5 });
  // Back to before there was one.
  const earlier = await writer(folder, 3);
  earlier.take(madeStep(4));
  await earlier.close();
  const read = await RunHistory.open(folder);
  expect(read.view("steps", { series: ["loss.total"] }).steps).toEqual([4]);
});

test("what the history is on the disk for is there when flush resolves", async () => {
  const folder = await scratchFolder();
  const history = await writer(folder);
  for (let step = 1; step <= 50; step++) history.take(madeStep(step));
  await history.flush();
  expect((await RunHistory.open(folder)).step).toBe(50);
  await history.close();
});

test("a history that is a link or too large is refused, and files in the way of the others are replaced", async () => {
  const folder = await scratchFolder();
  await mkdir(join(folder, "history.writing"));
  await writeFile(join(folder, "own"), "mine");
  await symlink(join(folder, "own"), join(folder, "metrics.csv"));
  const history = await writer(folder);
  history.take(madeStep(1));
  expect(await history.close()).toBeUndefined();
  expect(await readFile(join(folder, "own"), "utf8")).toBe("mine");
  expect(await readFile(join(folder, "metrics.csv"), "utf8")).toContain("\r\n1,step,");
  await truncate(join(folder, HISTORY_FILE), MOST_HISTORY_BYTES + 1);
  await expect(writer(folder)).rejects.toMatchObject({ code: "STORAGE_FAILED" });
  const linked = await scratchFolder();
  await symlink(join(folder, "own"), join(linked, HISTORY_FILE));
  await expect(writer(linked)).rejects.toMatchObject({
    code: "STORAGE_FAILED",
    message: expect.stringContaining("link"),
  });
});

test("MOST_CSV_COLUMNS: what comes up beyond it has none, and names are no formulas", () => {
  const columns = new CsvColumns();
  const names = Array.from({ length: 2 * MOST_CSV_COLUMNS }, (_, i) => `c${i}`);
  columns.hear({ kind: "columns", table: "steps", columns: names });
  expect(columns.names).toHaveLength(MOST_CSV_COLUMNS);
  const table = new MetricsCsv(columns.names);
  table.textOf({ kind: "columns", table: "steps", columns: names });
  const pass = { phase: '=1+"1"', network: "a,b", epoch: 0, after: 0 };
  table.textOf({ kind: "pass", pass });
  const text = table.textOf({ kind: "row", table: "steps", step: 1, time: 0, values: names.map((_, i) => i) }) ?? "";
  expect(text).toMatch(/^1,step,1970-01-01T00:00:00.000Z,"'=1\+""1""",0,"a,b",,,0,1,2,/);
  expect(text.split(",")).toHaveLength(table.head.split(",").length + 1);
});
