// Numbers that no device can measure: a stranger's statistics with turned signs made running variances negative, and
// stayed in checkpoints; its peaks made everybody's next step a step of zeros.

import { expect, test } from "vitest";
import { reopenRun } from "../../../coordinator/run/open-run.ts";
import { MOST_PEAK } from "../../../coordinator/sum/possible-values.ts";
import type { ContributionTensor } from "../../../shared/wire/contribution.ts";
import type { LeaseMessage, WelcomeMessage } from "../../../shared/wire/protocol.ts";
import { changed, withPeaks } from "../../fixtures/false-gradients.ts";
import { honestContribution, type ScriptedContribution } from "../../fixtures/scripted-contribution.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

type Change = (told: WelcomeMessage, lease: LeaseMessage) => ScriptedContribution;

const each = (kind: ContributionTensor["kind"], change: (value: number) => number): Change => {
  return (told, lease) => changed(told, lease, [kind], change);
};
const peak = (value: number): Change => {
  return (told, lease) => withPeaks(honestContribution(told, lease), value);
};

const lies: readonly (readonly [string, RegExp, Change])[] = [
  ["a variance below 0", /running_var is -\S+ a sample, and can only be from 0/, each("statistic", (value) => -value)],
  [
    "more hits than samples",
    /top\d is \S+ a sample, and can only be from 0 to 1/,
    each("metric", (value) => 4 * value),
  ],
  ["a loss below 0", /task is -\S+ a sample/, each("metric", (value) => -value)],
  ["a peak that no gradient has", /the peak of \S+ is 3\.40e\+38, the limit is/, peak(3.4e38)],
];
const cases = ["exact", "f32", "int8", "f16", "sign"].flatMap((codec) => {
  // Of a coded body only what travels as it is is written here: the statistics and metrics are.
  return lies.map(([what, message, change]) => [what, codec, message, change] as const);
});

test.each(cases)("%s is refused with the codec %s, and leaves no trace", async (_, codec, message, change) => {
  const run = await startTestRun({ config: { codec, lease: { maxMicrobatches: 1 } }, maxSteps: 2 });
  const [liar, honest] = [await run.connect().join(), await run.connect().join()];
  const lease = await liar.lease();
  liar.sendContribution(change(liar.welcome, lease));
  const rejected = await liar.next("rejected");
  expect(rejected).toMatchObject({ lease: lease.lease, code: "CONTRIBUTION_MISMATCH" });
  expect(rejected.message).toMatch(message);
  liar.close();
  await honest.work();
  await run.coordination.done;
  const { state, log } = await reopenRun(run.run.directory.path);
  await log.close();
  for (const [name, values] of state.parameters.teacher) {
    if (name.endsWith("running_var")) expect(Math.min(...values)).toBeGreaterThan(0);
  }
  for (const exponent of state.exponents.values()) expect(2 ** exponent).toBeLessThan(1);
});

test("the largest peak that is let in is far above any of a training that goes on", () => {
  expect(MOST_PEAK).toBeGreaterThan(1e18);
});
