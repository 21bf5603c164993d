// What a network is tested with, wherever it comes from.

import type { BitswarmError } from "../../shared/base/errors.ts";

export interface LabelledPicture {
  /** As the network sees it, u8 [h][w][c]. */
  readonly pixels: Uint8Array;
  readonly label: number;
}

export interface HeldOut {
  /** As the provenance of a network has it. */
  readonly name: string;
  /** So many are read, the first. */
  readonly samples: number;
  /** What a person should know of it. */
  readonly notices: readonly string[];
  /**
   * @param failed is told of a file of one's own that cannot be read, which is left out; unless given, that is thrown
   * @throws DATA_INVALID, DATA_MISSING
   */
  read(failed?: (path: string, error: BitswarmError) => void): AsyncIterable<LabelledPicture>;
}

export interface HeldOutOptions {
  /** A kind of data set, a store, or a folder of pictures. */
  readonly data: string;
  /** Of a data set's files, where they do not lie in the usual place. */
  readonly root?: string | undefined;
  /** The first so many; as many as the run itself was tested with, of the same data set, else all, unless given. */
  readonly samples?: number | undefined;
}
