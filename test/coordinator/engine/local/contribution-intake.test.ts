// Rules C8 and C9 of SPEC.md: what may happen while a contribution is being checked, on the real coordinator and real
// sockets, with checks that are held up until the test lets them go on; and rule R12: how a round's end adds what was
// held for audits.

import { expect, test } from "vitest";
import { ADDED_A_TURN } from "../../../../coordinator/engine/local/contribution-intake.ts";
import { CHECKS_HELD } from "../../../../coordinator/session/checks-in-flight.ts";
import type { HeldWork } from "../../../../coordinator/sum/contribution.ts";
import { InlineTraining } from "../../../../coordinator/training/inline-training.ts";
import type { StartTraining } from "../../../../coordinator/training/start-training.ts";
import type { PartOf } from "../../../../coordinator/training/training.ts";
import { TrainingCore } from "../../../../coordinator/training/training-core.ts";
import { frameOf, honestContribution } from "../../../fixtures/scripted-contribution.ts";
import { newIdentity } from "../../../fixtures/scripted-identity.ts";
import type { ScriptedWorker } from "../../../fixtures/scripted-worker.ts";
import { startTestRun, type TestRun } from "../../../fixtures/test-run.ts";

/** Numbers whose checks take as long as the test wants. */
class HeldUpTraining extends InlineTraining {
  override readonly inline = false;
  readonly #waiting: (() => void)[] = [];
  #held = false;

  /** Contributions under check. */
  get checking(): number {
    return this.#waiting.length;
  }

  hold(): void {
    this.#held = true;
  }

