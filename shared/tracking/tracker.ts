// Follows one target through a film: crops of each frame at the sizes that are looked at, their responses to the first
// frame's exemplar, and the step that follows from them. The exemplar is made once, and never updated (SiamFC).

import { BitswarmError } from "../base/errors.ts";
import type { RgbImage } from "../image/resize.ts";
import type { Backbone, Features } from "./backbone.ts";
import type { Box } from "./box.ts";
import { cropBytes, cropWindow, meanColour } from "./crop.ts";
import {
  boxOf,
  firstTarget,
  searchSides,
  type Target,
  type TrackOptions,
  trackOptions,
  trackStep,
} from "./track-step.ts";

/** What a step says beside the box: for pages that show how it comes about. */
export interface Tracked {
  readonly box: Box;
  /** Which size answered best, the smallest is 0. */
  readonly scale: number;
  /** [scales][side][side], as the network gives them. */
  readonly responses: Float32Array;
  readonly side: number;
}

export interface TrackerStart {
  /** The first frame. */
  readonly frame: RgbImage;
  readonly box: Box;
  /** Pixels of the boxes count from it. */
  readonly base: 0 | 1;
  readonly options?: TrackOptions;
}

/** @throws DATA_INVALID for a box without a number or an area */
function requireBox({ x, y, w, h }: Box): void {
  if ([x, y, w, h].every(Number.isFinite) && w > 0 && h > 0) return;
  throw new BitswarmError(
    "DATA_INVALID",
    `the first box must have four numbers and an area; got ${[x, y, w, h].join(", ")}: give the target's box in the first frame`,
  );
}

export class Tracker {
  readonly #backbone: Backbone;
  readonly #exemplar: Features;
  readonly #fill: readonly [number, number, number];
  readonly #options: TrackOptions;
  readonly #base: 0 | 1;
  readonly #first: Target;
  #target: Target;
  readonly #crops: Uint8Array;

  private constructor(backbone: Backbone, exemplar: Features, start: TrackerStart, first: Target) {
    const { frame, base, options = trackOptions } = start;
    this.#backbone = backbone;
    this.#exemplar = exemplar;
    // Of the first frame, for good.
    this.#fill = meanColour(frame);
    this.#options = options;
    this.#base = base;
    this.#first = first;
    this.#target = first;
    this.#crops = new Uint8Array(options.scales * options.instance ** 2 * 3);
  }

  /** @throws DATA_INVALID for a box that is none, and what the backbone throws */
  static async start(backbone: Backbone, start: TrackerStart): Promise<Tracker> {
    const { frame, box, base, options = trackOptions } = start;
    requireBox(box);
    const first = firstTarget(box, base, options);
    const side = options.exemplar;
    const crop = cropBytes(frame, cropWindow(first, first.exemplarSide), meanColour(frame), side);
    return new Tracker(backbone, await backbone.embed(crop, 1, side), start, first);
  }

  /** The target's box in the next frame, in the base of the first. A target far outside is no error: it is all fill. */
  async next(frame: RgbImage): Promise<Tracked> {
    const { instance, scales } = this.#options;
    const bytes = instance ** 2 * 3;
    for (const [k, side] of searchSides(this.#target, this.#options).entries()) {
      const into = this.#crops.subarray(k * bytes, (k + 1) * bytes);
      cropBytes(frame, cropWindow(this.#target, side), this.#fill, instance, into);
    }
    const searches = await this.#backbone.embed(this.#crops, scales, instance);
    try {
      const { values, side } = await this.#backbone.respond(this.#exemplar, searches);
      const { target, scale } = trackStep(this.#target, values, this.#first, this.#options);
      this.#target = target;
      return { box: boxOf(target, this.#base), scale, responses: values, side };
    } finally {
      searches.release();
    }
  }

  /** Gives the exemplar's memory back; the backbone is its owner's. */
  dispose(): void {
    this.#exemplar.release();
  }
}
