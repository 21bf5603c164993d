// The one chunked form of each parameters frame: the same bytes go to many workers, and are cut and checked once.

import { ChunkedFrame } from "../../shared/wire/transfer/chunk-sender.ts";

export class ChunkedParameters {
  /** For as long as somebody holds the frame. */
  readonly #frames = new WeakMap<Uint8Array, ChunkedFrame>();
  #nextTransfer = 1;

  of(bytes: Uint8Array): ChunkedFrame {
    const known = this.#frames.get(bytes);
    if (known) return known;
    const frame = new ChunkedFrame(this.#nextTransfer++, bytes, true);
    this.#frames.set(bytes, frame);
    return frame;
  }
}
