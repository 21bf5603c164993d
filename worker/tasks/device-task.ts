// The half of a task that a device needs: bytes of a sample to tensors, and the launches of its loss.

import type { PluginOptions } from "../../shared/base/registry.ts";
import type { Rng } from "../../shared/base/rng.ts";
import type { DataOptions } from "../../shared/data/data-kinds.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import type { SampleBytes } from "../../shared/data/shard-layout.ts";
import type { RecordLoss } from "../plan/task-loss.ts";

/** Of a run, as a decoder needs it. */
export interface DecoderData {
  readonly dataset: Dataset;
  readonly data: DataOptions;
}

/** Where a sample's tensors go: views of a microbatch's, by the names that the task gave them. */
export interface SampleTensors {
  /** f32 [h][w][c] each, full of zeros. */
  readonly inputs: Readonly<Record<string, Float32Array>>;
  readonly targets: Readonly<Record<string, Float32Array | Uint32Array>>;
}

/**
 * Decodes one sample.
 * @param draws of this sample in this epoch, the same wherever it is computed; undefined where it is evaluated as it is
 * @param name of the sample, for errors
 * @throws DATA_INVALID
 */
export type DecodeSample = (
  sample: SampleBytes,
  draws: (() => Rng) | undefined,
  into: SampleTensors,
  name: string,
) => void;

/** An entry of the table in device-tasks.ts. */
export interface DeviceTask {
  /** Of its other half in shared/tasks. */
  readonly kind: string;
  /** @throws DATA_INVALID for a data set that the task cannot read */
  readonly decoder: (options: PluginOptions, run: DecoderData) => DecodeSample;
  readonly loss: (options: PluginOptions) => RecordLoss;
}
