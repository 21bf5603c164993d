// One step of a SiamFC tracker, from response maps to the next box (Bertinetto et al., 2016; the arithmetic of
// siamfc-pytorch). Pure: what the maps are made from is somebody else's affair.

import { type Box, type Centre, centreOf } from "./box.ts";
import { type CropSizes, cropSides, cropSizes } from "./crop.ts";
import { hannWindow } from "./hann.ts";
import { upsampled } from "./upsample.ts";

export interface TrackOptions extends CropSizes {
  /** How many sizes are looked at, an odd number. */
  readonly scales: number;
  readonly scaleStep: number;
  /** What a change of size costs. */
  readonly scalePenalty: number;
  /** How fast the size follows. */
  readonly scaleRate: number;
  /** Of the Hann window in the response. */
  readonly windowInfluence: number;
  /** Of the upsampled response a cell is so many. */
  readonly up: number;
  /** Pixels of the search image to a cell of the response. */
  readonly stride: number;
  /** Keeps the search side within these multiples of the first, as the Matlab original; unless given it is free. */
  readonly clampScale?: { readonly least: number; readonly most: number };
}

export const trackOptions: TrackOptions = {
  ...cropSizes,
  scales: 3,
  scaleStep: 1.0375,
  scalePenalty: 0.9745,
  scaleRate: 0.59,
  windowInfluence: 0.176,
  up: 16,
  stride: 8,
};

/** Of the Matlab original. */
export const matlabClamp = { least: 0.2, most: 5 } as const;

/** Where a target is taken to be. */
export interface Target extends Centre {
  readonly w: number;
  readonly h: number;
  /** Side of the exemplar's and of the search window in the picture, unrounded: s_z and s_x. */
  readonly exemplarSide: number;
  readonly searchSide: number;
}

/** What a step found, and where. */
export interface TrackStep {
  readonly target: Target;
  /** Which of the sizes, the smallest is 0. */
  readonly scale: number;
  /** In the upsampled response. */
  readonly peak: { readonly row: number; readonly column: number };
}

/** 1.0375^-1, 1, 1.0375 for three. */
export function scaleFactors({ scales, scaleStep }: Pick<TrackOptions, "scales" | "scaleStep">): readonly number[] {
  return Array.from({ length: scales }, (_, k) => scaleStep ** (k - (scales - 1) / 2));
}

/** @param base of the box: its files count pixels from 0 or 1 */
export function firstTarget(box: Box, base: 0 | 1, options: TrackOptions = trackOptions): Target {
  const { w, h } = box;
  const { exemplar: exemplarSide, search: searchSide } = cropSides(box, options);
  return { ...centreOf(box, base), w, h, exemplarSide, searchSide };
}

export function boxOf({ y, x, w, h }: Target, base: 0 | 1): Box {
  return { x: x + base - (w - 1) / 2, y: y + base - (h - 1) / 2, w, h };
}

/** Sides of the windows that the next step looks at, unrounded, smallest first. */
export function searchSides({ searchSide }: Target, options: TrackOptions = trackOptions): readonly number[] {
  return scaleFactors(options).map((factor) => searchSide * factor);
}

/** The first of the largest. */
function firstArgmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

function largest(values: Float64Array): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) if (values[i] > most) most = values[i];
  return most;
}

let lastWindow: { readonly side: number; readonly window: Float64Array } | undefined;

/** One for all the steps of a sequence. */
function windowOf(side: number): Float64Array {
  if (lastWindow?.side !== side) lastWindow = { side, window: hannWindow(side) };
  return lastWindow.window;
}

/** The response of one size as a share of its sum, blended with the window: in place. */
function blended(response: Float64Array, side: number, influence: number): Float64Array {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < response.length; i++) if (response[i] < least) least = response[i];
  let sum = 0;
  for (let i = 0; i < response.length; i++) sum += response[i] - least;
  const window = windowOf(side);
  const scale = (1 - influence) / (sum + 1e-16);
  for (let i = 0; i < response.length; i++) response[i] = (response[i] - least) * scale + influence * window[i];
  return response;
}

/**
 * @param responses [scales][side][side], as they come from the network for the windows of `searchSides`
 * @param first the search side of the first target, by which `clampScale` measures
 */
export function trackStep(
  before: Target,
  responses: ArrayLike<number>,
  first: Pick<Target, "searchSide"> = before,
  options: TrackOptions = trackOptions,
): TrackStep {
  const { scales, scalePenalty, scaleRate, windowInfluence, up, stride, instance, clampScale } = options;
  const cells = responses.length / scales;
  const side = Math.sqrt(cells);
  const middle = (scales - 1) / 2;
  const maps = Array.from({ length: scales }, (_, k) => {
    const map = upsampled(responses, side, side, up, k * cells);
    // A map below zero is favoured by it: so are those of the published tracker.
    if (k !== middle) for (let i = 0; i < map.length; i++) map[i] *= scalePenalty;
    return map;
  });
  const scale = firstArgmax(maps.map(largest));
  const wide = side * up;
  const at = firstArgmax(blended(maps[scale], wide, windowInfluence));
  const peak = { row: Math.floor(at / wide), column: at % wide };
  const factor = scaleFactors(options)[scale];
  const pixels = ((stride / up) * before.searchSide * factor) / instance;
  const wished = 1 - scaleRate + scaleRate * factor;
  const grown = clampScale
    ? Math.min(
        clampScale.most * first.searchSide,
        Math.max(clampScale.least * first.searchSide, before.searchSide * wished),
      ) / before.searchSide
    : wished;
  return {
    scale,
    peak,
    target: {
      y: before.y + (peak.row - (wide - 1) / 2) * pixels,
      x: before.x + (peak.column - (wide - 1) / 2) * pixels,
      w: before.w * grown,
      h: before.h * grown,
      exemplarSide: before.exemplarSide * grown,
      searchSide: before.searchSide * grown,
    },
  };
}
