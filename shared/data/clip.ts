// The crops of one film as one content of a shard: of each its frame, how large the target is in it, and a JPEG.
//
// u32 n; then n times u32 frame, f32 width and f32 height of the target in pixels of the crop, u32 where its JPEG ends
// from the content's beginning; then the JPEGs. Numbers are little-endian, frames rise.

import { BitswarmError } from "../base/errors.ts";

/** Most crops of a clip: a long film has some of its frames. */
export const MOST_CROPS = 1024;

const COUNT_BYTES = 4;
const ENTRY_BYTES = 16;

export interface ClipCrop {
  /** Its number in the film, from 0. */
  readonly frame: number;
  /** Of the target, which is in the middle, in pixels of the crop. */
  readonly width: number;
  readonly height: number;
  readonly jpeg: Uint8Array;
}

export interface Clip {
  /** Of each crop the number of its frame, rising. */
  readonly frames: readonly number[];
  /** Views, not copies. */
  crop(index: number): ClipCrop;
}

function invalid(what: string): BitswarmError {
  return new BitswarmError("DATA_INVALID", what);
}

/** @param crops by rising frames */
export function writeClip(crops: readonly ClipCrop[]): Uint8Array<ArrayBuffer> {
  const head = COUNT_BYTES + ENTRY_BYTES * crops.length;
  const bytes = new Uint8Array(crops.reduce((sum, { jpeg }) => sum + jpeg.length, head));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, crops.length, true);
  let end = head;
  crops.forEach(({ frame, width, height, jpeg }, i) => {
    bytes.set(jpeg, end);
    end += jpeg.length;
    const at = COUNT_BYTES + ENTRY_BYTES * i;
    view.setUint32(at, frame, true);
    view.setFloat32(at + 4, width, true);
    view.setFloat32(at + 8, height, true);
    view.setUint32(at + 12, end, true);
  });
  return bytes;
}

/**
 * Opens a clip; its JPEGs are not looked at.
 * @param name for errors
 * @throws DATA_INVALID for bytes that are none
 */
export function readClip(content: Uint8Array, name: string): Clip {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const count = content.length < COUNT_BYTES ? 0 : view.getUint32(0, true);
  const head = COUNT_BYTES + ENTRY_BYTES * count;
  if (count < 1 || count > MOST_CROPS || head > content.length) {
    throw invalid(
      `${name} is no clip: it says ${count} crops, of at most ${MOST_CROPS}, and has ${content.length} bytes`,
    );
  }
  const entry = (index: number, field: number) => COUNT_BYTES + ENTRY_BYTES * index + field;
  const endOf = (index: number) => (index < 0 ? head : view.getUint32(entry(index, 12), true));
  const frames = Array.from({ length: count }, (_, i) => view.getUint32(entry(i, 0), true));
  for (let i = 0; i < count; i++) {
    if (i > 0 && frames[i]! <= frames[i - 1]!) {
      throw invalid(
        `${name}: crop ${i} is of frame ${frames[i]}, the one before of ${frames[i - 1]}; frames must rise`,
      );
    }
    if (endOf(i) <= endOf(i - 1) || endOf(i) > content.length) {
      throw invalid(`${name}: crop ${i} ends at byte ${endOf(i)}; expected ${endOf(i - 1) + 1} to ${content.length}`);
    }
  }
  if (endOf(count - 1) !== content.length) {
    throw invalid(`${name}: its crops end at byte ${endOf(count - 1)} of ${content.length}`);
  }
  return {
    frames,
    crop: (index) => ({
      frame: frames[index]!,
      width: view.getFloat32(entry(index, 4), true),
      height: view.getFloat32(entry(index, 8), true),
      jpeg: content.subarray(endOf(index - 1), endOf(index)),
    }),
  };
}
