// One lease of tracking, from a film's first frame to its last: decodes, follows, and says boxes as it goes.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { JpegDecoder } from "../../shared/image/jpeg.ts";
import type { Backbone } from "../../shared/tracking/backbone.ts";
import type { TrackOptions } from "../../shared/tracking/track-step.ts";
import { Tracker } from "../../shared/tracking/tracker.ts";
import { MAX_TRACKED_BOXES, type TrackedFrame, type TrackMessage } from "../../shared/wire/tracking.ts";
import { decodeFrame } from "./decode-frame.ts";

/** Boxes are said at least so often, so that somebody sees that it goes on. */
export const TOLD_EVERY_MS = 1000;

export interface FollowOptions {
  readonly film: Pick<TrackMessage, "sequence" | "base" | "box">;
  readonly options: TrackOptions;
  readonly backbone: Backbone;
  readonly jpeg: Pick<JpegDecoder, "decode">;
  /** The next frame's file; undefined after the last. */
  readonly next: () => Promise<Uint8Array | undefined>;
  /** In milliseconds. */
  readonly now: () => number;
  /** Leaves the device free after it was busy for so long. */
  readonly rest: (busyMs: number) => Promise<void>;
  readonly aborted: () => boolean;
  /** Takes the boxes of frames from `from` on. */
  readonly tell: (from: number, frames: readonly TrackedFrame[]) => void;
}

/**
 * The seconds of a frame are those of the tracker: decoding is not in them, as in the toolkits.
 * @returns the frames that were followed
 * @throws DATA_INVALID for a frame that is no whole picture or has another size than the first, and what the backbone
 * and fetching throw
 */
export async function followFilm(follow: FollowOptions): Promise<number | "aborted"> {
  const { film, options, backbone, jpeg, next, now, rest, aborted, tell } = follow;
  const { sequence, base, box } = film;
  let tracker: Tracker | undefined;
  let size: { readonly width: number; readonly height: number } | undefined;
  let untold: TrackedFrame[] = [];
  let toldAt = now();
  let told = 0;
  const tellNow = () => {
    tell(told, untold);
    told += untold.length;
    untold = [];
    toldAt = now();
  };
  try {
    for (let i = 0; ; i++) {
      const file = await next();
      if (aborted()) return "aborted";
      if (file === undefined) break;
      const frame = decodeFrame(file, jpeg, `frame ${i + 1} of ${sequence}`);
      size ??= frame;
      if (frame.width !== size.width || frame.height !== size.height) {
        throw new BitswarmError(
          "DATA_INVALID",
          `frame ${i + 1} of ${sequence} has ${frame.width} × ${frame.height} pixels, its first has ${size.width} × ${size.height}: all frames of a film must be of one size`,
        );
      }
      const since = now();
      let answer = box;
      if (tracker) answer = (await tracker.next(frame)).box;
      else tracker = await Tracker.start(backbone, { frame, box, base, options });
      if (aborted()) return "aborted";
      if (![answer.x, answer.y, answer.w, answer.h].every(Number.isFinite)) {
        throw new BitswarmError(
          "COMPUTE_FAILED",
          `the network's answer to frame ${i + 1} of ${sequence} is no number; export an earlier checkpoint`,
        );
      }
      const busyMs = Math.max(0, now() - since);
      untold.push({ box: answer, seconds: busyMs / 1000 });
      if (untold.length >= MAX_TRACKED_BOXES || now() - toldAt >= TOLD_EVERY_MS) tellNow();
      await rest(busyMs);
    }
    if (untold.length > 0) tellNow();
    return told;
  } finally {
    tracker?.dispose();
  }
}
