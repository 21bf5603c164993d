// Rules Z10 to Z12 and Z23 of SPEC.md: the real coordinator, real sockets, and workers of which one lies.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { RoundSum } from "../../../coordinator/sum/aggregate.ts";
import { type StartTraining, startTraining } from "../../../coordinator/training/start-training.ts";
import { ThreadedTraining } from "../../../coordinator/training/threaded-training.ts";
import { accountOf } from "../../../shared/base/identity.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import { phaseLayout } from "../../../shared/wire/contribution.ts";
import type { LeaseMessage, WelcomeMessage } from "../../../shared/wire/protocol.ts";
import { gradientsTimes } from "../../fixtures/false-gradients.ts";
import { phaseOf } from "../../fixtures/phases.ts";
import { roundTrust } from "../../fixtures/round-trust.ts";
import { honestContribution, type ScriptedContribution } from "../../fixtures/scripted-contribution.ts";
import { newIdentity } from "../../fixtures/scripted-identity.ts";
import type { ScriptedWorker } from "../../fixtures/scripted-worker.ts";
import { startTestRun, type TestRun } from "../../fixtures/test-run.ts";

type Lie = (told: WelcomeMessage, lease: LeaseMessage) => ScriptedContribution;

const times: (factor: number) => Lie = gradientsTimes;

/** Works until the run or the socket is over; answers with `lie`, and keeps what it was told. */
async function work(worker: ScriptedWorker, lie: Lie, told: string[]): Promise<void> {
  worker.send({ type: "ready" });
  for (;;) {
    const message = await worker.take();
    if (message === "closed" || message.type === "ended") return;
    if (message.type === "rest") told.push(message.message);
    if (message.type === "rejected") told.push(message.code);
    if (message.type === "accepted" || message.type === "rejected") worker.send({ type: "ready" });
    if (message.type === "lease") worker.sendContribution(lie(worker.welcome, message));
  }
}

const honest: Lie = honestContribution;

interface Outcome {
  readonly told: readonly string[];
  readonly hash: string;
  readonly events: readonly Record<string, unknown>[];
  readonly run: TestRun;
  readonly liar: string;
}

/** A run with three honest accounts and one that lies from its first lease on, all of one kind. */
async function runWith(
  lie: Lie,
  config: Record<string, unknown>,
  drawAudit = () => 0,
  begin: StartTraining = startTraining,
  strangers = false,
): Promise<Outcome> {
  const run = await startTestRun({ config, maxSteps: 8, drawAudit, startTraining: begin });
  const connect = strangers ? run.connectStranger : run.connect;
  const crew = await Promise.all(Array.from({ length: 4 }, () => connect({ identity: newIdentity() }).join()));
  onTestFinished(() => {
    for (const worker of crew) worker.close();
  });
  const told: string[] = [];
  const working = crew.map((worker, i) => work(worker, i === 3 ? lie : honest, i === 3 ? told : []));
  const { paramsHash } = await run.coordination.done;
  await Promise.all(working);
  return { told, hash: paramsHash, events: await run.events(), run, liar: accountOf(crew[3].identity.publicKey) };
}

/** Rounds last as long as a lease may: comparisons are waited for. */
const lease = { minDeadlineMs: 20_000 };
const exact = { codec: "exact", lease };

test.each([
  ["zeros", times(0)],
  ["flips every sign", times(-1)],
  ["doubles", times(2)],
])("Z12 an account that %s is found out by audits, rests, and changes no bit of the run", async (_, lie) => {
  const clean = await runWith(honest, exact);
  expect(clean.told).toEqual([]);
  const attacked = await runWith(lie, exact);
  expect(attacked.hash).toBe(clean.hash);
  expect(attacked.told, JSON.stringify(attacked.told)).toContain(
    "your results differ from others'; the run rests this device for 30 s",
  );
  const { events, liar, run } = attacked;
  const audits = events.filter(({ type }) => type === "audited");
  expect(audits.some(({ wrong }) => (wrong as string[]).includes(liar))).toBe(true);
  expect(audits.every(({ wrong }) => (wrong as string[]).every((account) => account === liar))).toBe(true);
  expect(events).toContainEqual(expect.objectContaining({ type: "rests", account: liar, ms: 30_000 }));
  const { accounts } = JSON.parse(await readFile(join(run.run.directory.path, "trust.json"), "utf8"));
  const earned = Object.fromEntries(accounts.map((one: { account: string }) => [one.account, one]));
  expect(earned[liar]).toMatchObject({ consecutiveValid: 0, strikes: 1 });
  expect(accounts.some(({ consecutiveValid }: { consecutiveValid: number }) => consecutiveValid > 0)).toBe(true);
});

