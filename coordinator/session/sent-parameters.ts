// Parameters on their way down: what one worker was sent of each set, so that it is sent nothing twice, and a change
// where that is enough; and the chunked form of each frame, cut and checked once for all workers.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { ParameterSet } from "../../shared/wire/parameter-set.ts";
import { ChunkedFrame } from "../../shared/wire/transfer/chunk-sender.ts";
import { framesTo, type ParameterVersion } from "../training/parameter-version.ts";

/** Times that a worker may ask for the whole of what it was sent a change of, between two accepted contributions. */
export const WHOLE_REQUESTS = 3;

export class SentParameters {
  /** Hash of the last version, of each set. */
  readonly #held = new Map<ParameterSet, string>();
  readonly #versions = new Map<ParameterSet, ParameterVersion>();
  #requests = 0;

  /** Takes the worker's word for what it holds: where it is wrong, it asks for the whole. */
  claim(holds: Readonly<Partial<Record<ParameterSet, string>>>): void {
    this.#held.clear();
    for (const [set, hash] of Object.entries(holds) as [ParameterSet, string][]) this.#held.set(set, hash);
  }

  /** Names of the frames to send now, after which the worker holds the version. */
  framesTo(version: ParameterVersion): readonly string[] {
    const { set, hash } = version;
    const names = framesTo(version, this.#held.get(set));
    this.#held.set(set, hash);
    this.#versions.set(set, version);
    return names;
  }

  /**
   * Name of the set's last version as a newcomer gets it.
   * @throws MESSAGE_INVALID for a set never sent, or too many requests
   */
  whole(set: ParameterSet): string {
    const version = this.#versions.get(set);
    if (!version)
      throw new BitswarmError("MESSAGE_INVALID", `need of ${set} came; no lease has named these parameters`);
    if (++this.#requests > WHOLE_REQUESTS) {
      throw new BitswarmError(
        "MESSAGE_INVALID",
        `whole parameters were asked for ${this.#requests} times since the last accepted contribution; the limit is ${WHOLE_REQUESTS}`,
      );
    }
    return version.whole.name;
  }

  /** The worker holds nothing of a set: its next version is sent whole. */
  forget(set: ParameterSet): void {
    this.#held.delete(set);
  }

  /** A contribution shows that the worker holds what it was sent. */
  useful(): void {
    this.#requests = 0;
  }
}

/** The one chunked form of each parameters frame: the same bytes go to many workers. */
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
