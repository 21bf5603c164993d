// One volunteer beside the operator's own workers, who share an account: two messages of the largest numbers that a
// contribution can hold made the loss 64, and twenty seconds later ended the run.

import { expect, test } from "vitest";
import type { LeaseMessage } from "../../../shared/wire/protocol.ts";
import { changed, gradientsTimes, withPeaks } from "../../fixtures/false-gradients.ts";
import { honestContribution, type ScriptedContribution, type Told } from "../../fixtures/scripted-contribution.ts";
import { newIdentity } from "../../fixtures/scripted-identity.ts";
import type { ScriptedWorker } from "../../fixtures/scripted-worker.ts";
import { calmRun, startTestRun, stepHashes, type TestRun } from "../../fixtures/test-run.ts";

type Lie = (told: Told, lease: LeaseMessage) => ScriptedContribution;

/** ∓2^30 units in every element. */
const largest: Lie = (told, lease) => {
  let odd = false;
  return changed(told, lease, ["gradient"], (_value, _tensor, unit) => {
    odd = !odd;
    return (odd ? -1 : 1) * unit * 2 ** 30;
  });
};
const forged: Lie = (told, lease) => withPeaks(honestContribution(told, lease), 1e12);

/** Works until the run or the socket is over; returns the codes of what was refused. */
async function lies(worker: ScriptedWorker, lie: Lie, told: string[] = []): Promise<readonly string[]> {
  worker.send({ type: "ready" });
  for (;;) {
    const message = await worker.take();
    if (message === "closed" || message.type === "ended") return told;
    if (message.type === "rejected") told.push(message.code);
    if (message.type === "rest") told.push("rest");
    if (message.type === "accepted" || message.type === "rejected") worker.send({ type: "ready" });
    if (message.type === "lease") worker.sendContribution(lie(worker.welcome, message));
  }
}

interface Cast {
  readonly config?: Record<string, unknown>;
  /** Each of an account of its own, unless `oneHand`. */
  readonly liars: number;
  readonly lie: Lie;
  /** Whether audits are drawn: never, for what sizes alone tell. */
  readonly drawAudit?: () => number;
}

/** The operator's two workers and strangers who were there first. */
async function beside({ config = {}, liars, lie, drawAudit = () => 0 }: Cast): Promise<TestRun & { told: string[] }> {
  const lease = { maxMicrobatches: 1, minDeadlineMs: 20_000 };
  const run = await startTestRun({ config: { ...config, lease }, maxSteps: 8, drawAudit });
  const strangers = Array.from({ length: liars }, () => run.connectStranger({ identity: newIdentity() }));
  const own = [run.connect(), run.connect()];
  const told: string[] = [];
  const working = [];
  for (const stranger of strangers) working.push(lies(await stranger.join(), lie, told));
  for (const worker of own) working.push(lies(await worker.join(), honestContribution));
  await run.coordination.done;
  await Promise.all(working);
  return { ...run, told };
}

test.each([
  ["the largest integers", 1, largest],
  ["the largest integers, from two accounts", 2, largest],
  ["turned signs", 1, gradientsTimes(-1)],
  ["turned signs, from two accounts", 2, gradientsTimes(-1)],
  ["a factor just below the limit", 1, gradientsTimes(9)],
  ["peaks that make everybody's integers coarse", 1, forged],
])("of %s nothing is in the run's parameters, which are those of a run without the stranger", async (_, liars, lie) => {
  const clean = await calmRun({ lease: { maxMicrobatches: 1 } });
  const run = await beside({ liars, lie });
  expect(run.told.length).toBeGreaterThan(0);
  expect(await stepHashes(run)).toEqual(clean.hashes.slice(0, 8));
});

test.each(["f32", "f16", "int8", "sign"])(
  "with the codec %s the largest numbers of a stranger change little",
  async (codec) => {
    const moved = async (liars: number, lie: Lie) => {
      const { run } = await beside({ config: { codec }, liars, lie });
      let largest = 0;
      for (const [name, values] of run.state.parameters.teacher) {
        if (!name.includes("running")) for (const value of values) largest = Math.max(largest, Math.abs(value));
      }
      return largest;
    };
    const lie: Lie = (told, lease) => withPeaks(largest(told, lease), 1e12);
    expect(await moved(1, lie)).toBeLessThan(1.5 * (await moved(0, lie)));
  },
);

test.each([
  ["the largest integers", largest],
  ["peaks that make everybody's integers coarse", forged],
])("%s are refused from the first contribution on where no audit is drawn", async (_, lie) => {
  const run = await beside({ liars: 1, lie, drawAudit: () => 1 });
  expect(run.told).toContain("CONTRIBUTION_OUTLIER");
  expect(await stepHashes(run)).toEqual((await calmRun({ lease: { maxMicrobatches: 1 } })).hashes.slice(0, 8));
});