test("Z12 an account that doubles is found out where a thread compares, too", async () => {
  const clean = await runWith(honest, exact);
  let compared = 0;
  const attacked = await runWith(times(2), exact, undefined, async (state, runTag) => {
    const thread = await ThreadedTraining.start(state, runTag);
    const compare = thread.compare.bind(thread);
    thread.compare = (a, b) => {
      compared++;
      return compare(a, b);
    };
    return thread;
  });
  expect(attacked.hash).toBe(clean.hash);
  const { events, liar } = attacked;
  expect(events).toContainEqual(expect.objectContaining({ type: "rests", account: liar, ms: 30_000 }));
  const audits = events.filter(({ type }) => type === "audited");
  expect(audits.every(({ wrong }) => (wrong as string[]).every((account) => account === liar))).toBe(true);
  expect(compared).toBeGreaterThanOrEqual(audits.length);
});

test("Z11 an account is audited by chance, the less the more it was confirmed", async () => {
  const always = await runWith(honest, exact, () => 0);
  const half = await runWith(honest, exact, () => 0.5);
  const never = await runWith(honest, { ...exact, trust: { audits: "off" } });
  const audits = ({ events }: Outcome) => events.filter(({ type }) => type === "audited").length;
  expect(audits(never)).toBe(0);
  expect(audits(half)).toBeGreaterThan(0);
  expect(audits(always)).toBeGreaterThan(audits(half));
  expect(new Set([always, half, never].map(({ hash }) => hash)).size).toBe(1);
});

test("Z10 with the codec exact a wild contribution is refused once it is known what is usual, and the bits stay", async () => {
  const config = { ...exact, trust: { audits: "off" } };
  const clean = await runWith(honest, config);
  let leases = 0;
  // Honest for as long as nothing is usual yet.
  const lie: Lie = (welcome, message) => {
    const wild = message.phase === "teacher" && message.step >= 4 && leases++ < 2;
    return (wild ? times(1000) : honest)(welcome, message);
  };
  const { told, hash } = await runWith(lie, config, undefined, undefined, true);
  expect(told).toContain("CONTRIBUTION_OUTLIER");
  expect(hash).toBe(clean.hash);
});

test("Z23 with the codec f32 gradients above the running median are scaled to it, statistics never", async () => {
  const networks = buildNetworks(parseConfig({ model: { kind: "lenet", widths: [2, 2, 4] } }), {
    shape: { h: 28, w: 28, c: 1 },
    classes: 10,
  });
  const layout = phaseLayout(networks, phaseOf("student"));
  const exponents = layout.tensors.map(() => -20);
  const sumOf = () => new RoundSum(layout, exponents, "f32");
  const trust = roundTrust({ audits: "off" });
  const contribution = (factor: number) => {
    const values = new Float32Array(layout.size);
    for (const { offset, size } of layout.tensors) values.fill(factor, offset, offset + size);
    return new Uint8Array(values.buffer);
  };
  const peaks = new Uint32Array(layout.tensors.length);
  const round = (factors: readonly number[]) => {
    const sum = sumOf();
    trust.open({
      phase: "student",
      codec: "f32",
      peaks: [],
      compared: () => ({ kind: "same" }),
      contributionBytes: 4 * layout.size,
      accounts: () => factors.length,
      own: () => false,
      ownTakesPart: () => false,
      replicas: false,
    });
    factors.forEach((factor, i) => {
      const body = contribution(factor);
      const { norms, commit } = sum.check(32, peaks, body);
      commit(trust.judge({ account: `a${i}` }, 32, norms, peaks));
    });
    trust.seal();
    return sum;
  };
  const usual = [1, 1, 1, 1];
  round(usual);
  round(usual);
  const clipped = round([1, 1, 1, 5]);
  const [gradient, statistic] = (["gradient", "statistic"] as const).map(
    (kind) => layout.tensors.find((tensor) => tensor.kind === kind)?.name ?? "",
  );
  expect(clipped.mean(gradient)[0]).toBeCloseTo(4 / 128, 6);
  expect(clipped.mean(statistic)[0]).toBeCloseTo(8 / 128, 6);
  expect(() => round([1, 1, 1, 50])).toThrow("the limit in this round is");
});
