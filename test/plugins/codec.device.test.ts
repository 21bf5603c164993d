// A codec that is written here and nowhere else: its two halves, registered while the program runs, carry a real
// device's gradients to an exact sum.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { sealMode } from "../../coordinator/round/deadline.ts";
import { exponentsFor } from "../../coordinator/state/exponents.ts";
import { createTrainingState, wireBlob } from "../../coordinator/state/training-state.ts";
import { RoundSum } from "../../coordinator/sum/aggregate.ts";
import { readContribution } from "../../coordinator/sum/contribution.ts";
import type { CodecReduction } from "../../coordinator/sum/reduction/codec-reduction.ts";
import { codecReductions, requireBothHalves } from "../../coordinator/sum/reduction/codec-reductions.ts";
import { accumulate, advance, blocks } from "../../coordinator/sum/reduction/kernel-text.ts";
import { Reduction } from "../../coordinator/sum/reduction/reduction.ts";
import { initialExponent, nextExponent } from "../../coordinator/sum/unit-rule.ts";
import { rng } from "../../shared/base/rng.ts";
import type { Codec } from "../../shared/codecs/codec.ts";
import { codecs } from "../../shared/codecs/codecs.ts";
import { phaseLayout } from "../../shared/wire/contribution.ts";
import { encodeContributionFrame } from "../../shared/wire/contribution-payload.ts";
import { decodeFrame } from "../../shared/wire/frame.ts";
import { addContribution } from "../../shared/wire/naive-sum.ts";
import { parameterSets } from "../../shared/wire/parameter-set.ts";
import { decodeCoordinatorMessage, encodeMessage, type LeaseMessage } from "../../shared/wire/protocol.ts";
import { wireLayout } from "../../shared/wire/wire-layout.ts";
import { createTrainer } from "../../worker/trainer/trainer.ts";
import { testDevice } from "../fixtures/device.ts";
import { phaseOf } from "../fixtures/phases.ts";
import { startTestRun, stepHashes, workToTheEnd } from "../fixtures/test-run.ts";
import { tinyConfig, tinyDataset, trainerRun } from "../fixtures/tiny-run.ts";

/** i16 multiples of the unit: half the bytes of `exact`, as a unit takes 8 bits where it has 23. */
const largest = 2 ** 15 - 1;
const fixed16: Codec = {
  kind: "fixed16",
  number: 77,
  accumulate: "exact",
  exactSums: true,
  coding: {
    bytes: (elements) => 2 * elements,
    encode: (values) => ({
      bytes: new Uint8Array(Int16Array.from(values, (x) => Math.min(largest, Math.max(-largest, x))).buffer),
    }),
    read: (bytes) => (i) => bytes.getInt16(2 * i, true),
    unit: { from: "largest", bits: 8 },
    errorFeedback: false,
  },
};

const half = (which: "low" | "high") => `(i32x4.extend_${which}_i16x8_s (local.get $x))`;
const lane = (index: number) => `(f64.convert_i32_s (i32x4.extract_lane ${index} (local.get $dot)))`;
const text = `
(func $inspectFixed16 (param $source i32) (param $blocks i32) (param $report i32) (result f64)
  (local $end i32) (local $x v128) (local $largest v128) (local $dot v128) (local $sum f64)
  ${blocks(
    128,
    `(local.set $largest (i32x4.max_s (local.get $largest) (i32x4.max_s (i32x4.abs ${half("low")}) (i32x4.abs ${half("high")}))))
     (local.set $dot (i32x4.dot_i16x8_s (local.get $x) (local.get $x)))
     (local.set $sum (f64.add (local.get $sum) (f64.add (f64.add ${lane(0)} ${lane(1)}) (f64.add ${lane(2)} ${lane(3)}))))`,
  )}
  (v128.store (local.get $report) (f32x4.convert_i32x4_s (local.get $largest)))
  (local.get $sum))

(func $addFixed16 (param $source i32) (param $blocks i32) (param $low i32) (local $end i32) (local $x v128)
  ${blocks(128, accumulate(0, half("low")) + accumulate(16, half("high")) + advance(32))})`;

interface Kernels {
  inspectFixed16(source: number, blocks: number, report: number): number;
  addFixed16(source: number, blocks: number, low: number): void;
}

