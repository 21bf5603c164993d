// The vectors of steps on a real device: what kernels compute is what the float64 arithmetic beside the vectors says.

import { readFile } from "node:fs/promises";
import { afterAll, expect, test } from "vitest";
import { sha256Hex } from "../../shared/base/hash.ts";
import { phasesOf } from "../../shared/run/program.ts";
import { METRICS, phaseLayout } from "../../shared/wire/contribution.ts";
import { blobLayout, encodeBlob } from "../../shared/wire/parameter-blob.ts";
import { setLayout, setManifest } from "../../shared/wire/parameter-set.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import { createTrainer } from "../../worker/trainer/trainer.ts";
import type { Trainer } from "../../worker/trainer/trainer-contract.ts";
import { testDevice } from "../fixtures/device.ts";
import { type local, localLease } from "./cases/local.ts";
import { vectorDataset } from "./cases/run.ts";
import { computed, exponentsOf, microbatch, type steps } from "./cases/steps.ts";
import { floatsFromBase64 } from "./text.ts";

const stored = JSON.parse(
  await readFile(new URL("../../test/vectors/steps.json", import.meta.url), "utf8"),
) as ReturnType<typeof steps>;

/** Of a tensor's largest element: float32 sums of hundreds of terms. */
const TOLERANCE = 2e-5;

const trainers: Trainer[] = [];
afterAll(() => {
  for (const trainer of trainers) trainer.close();
});

test.each(stored.cases)("M2 the device computes the vectors' $name", { timeout: 300_000 }, async (vector) => {
  const { config, networks, phase, sets } = computed(vector.config, vector.phase);
  const dataset = vectorDataset();
  const trainer = createTrainer(await testDevice(), { config, dataset, program: phasesOf(config).outline });
  trainers.push(trainer);
  const load = (set: string) => {
    const bytes = encodeBlob(setManifest(networks, set), setLayout(networks, config, set), sets[set]);
    const hash = sha256Hex(bytes);
    trainer.loadParameters(set, hash, bytes);
    return hash;
  };
  const freeze = (network: string) => {
    const { manifest } = networks[network];
    const bytes = encodeBlob(manifest, blobLayout(manifest), sets[network]);
    trainer.loadFrozen(network, sha256Hex(bytes), bytes);
    return [network, sha256Hex(bytes)];
  };
  const layout = phaseLayout(networks, phase);
  const samples = stored.samples.length;
  const lease: LeaseMessage = {
    type: "lease",
    lease: 1,
    phase: phase.name,
    network: phase.network,
    step: 0,
    round: 0,
    pass: 0,
    epoch: 0,
    split: phase.evaluate ? "test" : "train",
    ranges: [{ from: 0, to: samples }],
    parametersHash: load(phase.network),
    partners: Object.fromEntries(phase.partners.map((set) => [set, load(set)])),
    weights: vector.lambda === undefined ? {} : { adversarial: vector.lambda },
    codec: "exact",
    era: 0,
    exponents: exponentsOf(layout.tensors),
    timeoutMs: 60_000,
    frozen: Object.fromEntries(phase.needs.map(freeze)),
  };
  const compute = async (codec: "exact" | "f32") => {
    const result = await trainer.compute(
      { ...lease, codec },
      () => microbatch(config),
      () => false,
    );
    if (result === "aborted") throw new Error("nobody aborted this lease");
    return result;
  };
  const sums = new Float32Array((await compute("f32")).body.slice().buffer);
  const units = new Int32Array((await compute("exact")).body.slice().buffer);
  layout.tensors.forEach(({ name, offset }, index) => {
    const { values, every, exponent, units: said } = vector.tensors[index];
    const wanted = floatsFromBase64(values);
    const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    wanted.forEach((value, i) => {
      const actual = sums[offset + i * every] / samples;
      expect(Math.abs(actual - value), `${name}[${i * every}]`).toBeLessThanOrEqual(TOLERANCE * largest + 2e-8);
      const unit = 2 ** exponent / samples;
      expect(Math.abs(units[offset + i * every] * unit - actual), `${name} in units`).toBeLessThanOrEqual(unit);
    });
    if (name !== METRICS) return;
    for (const [i, one] of said!.entries()) expect(Math.abs(units[offset + i] - one)).toBeLessThanOrEqual(1);
  });
});

test("M4 the device's inner steps end there too", { timeout: 300_000 }, async () => {
  const text = await readFile(new URL("../../test/vectors/local.json", import.meta.url), "utf8");
  const vector = JSON.parse(text) as ReturnType<typeof local>;
  const { config, networks, phase, before } = localLease();
  const trainer = createTrainer(await testDevice(), {
    config,
    dataset: vectorDataset(),
    program: phasesOf(config).outline,
  });
  trainers.push(trainer);
  const { network } = phase;
  const bytes = encodeBlob(setManifest(networks, network), setLayout(networks, config, network), before);
  trainer.loadParameters(network, sha256Hex(bytes), bytes);
  const layout = phaseLayout(networks, phase, "local");
  const { image, label } = microbatch(config);
  const pixels = image.length / label.length;
  const result = await trainer.compute(
    {
      type: "lease",
      lease: 1,
      phase: phase.name,
      network,
      step: 0,
      round: 0,
      pass: 0,
      epoch: 0,
      split: "train",
      ranges: [{ from: 0, to: label.length }],
      parametersHash: sha256Hex(bytes),
      partners: {},
      weights: {},
      innerLearningRate: vector.innerLearningRate,
      codec: "f32",
      era: 0,
      exponents: layout.tensors.map(() => -20),
      timeoutMs: 60_000,
      frozen: {},
    },
    (from, to) => ({ image: image.slice(from * pixels, to * pixels), label: label.slice(from, to) }),
    () => false,
  );
  if (result === "aborted") throw new Error("nobody aborted this lease");
  const sums = new Float32Array(result.body.slice().buffer);
  layout.tensors.forEach(({ name, offset }, index) => {
    const wanted = floatsFromBase64(vector.tensors[index].values);
    const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    wanted.forEach((value, i) => {
      // A difference is of two float32 that are far larger.
      const limit = TOLERANCE * largest + 2e-6;
      expect(Math.abs(sums[offset + i] - value), `${name}[${i}]`).toBeLessThanOrEqual(limit);
    });
  });
});
