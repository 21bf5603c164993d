// A task that is written here and nowhere else, with two inputs and a loss of its own, trains for real: its halves are
// registered while the program runs, a device computes its leases, the coordinator makes the steps.

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { engineStatus } from "../../coordinator/engine/local/engine-status.ts";
import { statusBlock } from "../../coordinator/program/progress-text.ts";
import { Ledger } from "../../coordinator/round/ledger.ts";
import { exponentsFor } from "../../coordinator/state/exponents.ts";
import { scoreOf } from "../../coordinator/state/scores.ts";
import { createTrainingState, recordEvaluation, wireBlob } from "../../coordinator/state/training-state.ts";
import { applyRound } from "../../coordinator/state/update.ts";
import { RoundSum } from "../../coordinator/sum/aggregate.ts";
import { kernel, read, readWrite } from "../../kernels/text/dispatch.ts";
import { rng } from "../../shared/base/rng.ts";
import { type Dataset, shardBytes } from "../../shared/data/dataset.ts";
import { labelOf } from "../../shared/data/shard-layout.ts";
import { GraphBuilder, type NodeId } from "../../shared/model/graph.ts";
import { defineModel } from "../../shared/model/networks/model.ts";
import { models } from "../../shared/model/networks/models.ts";
import { evaluationOf, phaseNamed } from "../../shared/model/phases.ts";
import { RUNNING_STATISTIC_MOMENTUM as M } from "../../shared/model/running-statistic.ts";
import { parseConfig } from "../../shared/run/config.ts";
import { placeOf } from "../../shared/run/program.ts";
import { sampleOrder } from "../../shared/samples/sample-order.ts";
import { defineTask } from "../../shared/tasks/task.ts";
import { tasks } from "../../shared/tasks/tasks.ts";
import { phaseLayout } from "../../shared/wire/contribution.ts";
import { parameterSets } from "../../shared/wire/parameter-set.ts";
import { decodeCoordinatorMessage, encodeMessage, type LeaseMessage } from "../../shared/wire/protocol.ts";
import type { DeviceTask } from "../../worker/tasks/device-task.ts";
import { deviceTasks } from "../../worker/tasks/device-tasks.ts";
import { createTrainer } from "../../worker/trainer/trainer.ts";
import { heldDecoder } from "../fixtures/decode-samples.ts";
import { testDevice } from "../fixtures/device.ts";

const SIDE = 8;
/** Columns of the left part; the others are the right part. */
const LEFT = 3;

/** How bright two parts of an image are together, from two networks that share their weights. */
const brightness = defineTask({
  kind: "brightness",
  schema: z.strictObject({ kind: z.literal("brightness"), weight: z.number().positive().default(1) }),
  inputs: (_, { dataset: { shape } }) => [
    { name: "left", h: shape.h, w: LEFT, c: shape.c },
    { name: "right", h: shape.h, w: shape.w - LEFT, c: shape.c },
  ],
  targets: () => [{ name: "sum", type: "f32", size: 1 }],
  decoder:
    (_, { dataset: { shape } }) =>
    ({ content, target }, _draws, { inputs, targets }) => {
      const { left, right } = inputs;
      for (let y = 0; y < shape.h; y++) {
        for (let x = 0; x < shape.w; x++) {
          const value = content[y * shape.w + x] / 255;
          if (x < LEFT) left[y * LEFT + x] = value;
          else right[y * (shape.w - LEFT) + x - LEFT] = value;
        }
      }
      targets.sum[0] = labelOf(target) / 1000;
    },
  head: () => (graph, left, right) => {
    const both = graph.add({ op: "add", input: left, other: right });
    return graph.add({ op: "linear", name: "out", input: both, out: 1 });
  },
  output: { name: "brightness", text: "float32, that of both parts together" },
  metrics: ["distance"],
  score: {
    name: "mean distance",
    better: "lower",
    of: ({ distance }) => distance,
    text: (value) => value.toFixed(3),
    sentence: (value) => `within ${value.toFixed(3)} on average`,
  },
});

