// The one chunked form of each set of parameters: the same bytes go to every worker, and are cut and checked once.

import { ChunkedFrame } from "../shared/transfer/chunk-sender.ts";
import type { ParametersFrame } from "./round-plan.ts";

export class ChunkedParameters {
  /** For as long as somebody holds the parameters. */
  readonly #frames = new WeakMap<ParametersFrame, ChunkedFrame>();
  #nextTransfer = 1;

  of(parameters: ParametersFrame): ChunkedFrame {
    const known = this.#frames.get(parameters);
    if (known) return known;
    const frame = new ChunkedFrame(this.#nextTransfer++, parameters.bytes, true);
    this.#frames.set(parameters, frame);
    return frame;
  }
}
