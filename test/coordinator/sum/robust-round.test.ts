// Rules Z15, Z16 and Z38 to Z40 of SPEC.md: rounds combined robustly, in parts by account, and within a run with real
// sockets and a liar.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { openFreshRun, reopenRun } from "../../../coordinator/run/open-run.ts";
import { createTrainingState } from "../../../coordinator/state/training-state.ts";
import { type RobustMode, type RobustPart, RobustRounds } from "../../../coordinator/sum/robust-round.ts";
import { ROBUST_BYTES, requireRobustMemory, robustBytes } from "../../../coordinator/training/robust-memory.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { changed } from "../../fixtures/false-gradients.ts";
import { writeNoiseImages } from "../../fixtures/noise-images.ts";
import { newIdentity } from "../../fixtures/scripted-identity.ts";
import type { ScriptedWorker } from "../../fixtures/scripted-worker.ts";
import { scratchFolder, startTestRun } from "../../fixtures/test-run.ts";

const spans = [
  { group: "gradient", offset: 0, size: 3, unit: 0.5, signs: false },
  { group: "statistic", offset: 3, size: 1, unit: 1, signs: false },
] as const;

function bits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0];
}

const part = (account: string, from: number, units: number[], peak = 1): RobustPart => ({
  account,
  from,
  samples: 2,
  peaks: Uint32Array.of(bits(peak)),
  units: Float64Array.from(units),
});

function combined(rounds: RobustRounds, parts: readonly RobustPart[], era = 0, evaluate = false) {
  rounds.open({ phase: evaluate ? "evaluate-student" : "student", evaluate, era, spans });
  for (const one of parts) rounds.add(() => one);
  return rounds.combine();
}

const crowd = () => [
  part("a", 0, [2, 2, 2, 4]),
  part("b", 2, [4, 4, 4, 4]),
  part("c", 4, [6, 6, 6, 4]),
  part("d", 6, [8, 8, 8, 4]),
  part("liar", 8, [-9000, 9000, 0, 9000], 1e30),
];

test("Z15 a trimmed mean leaves out the ends of each coordinate, one part an account, whoever came first", () => {
  const expected = { means: Float64Array.of(1, 1.5, 1, 2), peaks: Float32Array.of(1) };
  for (const parts of [crowd(), crowd().reverse()]) {
    // The middle three of a, b, c, d and the liar: each coordinate has its own.
    const means = combined(new RobustRounds("trimmed-mean"), parts);
    expect(means).toEqual({ ...expected, means: Float64Array.of(1, 1.5, 1, 2) });
  }
});

test.each<RobustMode>(["trimmed-mean", "centered-clip"])(
  "Z39 %s: many small leases of one account are one part",
  (mode) => {
    const whole = combined(new RobustRounds(mode), crowd());
    const split = crowd().flatMap((one) =>
      one.account === "liar"
        ? [0, 1].map((i) => ({ ...one, from: 8 + i, samples: 1, units: one.units.map((v) => v / 2) }))
        : one,
    );
    expect(combined(new RobustRounds(mode), split)).toEqual(whole);
  },
);

test("Z38 centered clipping starts at the last mean of the era, and at zero in a new one", () => {
  const rounds = new RobustRounds("centered-clip");
  const first = combined(rounds, crowd(), 1)?.means.slice();
  const second = combined(rounds, crowd(), 1)?.means.slice();
  const anew = combined(rounds, crowd(), 2)?.means.slice();
  expect(second).not.toEqual(first);
  expect(anew).toEqual(first);
  // Far from the 900 that the plain mean of the liar's statistic would be.
  expect(first?.[3]).toBeLessThan(4);
});

test("Z40 an evaluation is summed as always", () => {
  expect(combined(new RobustRounds("trimmed-mean"), crowd(), 0, true)).toBeUndefined();
});

test("Z16 a run whose parts would not fit is refused before there is a folder", async () => {
  const root = await scratchFolder();
  await writeNoiseImages(root);
  const config = (batch: number) =>
    parseConfig({ codec: "f32", trust: { clip: "trimmed-mean" }, data: { kind: "idx", root }, batch, microbatch: 1 });
  const dataset = { shape: { h: 28, w: 28, c: 1 }, classes: 10, train: { samples: 4096 }, test: { samples: 10 } };
  const state = (batch: number, clip = "trimmed-mean") =>
    createTrainingState(
      parseConfig({ codec: "f32", trust: { clip }, batch, microbatch: 1, maxWorkers: 100_000 }),
      dataset as Parameters<typeof createTrainingState>[1],
    );
  expect(() => requireRobustMemory(state(64))).not.toThrow();
  expect(robustBytes(state(2048)).bytes).toBeGreaterThan(ROBUST_BYTES);
  expect(() => requireRobustMemory(state(2048))).toThrow(
    /trust.clip: trimmed-mean keeps up to 4096 parts .* MiB; the limit is 1024 MiB/,
  );
  expect(() => requireRobustMemory(state(2048, "norm"))).not.toThrow();
  const folder = join(root, "run");
  const many = { ...config(2048), maxWorkers: 100_000 };
  await expect(openFreshRun(many, folder)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  expect(existsSync(folder)).toBe(false);
});

test.each(["centered-clip", "trimmed-mean"])("Z16 %s is not for the codec exact", (clip) => {
  expect(() => parseConfig({ codec: "exact", trust: { clip } })).toThrow("trust.clip");
  expect(() => parseConfig({ codec: "int8", trust: { clip } })).not.toThrow();
});

/** Works until the run is over; what it sends of gradients is `factor` times what it found. */
async function work(worker: ScriptedWorker, factor: number): Promise<void> {
  worker.send({ type: "ready" });
  for (;;) {
    const message = await worker.take();
    if (message === "closed" || message.type === "ended") return;
    if (message.type === "accepted" || message.type === "rejected") worker.send({ type: "ready" });
    if (message.type !== "lease") continue;
    const larger = (value: number) => value * factor;
    worker.sendContribution(changed(worker.welcome, message, ["gradient", "statistic"], larger));
  }
}

async function largestParameter(clip: string, liar: number): Promise<number> {
  const config = { codec: "f32", lease: { minDeadlineMs: 20_000, maxMicrobatches: 1 }, trust: { clip, audits: "off" } };
  const run = await startTestRun({ config, maxSteps: 1 });
  const crew = await Promise.all(Array.from({ length: 4 }, () => run.connect({ identity: newIdentity() }).join()));
  onTestFinished(() => {
    for (const worker of crew) worker.close();
  });
  const working = crew.map((worker, i) => work(worker, i === 3 ? liar : 1));
  await run.coordination.done;
  await Promise.all(working);
  let moved = 0;
  const { state, log } = await reopenRun(run.run.directory.path);
  await log.close();
  for (const values of state.parameters.teacher.values())
    for (const value of values) moved = Math.max(moved, Math.abs(value));
  return moved;
}

test("Z15 in a run, a liar of the first round carries a plain mean away, and neither robust mean", async () => {
  const [clean, plain, centered, cut] = [
    await largestParameter("none", 1),
    await largestParameter("none", 1e6),
    await largestParameter("centered-clip", 1e6),
    await largestParameter("trimmed-mean", 1e6),
  ];
  expect(plain).toBeGreaterThan(100 * clean);
  expect(centered).toBeLessThan(3 * clean);
  expect(cut).toBeLessThan(3 * clean);
}, 60_000);
