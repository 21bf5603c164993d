// Gradients that are not finite after a stranger's work ended the run, with advice on the learning rate: whoever took
// part could end it.

import { expect, test } from "vitest";
import { readCommitLog } from "../../../coordinator/checkpoint/commit-log.ts";
import { reopenRun } from "../../../coordinator/run/open-run.ts";
import { startTraining } from "../../../coordinator/training/start-training.ts";
import { ThreadedTraining } from "../../../coordinator/training/threaded-training.ts";
import { accountOf } from "../../../shared/base/identity.ts";
import type { LeaseMessage } from "../../../shared/wire/protocol.ts";
import { gradientsTimes } from "../../fixtures/false-gradients.ts";
import { honestContribution } from "../../fixtures/scripted-contribution.ts";
import { newIdentity } from "../../fixtures/scripted-identity.ts";
import type { ScriptedWorker } from "../../fixtures/scripted-worker.ts";
import { calmRun, openTestRun, startTestRun, stepHashes } from "../../fixtures/test-run.ts";

/** Nothing is judged or compared, so that a lie gets in. */
const trust = { clip: "none", audits: "off" };
/** The lie, beyond which nothing is finite; what is computed from the parameters before it is. */
const poison = gradientsTimes(1e6);

/** Works; says that a gradient is not finite where `lost` says so of its lease. Leases of `waits` it gives back. */
async function work(
  worker: ScriptedWorker,
  lost: (lease: LeaseMessage) => boolean,
  waits: (lease: LeaseMessage) => Promise<void> | undefined = () => undefined,
): Promise<void> {
  worker.send({ type: "ready" });
  for (;;) {
    const message = await worker.take();
    if (message === "closed" || message.type === "ended") return;
    if (message.type === "accepted" || message.type === "rejected") worker.send({ type: "ready" });
    if (message.type !== "lease") continue;
    const { lease } = message;
    const turn = waits(message);
    if (turn) {
      worker.send({ type: "return", lease, reason: "pause", detail: "" });
      worker.send({ type: "paused" });
      await turn;
      worker.send({ type: "ready" });
    } else if (lost(message)) {
      worker.send({ type: "return", lease, reason: "not-finite", detail: "" });
      worker.send({ type: "ready" });
    } else worker.sendContribution(honestContribution(worker.welcome, message));
  }
}

/** Honest until this step, in which it lies; later leases it gives back. */
async function poisonStep(stranger: ScriptedWorker, step: number, done: (lease: LeaseMessage) => void): Promise<void> {
  stranger.send({ type: "ready" });
  for (;;) {
    const message = await stranger.take();
    if (message === "closed" || message.type === "ended") return;
    if (message.type === "accepted" || message.type === "rejected") stranger.send({ type: "ready" });
    if (message.type !== "lease") continue;
    if (message.step > step) {
      stranger.send({ type: "return", lease: message.lease, reason: "pause", detail: "" });
      stranger.send({ type: "paused" });
      continue;
    }
    if (message.step === step) done(message);
    stranger.sendContribution((message.step === step ? poison : honestContribution)(stranger.welcome, message));
  }
}

test.each([
  ["in the engine's own thread", startTraining],
  ["in a thread of its own", ThreadedTraining.start],
])(
  "steps with a stranger's lie are undone once nothing is finite, %s, and the run ends with the bits of a run without it",
  async (_, begin) => {
    const lease = { maxMicrobatches: 1 };
    const clean = await calmRun({ lease });
    const open = await openTestRun({ lease, trust, checkpoint: { everySteps: 3 } });
    const run = await startTestRun({ open, startTraining: begin });
    const identity = newIdentity();
    let lied = () => {};
    const lie = new Promise<void>((resolve) => {
      lied = resolve;
    });
    let poisoned = false;
    let undone = false;
    const lost = ({ step }: LeaseMessage) => {
      undone ||= poisoned && step < 4;
      return step > 4 && !undone;
    };
    // The first step is theirs; then they leave the stranger alone until it has lied.
    const waits = ({ step }: LeaseMessage) => (step === 0 || poisoned ? undefined : lie);
    const own = [await run.connect().join(), await run.connect().join()];
    const working = own.map((worker) => work(worker, lost, waits));
    const stranger = await run.connectStranger({ identity }).join();
    const lying = poisonStep(stranger, 4, () => {
      poisoned = true;
      lied();
    });
    const summary = await run.coordination.done;
    await Promise.all([...working, lying]);
    expect({ ...summary, checkpoint: "" }).toEqual(clean.summary);
    expect(await stepHashes(run)).toEqual(clean.hashes);
    const account = accountOf(identity.publicKey);
    const events = await run.events();
    const event = events.find(({ type }) => type === "undone");
    expect(event).toMatchObject({ to: 3, accounts: [account] });
    expect(event?.message).toContain("is not finite");
    expect(events).toContainEqual(expect.objectContaining({ type: "rests", account, ms: 30_000 }));
    // The log tells of it, and verifies with the ledger when the run is opened again.
    const records = await readCommitLog(run.run.directory.path);
    expect(records).toContainEqual({ type: "resume", fromStep: 3, checkpoint: "checkpoints/step-3" });
    const again = await reopenRun(run.run.directory.path);
    expect(again.state.step).toBe(clean.summary.step);
    await again.log.close();
  },
);

test("where only the operator's own work ever counted, what is not finite still ends the run", async () => {
  const run = await startTestRun({ config: { trust } });
  const failure = expect(run.coordination.done).rejects.toMatchObject({ code: "GRADIENT_NOT_FINITE" });
  const own = await run.connect().join();
  await work(own, ({ step }) => step > 0);
  await failure;
});

test("strangers who say that nothing is finite end no run, whose work has counted or not", async () => {
  const run = await startTestRun({ config: { trust }, maxSteps: 2 });
  const stranger = await run.connectStranger({ identity: newIdentity() }).join();
  const lying = work(stranger, ({ step }) => step > 0);
  const log = () => readCommitLog(run.run.directory.path);
  await expect.poll(async () => (await log()).some(({ type }) => type === "resume")).toBe(true);
  stranger.close();
  await lying;
  const own = await run.connect().join();
  await own.work();
  expect(await run.coordination.done).toMatchObject({ finished: true, step: 2 });
});