function squaredDistance(n: number, weight: number) {
  return kernel({
    label: `squaredDistance ${n}`,
    constants: { N: n },
    floats: { WEIGHT: weight },
    storage: [read("output"), read("wanted"), readWrite("gradient"), readWrite("metrics")],
    items: 1,
    workgroupSize: 1,
    body: `
var loss = 0.0;
var distance = 0.0;
for (var i = 0u; i < N; i++) {
  let d = output[i] - wanted[i];
  gradient[i] = WEIGHT * d / f32(N);
  loss += 0.5 * WEIGHT * d * d;
  distance += abs(d);
}
metrics[0] = loss / f32(N);
metrics[1] = distance / f32(N);`,
  });
}

const deviceBrightness: DeviceTask = {
  kind: "brightness",
  loss: (options) => {
    const { weight } = brightness.schema.parse(options) as { weight: number };
    return (list, { n, output, target }) => {
      const gradient = list.tensor(n);
      const metrics = list.tensor(2);
      list.run(squaredDistance(n, weight), { output, wanted: target("sum", 1), gradient, metrics });
      return { gradient, metrics };
    };
  },
};

/** conv, batch norm, the method's layer, batch norm, PReLU and the mean: twice, with one set of weights. */
const twins = defineModel({
  kind: "twins",
  schema: z.strictObject({ kind: z.literal("twins"), width: z.number().int().positive().default(8) }),
  build: ({ width }, { inputs, head }, method) => {
    const g = new GraphBuilder(...inputs);
    const window = { kernel: 3, stride: 1, padding: 1 };
    const branch = (prefix: string, input: NodeId) => {
      const named = (name: string) => ({ name: `${prefix}.${name}`, weights: name });
      let h = g.add({ op: "conv", ...named("conv1"), input, out: width, ...window });
      h = g.add({ op: "batchnorm", ...named("bn1"), input: h });
      h = method.body(g, { ...named("conv2"), input: h, out: width, ...window });
      h = g.add({ op: "batchnorm", ...named("bn2"), input: h });
      h = g.add({ op: "activation", kind: "prelu", ...named("prelu2"), input: h });
      return g.add({ op: "globalpool", input: h });
    };
    const [left, right] = g.inputs.map((input, i) => branch(inputs[i].name ?? "", input));
    return g.build(head(g, left, right));
  },
});

const SAMPLES = 64;
const TESTED = 16;

/** A split of images whose parts have each a brightness of their own, and the shard that it lies in. */
function splitOf(samples: number, digit: string) {
  const draws = rng(5, "brightness", digit);
  const bytes = new Uint8Array(samples * (SIDE * SIDE + 2));
  const labels = new DataView(bytes.buffer, samples * SIDE * SIDE);
  for (let i = 0; i < samples; i++) {
    const [left, right] = [draws.uniform(), draws.uniform()];
    for (let at = 0; at < SIDE * SIDE; at++) {
      const level = at % SIDE < LEFT ? left : right;
      bytes[i * SIDE * SIDE + at] = Math.round(255 * (0.1 + 0.7 * level + 0.2 * draws.uniform()));
    }
    labels.setUint16(2 * i, Math.round(1000 * (left + right)), true);
  }
  return { sha256: digit.repeat(64), bytes };
}

const train = splitOf(SAMPLES, "a");
const tested = splitOf(TESTED, "b");
const shape = { h: SIDE, w: SIDE, c: 1 };
const shards = ({ sha256 }: typeof train, samples: number) => ({
  samples,
  shards: [{ sha256, samples, bytes: shardBytes({ shape }, samples) }],
});
const dataset: Dataset = {
  name: "parts",
  format: { kind: "raw" },
  shape,
  classes: 0,
  mean: [0.5],
  std: [0.25],
  train: shards(train, SAMPLES),
  test: shards(tested, TESTED),
};
const settings = {
  task: { kind: "brightness" },
  model: { kind: "twins" },
  data: { kind: "idx", trainSamples: SAMPLES, testSamples: TESTED },
  method: { kind: "rbcn", ablation: "R" },
  epochs: 12,
  batch: 16,
  microbatch: 16,
};

