// What passes between a session and its decode threads: samples' bytes there, microbatches back, neither copied on the
// way.

import type { ErrorCode } from "../base/errors.ts";
import type { Dataset } from "../data/dataset.ts";
import type { SampleBytes } from "../data/shard-layout.ts";
import type { DecodedMicrobatch } from "./microbatch.ts";
import type { DecoderConfig } from "./sample-decoder.ts";
import type { OrderedRound } from "./sample-order.ts";

/** The run; before it nothing is decoded, and after it another may follow. */
export interface DecodeStart {
  readonly kind: "start";
  readonly config: DecoderConfig;
  readonly dataset: Dataset;
}

export interface DecodeRequest {
  readonly kind: "decode";
  readonly id: number;
  readonly round: OrderedRound;
  readonly samples: readonly number[];
  readonly bytes: PackedSamples;
}

export type DecodeMessage = DecodeStart | DecodeRequest;

export type DecodeReply =
  | ({ readonly kind: "decoded"; readonly id: number } & DecodedMicrobatch)
  | { readonly kind: "refused"; readonly id: number; readonly code: ErrorCode; readonly message: string };

/** The bytes of some samples, one behind another. */
export interface PackedSamples {
  readonly contents: Uint8Array<ArrayBuffer>;
  /** Where each sample's content ends. */
  readonly ends: readonly number[];
  readonly targets: Uint8Array<ArrayBuffer>;
}

/** Copies samples out of the pieces that they lie in, so that they can be given away. */
export function packSamples(samples: readonly SampleBytes[]): PackedSamples {
  const total = (of: keyof SampleBytes) => samples.reduce((sum, sample) => sum + sample[of].length, 0);
  const contents = new Uint8Array(total("content"));
  const targets = new Uint8Array(total("target"));
  let [content, target] = [0, 0];
  const ends = samples.map((sample) => {
    contents.set(sample.content, content);
    targets.set(sample.target, target);
    target += sample.target.length;
    content += sample.content.length;
    return content;
  });
  return { contents, ends, targets };
}

/** Views of each. */
export function unpackSamples({ contents, ends, targets }: PackedSamples): readonly SampleBytes[] {
  const each = targets.length / Math.max(1, ends.length);
  return ends.map((end, i) => ({
    content: contents.subarray(ends[i - 1] ?? 0, end),
    target: targets.subarray(i * each, (i + 1) * each),
  }));
}