const reduction: CodecReduction = {
  kind: "fixed16",
  coding: {
    text,
    inspect({ inspectFixed16 }: Kernels, { part, element, blocks, report }) {
      return inspectFixed16(part + 2 * element, blocks, report);
    },
    sums: {
      kind: "low",
      add({ addFixed16 }: Kernels, { part, element, blocks }, _factor, low) {
        addFixed16(part + 2 * element, blocks, low);
      },
    },
  },
};

const SAMPLES = 22;
const runTag = "0123456789abcdef0123456789abcdef";
const settings = {
  model: { kind: "lenet", widths: [4, 6, 33] },
  data: { kind: "idx", trainSamples: SAMPLES, testSamples: 5 },
  batch: 8,
  microbatch: 8,
  codec: "fixed16",
} as const;

describe("with both halves in the tables", () => {
  let removals: readonly (() => void)[] = [];
  beforeAll(() => {
    removals = [codecs.add(fixed16), codecReductions.add(reduction)];
  });
  afterAll(() => {
    for (const remove of removals) remove();
  });

  test("a device's leases sum to the same bits in any split and any order: those of the naive sum", {
    timeout: 300_000,
  }, async () => {
    const config = tinyConfig(settings);
    const dataset = tinyDataset(config);
    const state = createTrainingState(config, dataset);
    const layout = phaseLayout(state.networks, phaseOf("teacher"));
    const wire = wireLayout(layout, "fixed16");
    // Finer than before the first round, and so coarse that a whole lease fits 16 bits.
    const exponents = exponentsFor(state, "teacher", layout).map((e, i) => (layout.tensors[i]!.wide ? -12 : e));
    const draw = rng(3, "images");
    const pixels = Float32Array.from({ length: SAMPLES * 784 }, () => draw.normal());
    const labels = Uint32Array.from({ length: SAMPLES }, (_, i) => i % 10);
    const input = (from: number, to: number) => ({
      image: pixels.slice(from * 784, to * 784),
      label: labels.slice(from, to),
    });
    const trainer = createTrainer(await testDevice(), trainerRun(config));
    try {
      for (const set of parameterSets(state.networks)) {
        const { hash, bytes } = wireBlob(state, set);
        trainer.loadParameters(set, hash, bytes);
      }
      let count = 0;
      /** The frame of a lease, as it travels. */
      const answer = async (from: number, to: number) => {
        const lease: LeaseMessage = {
          type: "lease",
          lease: ++count,
          phase: "teacher",
          network: "teacher",
          step: 0,
          round: 7,
          pass: 0,
          epoch: 0,
          split: "train",
          ranges: [{ from, to }],
          parametersHash: wireBlob(state, "teacher").hash,
          partners: {},
          weights: {},
          frozen: {},
          codec: config.codec,
          era: 0,
          exponents,
          timeoutMs: 60_000,
        };
        const received = decodeCoordinatorMessage(encodeMessage(lease)) as LeaseMessage;
        const result = await trainer.compute(received, input, () => false);
        if (result === "aborted") throw new Error("nobody aborted this lease");
        const header = {
          kind: "contribution",
          codec: lease.codec,
          round: lease.round,
          lease: lease.lease,
          samples: result.samples,
          tensors: layout.tensors.length,
          run: runTag,
          parametersHash: lease.parametersHash,
        } as const;
        return encodeContributionFrame(header, { ...result, checksum: 0 });
      };
      const splits = [
        [await answer(0, 22)],
        [await answer(0, 16), await answer(16, 22)],
        [await answer(0, 8), await answer(8, 16), await answer(16, 22)],
      ];
      const terms = { round: 7, parametersHash: wireBlob(state, "teacher").hash, codec: "fixed16" };
      const arrivals = splits.flatMap((frames) => [frames, frames.toReversed(), [...frames.slice(1), frames[0]!]]);
      const sums = arrivals.map((frames) => {
        const sum = new RoundSum(layout, exponents, "fixed16");
        for (const bytes of frames) {
          const frame = sum.decode(bytes, bytes.length);
          expect(frame.header.codec).toBe("fixed16");
          const { peaks, body } = readContribution(frame, { terms, layout, runTag });
          sum.add(frame.header.samples, peaks, body);
        }
        expect(sum.samples).toBe(SAMPLES);
        return layout.tensors.map(({ name }) => [...sum.mean(name)]);
      });
      for (const sum of sums) expect(sum).toEqual(sums[0]);

      const naive = new Float64Array(layout.size);
      for (const bytes of splits[2]!) {
        const frame = decodeFrame(bytes, bytes.length);
        const { body } = readContribution(frame, { terms, layout, runTag });
        addContribution(wire, body, frame.header.samples, exponents, naive);
      }
      for (const { at, size, index } of wire.tensors) {
        const units = [...naive.subarray(at, at + size)];
        expect(units.map((x) => (x * 2 ** exponents[index]!) / SAMPLES)).toEqual(sums[0]![index]);
        if (at < wire.plain) continue;
        // Nothing was held to 16 bits, and the gradients are there.
        expect(units.every((x) => Math.abs(x) < largest)).toBe(true);
        expect(units.filter((x) => x !== 0).length).toBeGreaterThan(size / 4);
      }
      expect(wire.bytes).toBe(4 * wire.plain + 2 * wire.wide);
      expect(wire.wide).toBeGreaterThan(1024);
    } finally {
      trainer.close();
    }
  });

  test("a whole run with it ends with the same bits for one worker and for three, and its units fit 16 bits", async () => {
    const config = { codec: "fixed16" };
    const [alone, together] = [await startTestRun({ config }), await startTestRun({ config })];
    const one = await workToTheEnd(alone, 1);
    const three = await workToTheEnd(together, 3);
    expect(one).toMatchObject({ finished: true, step: 24 });
    expect(three.paramsHash).toBe(one.paramsHash);
    expect(await stepHashes(together)).toEqual(await stepHashes(alone));
    const exact = await workToTheEnd(await startTestRun(), 1);
    expect(one.paramsHash).not.toBe(exact.paramsHash);
    // Eight times a peak of 1 is 2^8 units of 2^-5; before the first, 2^5 is.
    expect([nextExponent(1, 0, 8), initialExponent("gradient", 8, { from: "largest", bits: 8 })]).toEqual([-5, -3]);
  });

  test("what it says of itself holds everywhere: no scale, no early seal, no robust mean", () => {
    const config = tinyConfig(settings);
    expect(sealMode(config)).toBe("complete");
    expect(() => tinyConfig({ ...settings, trust: { clip: "trimmed-mean" } })).toThrow(/codec fixed16 could not keep/);
    const tensor = { name: "w", kind: "gradient", role: "float", offset: 0, size: 64, wide: true } as const;
    const layout = { tensors: [tensor], size: 64, segments: Uint32Array.of(0), metrics: [] };
    const sum = new RoundSum(layout, [0], "fixed16");
    const body = new Uint8Array(Int16Array.from({ length: 64 }, (_, i) => 1000 * (i - 32)).buffer);
    const checked = sum.check(3, Uint32Array.of(0), body);
    expect(checked.norms.gradient).toBeCloseTo(
      Math.hypot(...Array.from({ length: 64 }, (_, i) => 1000 * (i - 32))) / 3,
      6,
    );
    expect(() => checked.commit(0.5)).toThrow(RangeError);
  });

  test("its number is its own, and a byte", () => {
    expect(() => codecs.add({ ...fixed16, kind: "other" })).toThrow(/number 77 is that of fixed16/);
    expect(() => codecs.add({ ...fixed16, kind: "other", number: 256 })).toThrow(/from 1 to 255, got 256/);
    expect(codecs.has("other")).toBe(false);
  });
});

describe("with one half only", () => {
  test("a codec that the reduction lacks is refused by name, before anything is summed", () => {
    const remove = codecs.add(fixed16);
    try {
      const refused = expect.objectContaining({
        code: "CONFIG_INVALID",
        message: "codec fixed16: it is in shared/codecs, and not in coordinator/sum/reduction; add its half there",
      });
      expect(requireBothHalves).toThrow(refused);
      expect(() => new Reduction()).toThrow(refused);
    } finally {
      remove();
    }
  });

  test("so is one that only the reduction has, and one whose halves do not agree", () => {
    const remove = codecReductions.add(reduction);
    try {
      expect(requireBothHalves).toThrow(/codec fixed16: .* not in shared\/codecs/);
      const removeShared = codecs.add({ ...fixed16, coding: null });
      expect(requireBothHalves).toThrow("codec fixed16: its reduction codes tensors, its shared half none");
      removeShared();
    } finally {
      remove();
    }
    expect(requireBothHalves).not.toThrow();
    expect(() => tinyConfig(settings)).toThrow(/codec: .*"exact"\|"f32"\|"f16"\|"int8"\|"sign".*got "fixed16"/);
  });
});
