// What a marked film is to whoever trains on it or follows its target.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { Box } from "../../shared/tracking/box.ts";

export const sequenceKinds = ["got10k", "otb", "uav123", "vot"] as const;
export type SequenceKind = (typeof sequenceKinds)[number];

export interface Sequence {
  readonly name: string;
  /** Frames of one video are those of several sequences where it has several targets, or parts. */
  readonly video: string;
  /** Files of the frames, in order. */
  readonly frames: readonly string[];
  /**
   * Of each frame, as the file has it, pixels counted from 1; numbers are NaN where the file says so. Of a secret
   * sequence the first alone.
   */
  readonly boxes: readonly Box[];
  /** Its boxes are kept by whoever scores results; one was given to begin with. */
  readonly secret: boolean;
  /** Where the target is not to be seen, of a data set that says so apart from the boxes. */
  readonly absent?: readonly boolean[];
  /** 0 nothing of the target is seen … 8 all of it. */
  readonly cover?: readonly number[];
  /** Where the frame's border cuts it. */
  readonly cut?: readonly boolean[];
  readonly objectClass?: string;
  readonly resolution?: { readonly width: number; readonly height: number };
}

export interface SequenceSet {
  readonly kind: SequenceKind;
  /** Which of the data set's sequences these are: "val", "tb50", "uav20l". */
  readonly list: string;
  readonly names: readonly string[];
  /** The video of a sequence, by its name alone. */
  readonly videoOf: (name: string) => string;
  /** How results on it are scored unless somebody says otherwise. */
  readonly protocol: "got10k" | "all" | "drop";
  /** Sequences that are known to be marked wrong, and how; they are among the names. */
  readonly flawed: ReadonlyMap<string, string>;
  /** Of a data set that says so, without reading more than that; undefined where it does not. */
  readonly classOf?: (name: string) => Promise<string | undefined>;
  /**
   * @throws DATA_MISSING where its folder or a frame is not there; DATA_INVALID where its files contradict each other,
   * each with its name
   */
  read(name: string): Promise<Sequence>;
}

export function invalid(message: string): BitswarmError {
  return new BitswarmError("DATA_INVALID", message);
}

export function missing(message: string): BitswarmError {
  return new BitswarmError("DATA_MISSING", message);
}

/** Whether a box is one: four numbers, and an area. */
export function isBox({ x, y, w, h }: Box): boolean {
  return [x, y, w, h].every(Number.isFinite) && w > 0 && h > 0;
}

/** Whether the target is in a frame, by all that the data set says of it. */
export function isSeen({ boxes, absent, cover }: Sequence, frame: number): boolean {
  return absent?.[frame] !== true && (cover === undefined || cover[frame] > 0) && isBox(boxes[frame]);
}

/** The box that a tracker begins with. @throws DATA_INVALID where the first frame has none */
export function requireFirstBox(sequence: Sequence): Box {
  const { name, boxes } = sequence;
  const [first] = boxes;
  if (first !== undefined && isSeen(sequence, 0)) return first;
  const { x, y, w, h } = first ?? { x: Number.NaN, y: Number.NaN, w: Number.NaN, h: Number.NaN };
  throw invalid(
    `${name}: its first box is ${[x, y, w, h].join(", ")}${isBox(first ?? { x, y, w, h }) ? ", and the target is marked as absent" : ""}; a tracker needs one with an area to begin with: leave the sequence out, or begin it later`,
  );
}

interface Sides {
  readonly width: number;
  readonly height: number;
}

/** @throws DATA_INVALID for a frame of another size than the sequence's first */
export function requireSize(
  { name, frames }: Pick<Sequence, "name" | "frames">,
  frame: number,
  first: Sides,
  found: Sides,
): void {
  if (found.width === first.width && found.height === first.height) return;
  throw invalid(
    `${name}: frame ${frame + 1} (${frames[frame]}) is ${found.width} × ${found.height} pixels, the first ${first.width} × ${first.height}; all must be of one size: unpack the sequence again`,
  );
}

/** @throws DATA_INVALID where there are not as many of something as frames */
export function requireCount(name: string, what: string, found: number, frames: number): void {
  if (found === frames) return;
  throw invalid(
    `${name} has ${frames} frames and ${found} ${what}; there must be as many: unpack it again, from an archive that is whole`,
  );
}
