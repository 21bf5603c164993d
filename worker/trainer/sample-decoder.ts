// From the bytes of shards to a microbatch, as the task decodes its samples. Pure, and a function of (seed, phase,
// epoch, sample) alone.

import { BitswarmError } from "../../shared/base/errors.ts";
import { rng } from "../../shared/base/rng.ts";
import { type Dataset, locateSample, type Shard, type Split } from "../../shared/data/dataset.ts";
import { readShard, type ShardRows } from "../../shared/data/shard-layout.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { tasks } from "../../shared/tasks/tasks.ts";
import { sampleSize } from "../plan/network-buffers.ts";
import { deviceTasks } from "../tasks/device-tasks.ts";
import type { OrderedRound } from "./sample-order.ts";
import type { MicrobatchInput } from "./trainer-contract.ts";

/** Bytes of shards by their SHA-256. */
export type HeldShards = ReadonlyMap<string, Uint8Array>;

export interface SampleDecoder {
  /** The shards that these samples lie in, each once. */
  shardsOf(split: Split, samples: Iterable<number>): readonly Shard[];
  /**
   * The task's inputs and targets of samples, in order.
   * @throws DATA_INVALID for a shard that is not held, and what the task refuses
   */
  decode(round: OrderedRound, samples: readonly number[], held: HeldShards): MicrobatchInput;
}

type DecoderConfig = Pick<RunConfig, "seed" | "data" | "task">;

/** @throws DATA_INVALID for a data set whose manifest contradicts itself */
export function createSampleDecoder(config: DecoderConfig, dataset: Dataset): SampleDecoder {
  checkShards(dataset, "train");
  checkShards(dataset, "test");
  const { data } = config;
  const task = tasks.get(config.task.kind);
  const inputs = task.inputs(config.task, { dataset, data });
  const targets = task.targets(config.task, { dataset, data });
  const decodeSample = deviceTasks.get(config.task.kind).decoder(config.task, { dataset, data });

  /** Drawn afresh for each sample from its own address, so a retried or re-leased range gets the same tensors. */
  const drawsOf = (round: OrderedRound, sample: number) =>
    round.split === "test" ? undefined : () => rng(config.seed, "augment", round.phase, round.epoch, sample);

  /** The rows of the shards that are held, each opened once. */
  const opener = (held: HeldShards) => {
    const opened = new Map<Shard, ShardRows>();
    return (shard: Shard): ShardRows => {
      const before = opened.get(shard);
      if (before) return before;
      const name = `shard ${shard.sha256.slice(0, 12)} of ${dataset.name}`;
      const bytes = held.get(shard.sha256);
      if (!bytes) throw new BitswarmError("DATA_INVALID", `${name} must be ${shard.bytes} bytes; got none`);
      const rows = readShard(dataset, bytes, shard.samples, name);
      opened.set(shard, rows);
      return rows;
    };
  };

  return {
    shardsOf(split, samples) {
      const wanted = new Set<Shard>();
      for (const sample of samples) wanted.add(dataset[split].shards[locateSample(dataset, split, sample).shard]);
      return [...wanted];
    },

    decode(round, samples, held) {
      const n = samples.length;
      const seen = new Map(inputs.map((input) => [input.name, new Float32Array(n * sampleSize(input))]));
      const wanted = new Map(
        targets.map(({ name, type, size }) => [name, new (type === "f32" ? Float32Array : Uint32Array)(n * size)]),
      );
      const row = ({ length }: ArrayLike<number>, i: number) => [(i * length) / n, ((i + 1) * length) / n] as const;
      const rowsOf = opener(held);
      samples.forEach((sample, i) => {
        const at = locateSample(dataset, round.split, sample);
        const bytes = rowsOf(dataset[round.split].shards[at.shard])(at.row);
        const into = {
          inputs: Object.fromEntries([...seen].map(([name, all]) => [name, all.subarray(...row(all, i))])),
          targets: Object.fromEntries([...wanted].map(([name, all]) => [name, all.subarray(...row(all, i))])),
        };
        decodeSample(bytes, drawsOf(round, sample), into, `sample ${sample} of ${dataset.name}'s ${round.split} split`);
      });
      return Object.fromEntries([...seen, ...wanted]);
    },
  };
}

/** Samples are found by division, which only shards of one size allow. */
function checkShards(dataset: Dataset, split: Split): void {
  const { shards, samples } = dataset[split];
  const total = shards.reduce((sum, shard) => sum + shard.samples, 0);
  const each = shards[0].samples;
  const even = shards.every((shard, i) => (i < shards.length - 1 ? shard.samples === each : shard.samples <= each));
  if (total !== samples || !even) {
    throw new BitswarmError(
      "DATA_INVALID",
      `the ${split} split of ${dataset.name} announces ${samples} samples; its ${shards.length} shards hold ${total}, ${even ? "evenly" : "unevenly"}`,
    );
  }
}
