// What a step moves for ResNet-18 at ImageNet's widths, down and up, against fp32: real optimizer steps with momentum
// on random gradients, through the coordinator's own encoding and the worker's own decoding. No GPU takes part.

import { deflateRawSync } from "node:zlib";
import {
  createTrainingState,
  parametersChanged,
  partnersChanged,
  type TrainingState,
  wireBlob,
} from "../../coordinator/state/training-state.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import { elementCount } from "../../shared/model/manifest.ts";
import { adamStep, sgdStep } from "../../shared/model/optimizer.ts";
import { parseConfig, type RunConfig } from "../../shared/run/config.ts";
import { phaseManifest } from "../../shared/run/networks.ts";
import { contributionLayout } from "../../shared/wire/contribution.ts";
import { payloadHeadBytes } from "../../shared/wire/contribution-payload.ts";
import { frameHeaderBytes } from "../../shared/wire/frame.ts";
import { parameter } from "../../shared/wire/parameter-blob.ts";
import { type ParameterSet, parameterSets, setManifest, wireForm } from "../../shared/wire/parameter-set.ts";
import { encodeWhole } from "../../shared/wire/parameter-update.ts";
import { wireLayout } from "../../shared/wire/wire-layout.ts";
import { digest } from "../../worker/platform/runtime-ports.ts";
import { ParameterStore } from "../../worker/session/parameter-store.ts";
import { everything, phaseOf } from "../fixtures/phases.ts";
import { downlinkOf } from "../fixtures/planned.ts";
import { rounded } from "./statistics.ts";

/** Steps before the one that is measured, so that momentum and Adam's moments are there. */
const WARM_STEPS = 3;
const RUN_TAG = "0".repeat(32);

/** One line: a set of parameters on its way down after a step of this size. */
export interface DownlinkLine {
  readonly case: string;
  /** Root mean square of the first step over that of the parameter. */
  readonly relativeStep: number;
  /** Share of the binary weights whose sign a step changes; null where there are none. */
  readonly flipped: number | null;
  readonly fp32Bytes: number;
  readonly wholeBytes: number;
  readonly changeBytes: number;
  /** Of the XOR of two whole updates, at zlib's level 6; null where no base is XORed. */
  readonly deflateBytes: number | null;
  readonly deflateMs: number | null;
  /** Rounding or moving the replica, laying out, hashing and coding, on the coordinator; once for all workers. */
  readonly encodeMs: number;
  /** Checking, decoding and hashing, on the worker. */
  readonly decodeMs: number;
}

/** One line: everything that a `student` step moves for one worker. */
export interface BothWaysLine {
  readonly case: string;
  readonly relativeStep: number;
  readonly downBytes: number;
  readonly upBytes: number;
  readonly fp32Bytes: number;
  /** How many times less than fp32. */
  readonly ratio: number;
}

type Emit = (line: DownlinkLine | BothWaysLine) => void;

function configOf(downlink: RunConfig["downlink"]): RunConfig {
  return parseConfig({
    model: { kind: "resnet", widths: [64, 128, 256, 512], blocks: [2, 2, 2, 2], stem: "imagenet" },
    data: { kind: "idx" },
    // Nothing here looks at it, and it would be 45 MiB.
    teacher: { file: "none" },
    downlink,
  });
}

const split = { samples: 4096, shards: [{ sha256: "0".repeat(64), samples: 4096, bytes: 1 }] };
const dataset: Dataset = {
  name: "ImageNet's shape",
  format: { kind: "raw" },
  shape: { h: 224, w: 224, c: 3 },
  classes: 1000,
  mean: [0.5, 0.5, 0.5],
  std: [0.25, 0.25, 0.25],
  train: split,
  test: split,
};

/** Near to a normal distribution and quick: the sum of four uniform draws, of deviation 1. */
function randomGradient(size: number, seed: number): Float32Array {
  const values = new Float32Array(size);
  let state = seed >>> 0;
  for (let i = 0; i < size; i++) {
    let sum = -2;
    for (let draw = 0; draw < 4; draw++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      sum += state / 2 ** 32;
    }
    values[i] = sum * Math.sqrt(3);
  }
  return values;
}

function rootMeanSquare(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value * value;
  return Math.sqrt(sum / values.length);
}

/**
 * SGD with momentum 0.9 on the student, its first step `relative` of each parameter's size; Adam on the discriminators.
 */
