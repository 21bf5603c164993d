// What whoever makes a clip is told of a sequence: it passes between threads as bytes.

import type { Box } from "../../shared/tracking/box.ts";
import { isSeen, type Sequence } from "./sequence.ts";

export interface ClipPlan {
  readonly name: string;
  readonly frames: readonly string[];
  /** From pixel 1; null where the target is not seen. */
  readonly boxes: readonly (Box | null)[];
  readonly cover?: readonly number[];
}

export function planOf(sequence: Sequence): ClipPlan {
  const { name, frames, boxes, cover } = sequence;
  const seen = boxes.map((box, frame) => (isSeen(sequence, frame) ? box : null));
  return { name, frames, boxes: seen, ...(cover && { cover }) };
}

export function writePlan(plan: ClipPlan): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(new TextEncoder().encode(JSON.stringify(plan)));
}

export function readPlan(content: Uint8Array): ClipPlan {
  return JSON.parse(new TextDecoder().decode(content)) as ClipPlan;
}
