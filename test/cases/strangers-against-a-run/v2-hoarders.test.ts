// Sockets of fresh keys that ask for leases, answer pings and nothing else: beside them one honest worker goes on as if
// they were not there. Counted in leases and steps; a lease lasts two minutes here, so that any wait for one is seen.

import { expect, onTestFinished, test } from "vitest";
import { samplesOf } from "../../../shared/wire/lease-ranges.ts";
import { newIdentity } from "../../fixtures/scripted-identity.ts";
import type { ScriptedWorker } from "../../fixtures/scripted-worker.ts";
import { startTestRun, stepHashes, type TestRun } from "../../fixtures/test-run.ts";

/** As the program has them: small first leases, two minutes for each. */
const usual = { pieces: "auto", first: 1, timeoutMs: 120_000 };
const STEPS = 16;
const TIMEOUT_MS = 60_000;

type Habit = (worker: ScriptedWorker) => void;

/** Holds two leases as long as it may, and asks for others whenever they are taken away. */
const keeps: Habit = (worker) => {
  void (async () => {
    worker.send({ type: "ready" });
    for (let message = await worker.take(); message !== "closed"; message = await worker.take()) {
      if (message.type === "lease") worker.send({ type: "ready", ahead: true });
      if (message.type === "cancel") worker.send({ type: "ready" });
    }
  })().catch(() => undefined);
};

/** Gives back whatever it is lent. */
const bounces: Habit = (worker) => {
  void (async () => {
    worker.send({ type: "ready" });
    for (let message = await worker.take(); message !== "closed"; message = await worker.take()) {
      if (message.type !== "lease") continue;
      worker.send({ type: "return", lease: message.lease, reason: "pause", detail: "" });
      worker.send({ type: "ready" });
    }
  })().catch(() => undefined);
};

/** Strangers of this habit who are leased what there is before anybody else comes. */
async function crowd({ connectStranger }: TestRun, count: number, habit: Habit): Promise<readonly ScriptedWorker[]> {
  const all: ScriptedWorker[] = [];
  for (let i = 0; i < count; i++) {
    const worker = await connectStranger({ identity: newIdentity() }).join();
    habit(worker);
    all.push(worker);
  }
  return all;
}

/** Leases that one honest stranger needs for the run, and the parameters after each of its steps. */
async function played(run: TestRun): Promise<{ readonly leases: number; readonly hashes: readonly string[] }> {
  const honest = await run.connectStranger({ identity: newIdentity() }).join();
  expect(await honest.work()).toBe("ended");
  await run.coordination.done;
  return { leases: honest.accepted.length, hashes: await stepHashes(run) };
}

let calm: ReturnType<typeof played> | undefined;

const start = (limits = {}) =>
  startTestRun({ config: { lease: usual }, maxSteps: STEPS, limits: { graceMs: 120_000, ...limits } });

/** Of the run without anybody else, played once. */
async function alone() {
  calm ??= start().then(played);
  return calm;
}

test.each([
  { does: "keep what they are lent", habit: keeps },
  { does: "give back what they are lent", habit: bounces },
])(
  "beside nine strangers who $does, one that works needs no more leases than alone, but for the first rounds",
  { timeout: TIMEOUT_MS },
  async ({ habit }) => {
    const { leases, hashes } = await alone();
    const run = await start();
    await crowd(run, 9, habit);
    const beside = await played(run);
    expect(beside.hashes).toEqual(hashes);
    expect(beside.leases).toBeLessThanOrEqual(1.1 * leases + 12);
    const events = await run.events();
    expect(events.filter(({ type, cause }) => type === "requeued" && cause === "expired")).toEqual([]);
  },
);

test("what strangers hold whose connections are lost is waited for by nobody", { timeout: TIMEOUT_MS }, async () => {
  const { hashes } = await alone();
  const run = await start();
  const gone = await crowd(run, 9, keeps);
  const others = await crowd(run, 3, keeps);
  onTestFinished(() => {
    for (const worker of others) worker.close();
  });
  for (const worker of gone) worker.close();
  expect((await played(run)).hashes).toEqual(hashes);
});

test("a stranger that answers is proven after three leases, however many keep theirs", {
  timeout: TIMEOUT_MS,
}, async () => {
  const run = await start();
  await crowd(run, 9, keeps);
  const honest = await run.connectStranger({ identity: newIdentity() }).join();
  const samples: number[] = [];
  for (let i = 0; i < 8; i++) {
    const lease = await honest.lease();
    await honest.answer(lease);
    samples.push(samplesOf(lease.ranges));
  }
  // From then on whole steps are its share, in the pieces that any share has.
  expect(Math.max(...samples.slice(3))).toBeGreaterThan(Math.max(...samples.slice(0, 3)));
});
