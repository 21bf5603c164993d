// What a task makes of a sample's bytes, before any device sees it: the same on every worker and on the coordinator,
// to the bit.

import type { Rng } from "../base/rng.ts";
import type { DataOptions } from "../data/data-kinds.ts";
import type { Dataset } from "../data/dataset.ts";
import type { SampleBytes } from "../data/shard-layout.ts";
import type { JpegDecoder } from "../image/jpeg.ts";

/** What decodes encoded images, by what they are. */
export interface ImageDecoders {
  readonly jpeg?: JpegDecoder;
}

/** Of a run, as a decoder needs it. */
export interface DecoderData {
  readonly dataset: Dataset;
  readonly data: DataOptions;
  readonly images?: ImageDecoders;
}

/** Where a sample's tensors go: views of a microbatch's, by the names that the task gave them. */
export interface SampleTensors {
  /** [h][w][c] each, full of zeros: u8 or f32, as the task's input says. */
  readonly inputs: Readonly<Record<string, Uint8Array | Float32Array>>;
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

/** Of each u8 input what its 256 values become on the device, f32 [256][c], by the input's name. */
export type InputTables = Readonly<Record<string, Float32Array<ArrayBuffer>>>;