  letGo(): void {
    this.#held = false;
    for (const go of this.#waiting.splice(0)) go();
  }

  override async check(slot: number, bytes: Uint8Array) {
    const inspected = await super.check(slot, bytes);
    if (this.#held) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return inspected;
  }
}

async function startHeldUp(
  config: Record<string, unknown> = {},
): Promise<TestRun & { readonly training: HeldUpTraining }> {
  let training: HeldUpTraining | undefined;
  const startTraining: StartTraining = async (state, runTag) => {
    training = new HeldUpTraining(new TrainingCore(state, runTag));
    return training;
  };
  const started = await startTestRun({ config, startTraining });
  if (!training) throw new Error("the run started without its numbers");
  return { ...started, training };
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Sends the honest answer and waits until it is under check. */
async function underCheck(training: HeldUpTraining, worker: ScriptedWorker) {
  const lease = await worker.lease();
  const before = training.checking;
  worker.sendContribution(honestContribution(worker.welcome, lease));
  await expect.poll(() => training.checking).toBe(before + 1);
  return lease;
}

test("C8 a lease does not expire while its contribution is checked, and nobody else is leased its range", async () => {
  const { training, connect, events } = await startHeldUp({ lease: { timeoutMs: 2000 } });
  const [worker, other] = [await connect().join(), await connect().join()];
  training.hold();
  const lease = await underCheck(training, worker);
  expect(lease).toMatchObject({ step: 0, ranges: [{ from: 0, to: 64 }] });
  other.send({ type: "ready" });
  await pause(2500);
  expect((await events()).filter(({ type }) => type === "requeued" || type === "backed-up")).toEqual([]);
  training.letGo();
  expect(await worker.next("accepted")).toMatchObject({ lease: lease.lease });
  expect(await other.next("lease")).toMatchObject({ step: 1 });
});

test("C8 a contribution that comes again while the first is checked is stale, and counts once", async () => {
  const { training, connect, jsonLines } = await startHeldUp();
  const worker = await connect().join();
  const lease = await worker.lease();
  const frame = frameOf(honestContribution(worker.welcome, lease));
  training.hold();
  worker.socket.send(frame);
  worker.socket.send(frame);
  await expect.poll(() => training.checking).toBe(2);
  training.letGo();
  expect(await worker.next("accepted")).toMatchObject({ lease: lease.lease });
  expect(await worker.next("rejected")).toMatchObject({ lease: lease.lease, code: "CONTRIBUTION_STALE" });
  await worker.lease();
  expect(JSON.parse(jsonLines[0])).toMatchObject({ step: 1, samples: 64 });
});

test("C8 a round that is late does not end without what is being checked", async () => {
  const config = { codec: "f32", lease: { timeoutMs: 20_000, minDeadlineMs: 1000 } };
  const { training, connect, jsonLines } = await startHeldUp(config);
  // Half of a step each; the first step tells how long one takes.
  const half = { maxMicrobatches: 2 };
  const [quick, slow] = [await connect().join(half), await connect().join(half)];
  const [one, other] = [await quick.lease(), await slow.lease()];
  await Promise.all([quick.answer(one), slow.answer(other)]);
  const [first, second] = [await quick.lease(), await slow.lease()];
  await slow.answer(second);
  training.hold();
  quick.sendContribution(honestContribution(quick.welcome, first));
  await expect.poll(() => training.checking).toBe(1);
  await pause(1500);
  expect(jsonLines).toHaveLength(1);
  training.letGo();
  expect(await quick.next("accepted")).toMatchObject({ lease: first.lease });
  await expect.poll(() => jsonLines.length).toBe(2);
  expect(JSON.parse(jsonLines[1])).toMatchObject({ step: 2, samples: 128 });
});

test("C8 what a worker sent before it left is checked, and counts", async () => {
  const { training, connect, jsonLines, events } = await startHeldUp();
  const worker = await connect().join();
  training.hold();
  await underCheck(training, worker);
  worker.send({ type: "leave" });
  await worker.closed;
  training.letGo();
  await expect.poll(() => jsonLines.length).toBe(1);
  expect(JSON.parse(jsonLines[0])).toMatchObject({ step: 1, samples: 64 });
  expect((await events()).filter(({ type }) => type === "requeued")).toEqual([]);
});

test("C8 a contribution that turns out bad gives its range back", async () => {
  const { training, connect } = await startHeldUp();
  const worker = await connect().join();
  const lease = await worker.lease();
  const frame = frameOf(honestContribution(worker.welcome, lease));
  frame[frame.length - 7] ^= 4;
  training.hold();
  worker.socket.send(frame);
  await expect.poll(() => training.checking).toBe(1);
  training.letGo();
  expect(await worker.next("rejected")).toMatchObject({ lease: lease.lease, code: "FRAME_CORRUPT" });
  expect(await worker.lease()).toMatchObject({ ranges: lease.ranges });
});

test("C8 a run that is stopped waits for what is being checked", async () => {
  const { training, connect, coordination } = await startHeldUp();
  const worker = await connect().join();
  training.hold();
  await underCheck(training, worker);
  coordination.stop();
  await pause(300);
  training.letGo();
  expect(await coordination.done).toMatchObject({ finished: false, step: 1, samples: 64 });
});

test("C9 more contributions than may be checked at a time close the session with RATE_LIMITED", async () => {
  const { training, connect, jsonLines } = await startHeldUp();
  const [worker, other] = [await connect().join(), await connect().join()];
  const frame = frameOf(honestContribution(worker.welcome, await worker.lease()));
  training.hold();
  for (let i = 0; i <= CHECKS_HELD; i++) worker.socket.send(frame);
  expect(await worker.closed).toMatchObject({ code: 4016 });
  training.letGo();
  // The first of them was good, and counts.
  await other.lease();
  await expect.poll(() => jsonLines.length).toBe(1);
});

test("R12 what was held for audits is added at the seal in turns, so many values in each", async () => {
  let turn = 0;
  const adds: number[] = [];
  class Counting extends InlineTraining {
    override add(work: HeldWork, of: PartOf): void {
      adds[turn] = (adds[turn] ?? 0) + work.body.length / 4;
      super.add(work, of);
    }
  }
  const counting = () => {
    turn++;
    counter = setImmediate(counting);
  };
  let counter = setImmediate(counting);
  try {
    const run = await startTestRun({
      config: {
        model: { kind: "lenet", widths: [12, 24, 96] },
        batch: 128,
        microbatch: 2,
        codec: "f32",
        // Comparisons are waited for.
        lease: { minDeadlineMs: 20_000, timeoutMs: 20_000, maxMicrobatches: 1 },
      },
      maxSteps: 1,
      drawAudit: () => 0,
      startTraining: async (state, runTag) => new Counting(new TrainingCore(state, runTag)),
    });
    const crew = await Promise.all(Array.from({ length: 4 }, () => run.connect({ identity: newIdentity() }).join()));
    await Promise.all(crew.map((worker) => worker.work()));
    await run.coordination.done;
  } finally {
    clearImmediate(counter);
  }
  const each = adds.filter((values) => values > 0);
  const total = each.reduce((sum, values) => sum + values, 0);
  expect(total).toBeGreaterThan(2 * ADDED_A_TURN);
  // The last that a turn adds may go beyond.
  expect(Math.max(...each)).toBeLessThan(1.25 * ADDED_A_TURN);
});