class Training {
  readonly #momentum = new Map<string, Float32Array>();
  readonly #moments = new Map<string, readonly [Float32Array, Float32Array]>();
  readonly #scales = new Map<string, number>();
  #step = 0;

  step(state: TrainingState, relative: number): void {
    this.#step++;
    const { adversarial } = state.config;
    setManifest(state.networks, "student").entries.forEach(({ name, role }, tensor) => {
      const values = parameter(state.parameters.student, name);
      if (!this.#scales.has(name)) this.#scales.set(name, relative * (rootMeanSquare(values) || 1));
      if (!this.#momentum.has(name)) this.#momentum.set(name, new Float32Array(values.length));
      const gradient = randomGradient(values.length, 7919 * this.#step + tensor);
      sgdStep(values, gradient, this.#momentum.get(name)!, {
        learningRate: this.#scales.get(name)!,
        momentum: 0.9,
        weightDecay: 0,
        nesterov: false,
      });
      if (role === "latent") values.set(values.map((w) => Math.min(1, Math.max(-1, w))));
    });
    state.networks.student.partners.discriminators.entries.forEach(({ name }, tensor) => {
      const values = parameter(state.parameters.student, name);
      if (!this.#moments.has(name)) {
        this.#moments.set(name, [new Float32Array(values.length), new Float32Array(values.length)]);
      }
      const [first, second] = this.#moments.get(name)!;
      adamStep(values, randomGradient(values.length, 104729 * this.#step + tensor), first, second, this.#step, {
        learningRate: adversarial.learningRate,
        betas: [adversarial.beta1, adversarial.beta2],
      });
    });
    parametersChanged(state, "student");
  }
}

function flippedShare(state: TrainingState, before: Uint8Array, after: Uint8Array): number {
  const manifest = setManifest(state.networks, "student").entries.filter(({ role }) => role === "latent");
  const { layout } = wireForm(state.networks, state.config, "student");
  let flips = 0;
  for (const { encoding, offset, bytes } of layout.tensors.values()) {
    if (encoding !== "signs") continue;
    for (let i = offset; i < offset + bytes; i++) {
      for (let bits = before[i] ^ after[i]; bits !== 0; bits &= bits - 1) flips++;
    }
  }
  return flips / manifest.reduce((sum, { shape }) => sum + elementCount(shape), 0);
}

const timed = async <T>(work: () => T | Promise<T>): Promise<[T, number]> => {
  const since = performance.now();
  const result = await work();
  return [result, rounded(performance.now() - since, 3)];
};

interface Measured {
  readonly line: DownlinkLine;
  readonly set: ParameterSet;
}

async function measure(state: TrainingState, relativeStep: number): Promise<Measured[]> {
  const { config, networks } = state;
  const downlink = downlinkOf(state, RUN_TAG);
  const store = new ParameterStore(
    new Map(parameterSets(networks).map((set) => [set, wireForm(networks, config, set)])),
    digest,
  );
  const training = new Training();
  const sets = ["student", "discriminators"] as const;
  const send = async (round: number) => {
    for (const set of sets) {
      const update = downlink.update(set, wireBlob(state, set), round, state.replicaChanges.get(set));
      for (const frame of downlink.frames(update, store.holds[set])) await store.receive(RUN_TAG, frame);
    }
  };
  for (let step = 0; step < WARM_STEPS; step++) {
    await send(step);
    training.step(state, relativeStep);
    partnersChanged(state, ["discriminators"]);
  }
  await send(WARM_STEPS);
  const before = { student: wireBlob(state, "student"), discriminators: wireBlob(state, "discriminators") };
  training.step(state, relativeStep);
  const measured: Measured[] = [];
  for (const set of sets) {
    const form = wireForm(networks, config, set);
    const [update, encodeMs] = await timed(() => {
      if (set === "discriminators") partnersChanged(state, ["discriminators"]);
      return downlink.update(set, wireBlob(state, set), WARM_STEPS + 1, state.replicaChanges.get(set));
    });
    const [frame] = downlink.frames(update, before[set].hash);
    const [whole] = downlink.frames(update, undefined);
    const [, decodeMs] = await timed(() => store.receive(RUN_TAG, frame));
    if (store.holds[set] !== update.hash) throw new Error(`the worker holds another ${set} than was sent`);
    const after = wireBlob(state, set);
    let deflated: { bytes: number; ms: number } | undefined;
    if (form.floats !== "int8") {
      const [old, fresh] = [encodeWhole(form, before[set].bytes), encodeWhole(form, after.bytes)];
      for (let i = 0; i < fresh.length; i++) fresh[i] ^= old[i];
      const [{ length }, ms] = await timed(() => deflateRawSync(fresh, { level: 6 }));
      deflated = { bytes: length, ms };
    }
    const elements = setManifest(networks, set).entries.reduce((sum, { shape }) => sum + elementCount(shape), 0);
    measured.push({
      set,
      line: {
        case: `${set} ${form.floats}`,
        relativeStep,
        flipped: set === "student" ? rounded(flippedShare(state, before[set].bytes, after.bytes)) : null,
        fp32Bytes: 4 * elements,
        wholeBytes: whole.length,
        changeBytes: frame.length,
        deflateBytes: deflated?.bytes ?? null,
        deflateMs: deflated?.ms ?? null,
        encodeMs,
        decodeMs,
      },
    });
  }
  return measured;
}

/** Of a `student` round's contribution, with and without the discriminators' gradients. */
function uplinkBytes({ networks }: TrainingState, codec: "sign" | "f32", discriminators: boolean): number {
  const manifest = discriminators ? phaseManifest(networks, phaseOf("student")) : networks.student.manifest;
  const layout = contributionLayout(manifest, everything);
  return frameHeaderBytes + payloadHeadBytes(layout.tensors.length) + wireLayout(layout, codec).bytes;
}

export async function benchDownlink(emit: Emit): Promise<void> {
  for (const relativeStep of [1e-4, 1e-3, 1e-2]) {
    const lines = new Map<string, DownlinkLine>();
    let state: TrainingState | undefined;
    for (const [tail, discriminators] of [
      ["f32", "f32"],
      ["f16", "f16"],
      ["f16", "int8"],
    ] as const) {
      const config = configOf({ tail, discriminators, teacher: "f16" });
      state = createTrainingState(config, dataset);
      for (const { line } of await measure(state, relativeStep)) {
        if (lines.has(line.case)) continue;
        lines.set(line.case, line);
        emit(line);
      }
    }
    const bothWays = (name: string, down: readonly string[], whole = false) => {
      const withDiscriminators = down.length > 1;
      const moved = down.map((key) => lines.get(key)!);
      const downBytes = moved.reduce((sum, line) => sum + (whole ? line.wholeBytes : line.changeBytes), 0);
      const upBytes = uplinkBytes(state!, "sign", withDiscriminators);
      const fp32Bytes =
        moved.reduce((sum, line) => sum + line.fp32Bytes, 0) + uplinkBytes(state!, "f32", withDiscriminators);
      emit({
        case: name,
        relativeStep,
        downBytes,
        upBytes,
        fp32Bytes,
        ratio: rounded(fp32Bytes / (downBytes + upBytes), 3),
      });
    };
    bothWays("both ways, sign up; f32 tail, without discriminators", ["student f32"]);
    bothWays("both ways, sign up; f16 tail, without discriminators", ["student f16"]);
    for (const d of ["f32", "f16", "int8"]) {
      bothWays(`both ways, sign up; f16 tail, discriminators ${d}`, ["student f16", `discriminators ${d}`]);
    }
    bothWays("both ways, sign up; everything whole, f16", ["student f16", "discriminators f16"], true);
  }
}

/** For people. */
export function downlinkText(line: DownlinkLine | BothWaysLine): string {
  const mega = (bytes: number) => `${(bytes / 2 ** 20).toFixed(3)} MiB`;
  const head = `step ${line.relativeStep}  ${line.case}:`;
  if ("ratio" in line) {
    return `${head} ${mega(line.downBytes)} down + ${mega(line.upBytes)} up, fp32 ${mega(line.fp32Bytes)}: ${line.ratio}×`;
  }
  const flipped = line.flipped === null ? "" : `, ${(100 * line.flipped).toFixed(3)} % of signs flip`;
  const deflated =
    line.deflateBytes === null ? "" : `; deflate of the XOR ${mega(line.deflateBytes)} in ${line.deflateMs} ms`;
  return `${head} fp32 ${mega(line.fp32Bytes)}, whole ${mega(line.wholeBytes)}, change ${mega(line.changeBytes)}${flipped}; encode ${line.encodeMs} ms, decode ${line.decodeMs} ms${deflated}`;
}
