// A microbatch for a decode thread of some runtime, as text, and what came of it.

import { sha256Hex } from "../../../shared/base/hash.ts";
import type { Dataset } from "../../../shared/data/dataset.ts";
import type { DecoderConfig } from "../../../shared/samples/sample-decoder.ts";
import { decodeThreaded, type OpenDecodeThread } from "../../../shared/samples/threaded-decoding.ts";

export interface DecodeCase {
  readonly config: DecoderConfig;
  readonly dataset: Dataset;
  /** Pieces by their keys, each byte a number. */
  readonly held: readonly (readonly [string, readonly number[]])[];
  /** What to decode, one microbatch after another. */
  readonly microbatches: readonly (readonly number[])[];
}

export interface DecodedCase {
  readonly checksum: number;
  readonly image: string;
}

/** What a thread makes of each microbatch; of one that it refuses the error's code. */
export async function decodedCase(text: string, open: OpenDecodeThread): Promise<readonly (DecodedCase | string)[]> {
  const { config, dataset, held, microbatches }: DecodeCase = JSON.parse(text);
  const pieces = new Map(held.map(([key, bytes]) => [key, Uint8Array.from(bytes)]));
  const decoding = decodeThreaded(config, dataset, open, 1);
  const round = { phase: "student", epoch: 2, split: "train" } as const;
  const results: (DecodedCase | string)[] = [];
  for (const samples of microbatches) {
    const decoded = await decoding.decode(round, samples, pieces).catch(({ code }: { readonly code: string }) => code);
    results.push(
      typeof decoded === "string"
        ? decoded
        : { checksum: decoded.checksum, image: sha256Hex(decoded.input.image as Uint8Array) },
    );
  }
  decoding.close();
  return results;
}
