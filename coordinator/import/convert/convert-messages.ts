// What the pool and its threads tell each other.

import type { Refusal } from "../../../shared/base/errors.ts";
import type { ImageTarget, Outcome } from "./outcome.ts";

export interface ConvertStart {
  /** The decoder's module, compiled once for all threads. */
  readonly decoder: object;
  readonly lock: SharedArrayBuffer;
}

export interface ConvertOrder {
  readonly id: number;
  /** Moves to the thread. */
  readonly content: Uint8Array<ArrayBuffer>;
  readonly target: ImageTarget;
  /** The content is a clip's plan: of so many crops at most. */
  readonly mostCrops?: number;
}

export type ConvertReply =
  | { readonly id: number; readonly outcome: Outcome; readonly failure?: undefined }
  /** Nothing of this kind can be converted here. */
  | { readonly id: number; readonly outcome?: undefined; readonly failure: Refusal };
