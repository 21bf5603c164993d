// What the page and the thread that computes say to each other.

import type { Box } from "../../../shared/tracking/box.ts";
import type { BackendKind } from "../../inference/index.ts";

/** Pixels of a frame, [height][width][3]. */
export interface Frame {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

export type Ask =
  /** An exported file. @param backend what is to compute it, where the visitor says so */
  | { readonly kind: "load"; readonly bytes: Uint8Array<ArrayBuffer>; readonly backend: BackendKind | undefined }
  /** The target, in pixels that count from 0. */
  | { readonly kind: "start"; readonly frame: Frame; readonly box: Box }
  | { readonly kind: "next"; readonly frame: Frame };

export interface Loaded {
  readonly backend: BackendKind;
}

export interface Found {
  readonly box: Box;
  /** Which size answered best, the smallest is 0. */
  readonly scale: number;
  /** [scales][side][side] */
  readonly responses: Float32Array;
  readonly side: number;
  /** From the frame to the box. */
  readonly ms: number;
}

export interface Answers {
  readonly load: Loaded;
  readonly start: undefined;
  readonly next: Found;
}

export interface Asked {
  readonly id: number;
  readonly ask: Ask;
}

export type Answered =
  | { readonly id: number; readonly answer: Answers[Ask["kind"]] }
  | { readonly id: number; readonly trouble: string };
