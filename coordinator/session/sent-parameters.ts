// What one worker was sent of each parameter set, so that it is sent nothing twice, and a change where that is enough.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { ParameterSet } from "../../shared/wire/parameter-set.ts";
import type { ParametersUpdate } from "../training/downlink.ts";

/** Times that a worker may ask for the whole of what it was sent a change of, between two accepted contributions. */
export const WHOLE_REQUESTS = 3;

type Frames = readonly Uint8Array<ArrayBuffer>[];

export class SentParameters {
  /** Hash of the last version, of each set. */
  readonly #held = new Map<ParameterSet, string>();
  readonly #updates = new Map<ParameterSet, ParametersUpdate>();
  #requests = 0;

  /** Takes the worker's word for what it holds: where it is wrong, it asks for the whole. */
  claim(holds: Readonly<Partial<Record<ParameterSet, string>>>): void {
    this.#held.clear();
    for (const [set, hash] of Object.entries(holds) as [ParameterSet, string][]) this.#held.set(set, hash);
  }

  /** The frames to send now, after which the worker holds the update. */
  framesFor(update: ParametersUpdate): Frames {
    const frames = update.framesFor(this.#held.get(update.set));
    this.#held.set(update.set, update.hash);
    this.#updates.set(update.set, update);
    return frames;
  }

  /** The set's last update as a newcomer gets it. @throws MESSAGE_INVALID for a set never sent, or too many requests */
  whole(set: ParameterSet): Frames {
    const update = this.#updates.get(set);
    if (!update) throw new BitswarmError("MESSAGE_INVALID", `need of ${set} came; no lease has named these parameters`);
    if (++this.#requests > WHOLE_REQUESTS) {
      throw new BitswarmError(
        "MESSAGE_INVALID",
        `whole parameters were asked for ${this.#requests} times since the last accepted contribution; the limit is ${WHOLE_REQUESTS}`,
      );
    }
    return update.framesFor(undefined);
  }

  /** A contribution shows that the worker holds what it was sent. */
  useful(): void {
    this.#requests = 0;
  }
}
