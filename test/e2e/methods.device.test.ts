// Every method learns: the coordinator as it is, a real worker on the tests' device, Fashion-MNIST; a line a method,
// and with `npm run test:long` more of a method that takes other ways. What it learned is in its export, on the same
// images. More of their options learn in test/coordinator/state/, without sockets.

import { expect, test } from "vitest";
import { exportedNetwork } from "../../coordinator/checkpoint/export.ts";
import { writeOnnx } from "../../coordinator/export/onnx/onnx-model.ts";
import { evaluateCommand } from "../../coordinator/program/evaluate-command.ts";
import type { OpenRun } from "../../coordinator/run/open-run.ts";
import { methods } from "../../shared/model/methods/methods.ts";
import { deviceWorker } from "../fixtures/device-worker.ts";
import { inRotation } from "../fixtures/in-rotation.ts";
import { runOnnx } from "../fixtures/onnx-runtime.ts";
import { referenceForward } from "../fixtures/reference-forward.ts";
import { testImages } from "../fixtures/test-images.ts";
import { startTestRun } from "../fixtures/test-run.ts";

const EPOCHS = 2;
const fields = {
  model: { kind: "lenet", widths: [4, 8, 32] },
  data: { kind: "fashion-mnist", trainSamples: 512, testSamples: 128 },
  batch: 32,
  microbatch: 32,
  epochs: EPOCHS,
  optimizer: { learningRate: 0.05 },
  checkpoint: { everySteps: 1000 },
};
const adam = { optimizer: { learningRate: 0.05, latent: { kind: "adam", rate: 0.02 } } };

const taught = { teacher: { epochs: 1 } };
const maps = { objective: { kind: "features", guide: "teacher" }, tuneNorms: "off" };

/** Fields of the method, and others of the run. */
const table: readonly (readonly [title: string, method: Record<string, unknown>, run?: Record<string, unknown>])[] = [
  ["full", { kind: "full" }],
  ["bnn", { kind: "bnn" }],
  ["xnor", { kind: "xnor" }],
  ["bireal", { kind: "bireal" }],
  ["bireal from a network of clipped inputs", { kind: "bireal", pretrain: 0.5 }],
  ["rbcn, R alone", { kind: "rbcn", ablation: "R" }],
  ["lab", { kind: "lab" }, adam],
  ["lab2", { kind: "lab", activations: "sign" }, adam],
  ["ttq", { kind: "ttq" }],
  ["ttq of signs", { kind: "ttq", activations: "sign" }],
  ["inq", { kind: "inq", portions: [0.5, 1], pretrain: 0.5 }, { epochs: 3 }],
  ["dorefa", { kind: "dorefa" }],
  ["abc of 1 base", { kind: "abc", weightBases: 1, activationBases: 1 }],
  ["abc of 3 bases", { kind: "abc" }],
  ["xnorpp", { kind: "xnorpp" }],
  ["polino by its teacher", { kind: "polino" }, taught],
  ["rbcn-pruned by the maps of its unpruned network", { kind: "rbcn-pruned" }, { ...taught, ...maps }],
  // The task has 0.3 of its weight.
  ["zhuang guided by a network beside it", { kind: "zhuang" }, { optimizer: { learningRate: 0.15 } }],
];

test("the table has every method", () => {
  expect(new Set(table.map(([, { kind }]) => kind))).toEqual(new Set(methods.kinds));
});

/** The first of each method; the others of it take their turn with `npm run test:long`. */
const due = table.filter(([, { kind }], at) => {
  const first = table.findIndex(([, other]) => other.kind === kind);
  return inRotation([kind], at - first, table.length).length === 1;
});

/** Images whose every logit is compared. */
const COMPARED = 32;
/**
 * Images whose logits may differ: float32 that is summed in another order can take a value beside 0 to the other side,
 * where its sign is all that the next layer sees.
 */
const MOST_OTHERWISE = 1;

/** On the processor, as `evaluate` has it: the accuracy on the run's test images. */
async function expectEvaluated(run: OpenRun, accuracy: number): Promise<void> {
  const printed: string[] = [];
  const print = async (text: string) => void printed.push(text);
  await evaluateCommand(run.directory.path, { data: "fashion-mnist", json: true }, print, () => undefined);
  const { samples, score, ownScore } = JSON.parse(printed.join(""));
  expect(ownScore.value).toBe(accuracy);
  expect(Math.abs(score.value - accuracy) * samples).toBeLessThanOrEqual(MOST_OTHERWISE);
  expect(ownScore.same).toBe(Math.abs(score.value - accuracy) * samples < 0.5);
}

/** In onnxruntime: which classes it finds on the run's test images, and logits to 1e-5 of the largest. */
async function expectExported(run: OpenRun, accuracy: number): Promise<void> {
  const { model } = await exportedNetwork(run.directory.path);
  const { h, w } = model.input;
  const { images, labels } = await testImages(run, model.input);
  const [answer] = await runOnnx(writeOnnx(model, "packed"), { dims: [labels.length, 1, h, w], images });
  const logitsOf = (all: ArrayLike<number>, n: number) => Array.from({ length: 10 }, (_, i) => all[10 * n + i]!);
  const most = (values: readonly number[]) => Math.max(...values.map(Math.abs));
  const right = labels.filter((label, n) => {
    const logits = logitsOf(answer!.values, n);
    return logits.indexOf(Math.max(...logits)) === label;
  });
  expect(Math.abs(right.length - accuracy * labels.length)).toBeLessThanOrEqual(MOST_OTHERWISE);
  const wanted = referenceForward(model, images.subarray(0, COMPARED * h * w));
  const otherwise = labels.slice(0, COMPARED).filter((_, n) => {
    const [ours, theirs] = [logitsOf(wanted, n), logitsOf(answer!.values, n)];
    return most(ours.map((one, i) => one - theirs[i]!)) > 1e-5 * most(ours);
  });
  expect(otherwise.length).toBeLessThanOrEqual(MOST_OTHERWISE);
}

test.each(due)(
  "X25 %s learns, and its exports have the score that the run measured",
  { timeout: 300_000 },
  async (_, method, run) => {
    const {
      run: opened,
      url,
      jsonLines,
      coordination,
    } = await startTestRun({
      config: { ...fields, ...(run as Record<string, unknown> | undefined), method },
    });
    expect(await deviceWorker(url)).toMatchObject({ kind: "ended" });
    const { scores } = await coordination.done;
    const losses = jsonLines.flatMap((line) => {
      const { event, loss } = JSON.parse(line);
      return event === "step" ? [loss.task as number] : [];
    });
    const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
    expect(mean(losses.slice(-6))).toBeLessThan(0.8 * mean(losses.slice(0, 6)));
    // Of ten classes.
    expect(scores.student?.value).toBeGreaterThan(0.25);
    await expectExported(opened, scores.student!.value);
    await expectEvaluated(opened, scores.student!.value);
  },
);