describe("with both halves in the tables", () => {
  let removals: readonly (() => void)[] = [];
  beforeAll(() => {
    removals = [tasks.add(brightness), deviceTasks.add(deviceBrightness), models.add(twins)];
  });
  afterAll(() => {
    for (const remove of removals) remove();
  });

  /** A run whose leases one worker computes, on the process's device. */
  async function openRun(overrides: Record<string, unknown> = {}) {
    const config = parseConfig({ ...settings, ...overrides });
    const state = createTrainingState(config, dataset);
    const { program } = state;
    const held = new Map([train, tested].map(({ sha256, bytes }) => [sha256, bytes]));
    const decode = heldDecoder(config, dataset);
    const trainer = createTrainer(await testDevice(), { config, dataset, program });
    let count = 0;
    /** The sum of a round over positions [from, to), a lease a microbatch. */
    const roundOf = async (name: string, split: "train" | "test", epoch: number, from: number, to: number) => {
      const phase = phaseNamed(program, name);
      const layout = phaseLayout(state.networks, phase, config.sync.kind);
      const exponents = exponentsFor(state, name, layout);
      for (const set of parameterSets(state.networks)) {
        const { hash, bytes } = wireBlob(state, set);
        trainer.loadParameters(set, hash, bytes);
      }
      const sum = new RoundSum(layout, exponents, config.codec);
      const order = sampleOrder(config.seed, dataset, { phase: name, epoch, split });
      for (let at = from; at < to; at += config.microbatch) {
        const lease: LeaseMessage = {
          type: "lease",
          lease: ++count,
          phase: name,
          network: phase.network,
          step: state.step,
          round: count,
          pass: 0,
          epoch,
          split,
          ranges: [{ from: at, to: Math.min(at + config.microbatch, to) }],
          parametersHash: wireBlob(state, phase.network).hash,
          partners: {},
          weights: {},
          ...(config.sync.kind === "local" ? { innerLearningRate: 0.1 } : {}),
          codec: config.codec,
          era: 0,
          exponents,
          timeoutMs: 60_000,
          frozen: {},
        };
        const received = decodeCoordinatorMessage(encodeMessage(lease)) as LeaseMessage;
        const input = (start: number, end: number) => {
          const samples = Array.from({ length: end - start }, (_, i) => order(start + i));
          return decode(received, samples, held).input;
        };
        const result = await trainer.compute(received, input, () => false);
        if (result === "aborted") throw new Error("nobody aborted this lease");
        sum.add(result.samples, result.peaks, result.body);
      }
      return sum;
    };
    return { config, state, program, roundOf, close: () => trainer.close() };
  }

  const statistic = "bn1.running_var";
  /** What a running statistic becomes by the batch's of both branches. */
  const folded = (running: ArrayLike<number>, z: ArrayLike<number>, x: ArrayLike<number>) =>
    Array.from(z, (batch, i) => (1 - M) ** 2 * running[i] + M * (1 - M) * batch + M * x[i]);
  /** But for what a unit rounds off. */
  const near = (actual: ArrayLike<number>, expected: readonly number[]) => {
    expected.forEach((value, i) => {
      expect(actual[i]).toBeCloseTo(value, 3);
    });
  };

  test("its loss falls on a device, and everybody calls its score by its own name", { timeout: 300_000 }, async () => {
    const { config, state, program, roundOf, close } = await openRun();
    const running = () => state.parameters.student.get(statistic) as Float32Array;
    try {
      expect(state.networks.student.manifest.entries.filter(({ name }) => name === "conv2.weight")).toHaveLength(1);
      const losses: number[] = [];
      while (state.step < program.steps) {
        const place = placeOf(program, state.step, config.batch);
        const sum = await roundOf(place.pass.phase, "train", place.pass.epoch, place.from, place.to);
        const expected = folded(running(), sum.mean(statistic), sum.mean(`${statistic}#1`));
        const { loss, score } = applyRound(state, place, sum);
        losses.push(loss.task);
        expect(score).toBe(sum.metrics().distance);
        near(running(), expected);
      }
      const mean = (values: readonly number[]) => values.reduce((a, b) => a + b) / values.length;
      expect(mean(losses.slice(-8))).toBeLessThan(0.5 * mean(losses.slice(0, 8)));

      const phase = evaluationOf(program, "student");
      if (!phase) throw new Error("nothing evaluates the student");
      const metrics = (await roundOf(phase.name, "test", 0, 0, TESTED)).metrics();
      recordEvaluation(state, "student", scoreOf(config).of(metrics));
      expect(metrics.distance).toBeLessThan(0.25);

      const status = engineStatus({
        run: "r",
        progress: state,
        ledger: new Ledger(),
        rounds: { progress: { collected: 0, wanted: 0 }, working: true, workers: 1, reason: "" },
        target: program.steps,
        phase: "done",
        evaluating: undefined,
        pace: new Map(),
        loss: { task: 0.01 },
        batchScore: 0.125,
        bytes: undefined,
        loopDelay: null,
      });
      const received = decodeCoordinatorMessage(encodeMessage({ type: "status", status }));
      const { distance: value } = metrics;
      const score = { name: "mean distance", better: "lower", value, text: value.toFixed(3), title: "1-bit network" };
      expect(received).toMatchObject({
        status: { batchScore: { name: "mean distance", text: "0.125" }, scores: { student: score } },
      });
      expect(statusBlock(status, 120).join("\n")).toContain("batch mean distance 0.125");
      expect(JSON.stringify(status)).not.toMatch(/accuracy|top1/);
    } finally {
      close();
    }
  });

  test("a worker that takes inner steps folds both branches' statistics too", { timeout: 300_000 }, async () => {
    const together = await openRun();
    const local = await openRun({ sync: { kind: "local" } });
    try {
      const sent = await together.roundOf("student", "train", 0, 0, 16);
      const initial = together.state.parameters.student.get(statistic) as Float32Array;
      const replica = await local.roundOf("student", "train", 0, 0, 16);
      near(replica.mean(statistic), folded(initial, sent.mean(statistic), sent.mean(`${statistic}#1`)));
    } finally {
      together.close();
      local.close();
    }
  });

  test("a model of one input says that it does not fit", () => {
    const config = parseConfig({ ...settings, model: { kind: "lenet" } });
    expect(() => createTrainingState(config, dataset)).toThrow(/this model has one input; the task gives left, right/);
  });

  test("what stands beside its kind is its own", () => {
    expect(parseConfig({ ...settings, task: { kind: "brightness", weight: 2 } }).task).toMatchObject({ weight: 2 });
    expect(() => parseConfig({ ...settings, task: { kind: "brightness", labelSmoothing: 0 } })).toThrow(
      /task\.labelSmoothing/,
    );
  });
});

test("a task that the device has no half of is refused by name, before a sample is computed", async () => {
  const removals = [tasks.add(brightness), models.add(twins)];
  try {
    const config = parseConfig(settings);
    const device = await testDevice();
    const { program } = createTrainingState(config, dataset);
    expect(() => createTrainer(device, { config, dataset, program })).toThrow(
      expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringMatching(/device half.*"brightness"/) }),
    );
  } finally {
    for (const remove of removals) remove();
  }
});

test("without it the task is not known, and those that are stand in the error", () => {
  expect(() => parseConfig(settings)).toThrow(/task\.kind: .*classification.*brightness/s);
});
