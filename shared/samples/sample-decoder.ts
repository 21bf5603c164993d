// From the bytes of samples to a microbatch, as the task decodes them. Pure, and a function of (seed, phase, epoch,
// sample) alone.

import { rng } from "../base/rng.ts";
import type { Dataset } from "../data/dataset.ts";
import type { SampleBytes } from "../data/shard-layout.ts";
import type { RunConfig } from "../run/config.ts";
import type { ImageDecoders } from "../tasks/sample-tensors.ts";
import type { TaskInput, TaskTarget } from "../tasks/task.ts";
import { tasks } from "../tasks/tasks.ts";
import { joinedChecksum, sampleChecksum } from "./checksum.ts";
import type { DecodedMicrobatch } from "./microbatch.ts";
import type { OrderedRound } from "./sample-order.ts";

export interface SampleDecoder {
  /**
   * The task's inputs and targets of samples, in order.
   * @param bytes of each sample
   * @throws DATA_INVALID for what the task refuses
   */
  decode(round: OrderedRound, samples: readonly number[], bytes: readonly SampleBytes[]): DecodedMicrobatch;
}

export type DecoderConfig = Pick<RunConfig, "seed" | "data" | "task">;

/**
 * @param images what decodes encoded images; without it they are refused
 * @throws DATA_INVALID for a data set that the task cannot read
 */
export function createSampleDecoder(
  config: DecoderConfig,
  dataset: Dataset,
  images: ImageDecoders = {},
): SampleDecoder {
  const { data } = config;
  const task = tasks.get(config.task.kind);
  const inputs = task.inputs(config.task, { dataset, data });
  const targets = task.targets(config.task, { dataset, data });
  const decodeSample = task.decoder(config.task, { dataset, data, images });

  /** Drawn afresh for each sample from its own address, so a retried or re-leased range gets the same tensors. */
  const drawsOf = ({ split, phase, epoch }: OrderedRound, sample: number) => {
    if (split === "train") return () => rng(config.seed, "augment", phase, epoch, sample);
    // The same in every evaluation, so that scores are of the same samples.
    return task.drawsHeldOut ? () => rng(config.seed, "held-out", sample) : undefined;
  };

  return {
    decode(round, samples, bytes) {
      const n = samples.length;
      const seen = inputs.map((input) => [input.name, inputValues(input, n)] as const);
      const wanted = targets.map((target) => [target.name, targetValues(target, n)] as const);
      let checksum = 0;
      samples.forEach((sample, i) => {
        const into = { inputs: rowsOf(seen, i, n), targets: rowsOf(wanted, i, n) };
        const name = `sample ${sample} of ${dataset.name}'s ${round.split} split`;
        decodeSample(bytes[i], drawsOf(round, sample), into, name);
        const tensors = [...Object.values(into.inputs), ...Object.values(into.targets)];
        checksum = joinedChecksum(checksum, sampleChecksum(tensors));
      });
      return { input: Object.fromEntries([...seen, ...wanted]), checksum };
    },
  };
}

type Values = Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** Views of one of the microbatch's n samples. */
function rowsOf<T extends Values>(tensors: readonly (readonly [string, T])[], i: number, n: number): Record<string, T> {
  return Object.fromEntries(
    tensors.map(([name, all]) => [name, all.subarray((i * all.length) / n, ((i + 1) * all.length) / n) as T]),
  );
}

function inputValues({ h, w, c, encoding }: TaskInput, n: number): Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer> {
  return new (encoding === "u8" ? Uint8Array : Float32Array)(n * h * w * c);
}

function targetValues({ type, size }: TaskTarget, n: number): Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer> {
  return new (type === "f32" ? Float32Array : Uint32Array)(n * size);
}
