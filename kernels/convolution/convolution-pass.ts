// The kernels of a convolution's pass, by any of its tilings, and which tilings are worth measuring on an adapter.
import { signWords } from "../../shared/model/window.ts";
import { activationColumns, signedColumns } from "../product/activation-columns.ts";
import {
  ANY_TILE,
  forwardTiles,
  rankQuadTiles,
  rankTiles,
  smallestTile,
  type TileSpace,
} from "../product/tile-space.ts";
import { type AdapterTraits, GUARANTEED_TRAITS } from "../text/adapter-traits.ts";
import type { KernelSequence } from "../text/kernel.ts";
import { foldPositions } from "../text/window-loops.ts";
import { naivePass } from "./naive/pass.ts";
import type { ConvolutionPass } from "./pass/pass.ts";
import { integerSums, planeForm } from "./pass/planes.ts";
import type { RegisterTiling, Tiling } from "./pass/tiling.ts";
import {
  binaryConvForward,
  binaryConvInputGradient,
  binaryConvWeightGradient,
  signedInputGradientTiles,
} from "./registers/binary-conv.ts";
import { convForward, convInputGradient, convWeightGradient } from "./registers/conv.ts";
import { correlationTiles, registerCorrelation } from "./registers/correlation.ts";
import { inputGradientTiles } from "./registers/input-gradient.ts";
import { planesConvForward, planesForwardTiles } from "./registers/planes-conv-forward.ts";
import { weightGradientTiles } from "./registers/weight-gradient.ts";
import { workgroupPass, workgroupTilings } from "./workgroup/pass.ts";

/** How a pass may be cut into register tiles. */
function tileSpace(pass: ConvolutionPass): TileSpace {
  const { shape } = pass;
  switch (pass.verb) {
    case "convForward":
      return forwardTiles(foldPositions(shape), shape.in % 4 === 0);
    case "binaryConvForward":
      return forwardTiles(foldPositions(shape), pass.rectify !== "filter");
    case "convInputGradient":
      return inputGradientTiles(shape, ANY_TILE.columns);
    case "binaryConvInputGradient":
      return signedInputGradientTiles(shape);
    case "convWeightGradient":
      return weightGradientTiles(shape, activationColumns(shape));
    case "binaryConvWeightGradient":
      return weightGradientTiles(shape, signedColumns(shape.in));
    case "planesConvForward":
      return planesForwardTiles(pass);
    case "xcorrForward":
    case "xcorrSearchGradient":
    case "xcorrExemplarGradient":
      return correlationTiles(pass);
    default:
      return pass satisfies never;
  }
}

/** Sums of a register tile beyond which few GPUs keep it in registers. */
const GPU_SUMS = 64;

/** Sums that a register tile keeps for each of its outputs. */
function sumsEach(pass: ConvolutionPass): number {
  return pass.verb === "planesConvForward" ? integerSums(planeForm(pass)) : 1;
}

/** Whether carry-save adders have a tap with words enough to add. */
function mayCarry(pass: ConvolutionPass): boolean {
  const counts = pass.verb === "planesConvForward" || (pass.verb === "binaryConvForward" && pass.rectify !== "filter");
  return counts && signWords(pass.shape.in) > 2;
}

/** Register tiles, the best by the cost model first; a CPU counts bits slowly, and so adds words up before. */
function registerTilings(pass: ConvolutionPass, traits: AdapterTraits): readonly RegisterTiling[] {
  const space = tileSpace(pass);
  const each = sumsEach(pass);
  const ranked = rankTiles(space)
    .filter(({ rows, columns }) => traits.software || rows * columns * each <= Math.max(GPU_SUMS, 4 * each))
    .map((tile): RegisterTiling => ({ kind: "registers", ...tile }));
  const [best] = ranked;
  if (!traits.software) return ranked.slice(0, 2);
  const counter: Pick<RegisterTiling, "counter"> = mayCarry(pass) ? { counter: "carrySave" } : {};
  const counting = ranked.map((tiling): RegisterTiling => ({ ...tiling, ...counter }));
  const quads = (traits.subgroups ? rankQuadTiles(space) : []).map(
    (tile): RegisterTiling => ({ kind: "registers", ...tile, ...counter }),
  );
  const candidates = [...quads.slice(0, 3), ...counting.slice(0, quads.length > 0 ? 2 : counter.counter ? 3 : 4)];
  return counter.counter ? [...candidates.slice(0, 5), best!] : candidates;
}

/**
 * The register tile of the fewest sums: its text is a fraction of a fast one's, and so is what compilers take for it,
 * while a software adapter still runs it several times as fast as the naive kernel.
 */
export function smallestTiling(pass: ConvolutionPass): RegisterTiling {
  return { kind: "registers", ...smallestTile(tileSpace(pass)) };
}

/** At most eight tilings worth measuring on an adapter, the most promising first; never empty, never the naive one. */
export function tilings(pass: ConvolutionPass, traits: AdapterTraits): readonly Tiling[] {
  const registers = registerTilings(pass, traits);
  const shared = workgroupTilings(pass, traits);
  return traits.software ? [...registers, ...shared.slice(0, 1)] : [...shared.slice(0, 6), ...registers];
}

/** @throws RangeError for groups of a convolution over bit planes, whose planes are packed as one */
function requireKnownGroups({ verb, shape: { groups } }: ConvolutionPass): void {
  if (verb !== "planesConvForward" || groups === undefined) return;
  throw new RangeError(`a convolution over bit planes has no groups, got ${groups}`);
}

/** The kernels of a pass, tiled as told; without a tiling, as `tilings` of the guaranteed traits begins. */
export function convolutionPass(pass: ConvolutionPass, tiling?: Tiling): KernelSequence {
  requireKnownGroups(pass);
  const chosen = tiling ?? tilings(pass, GUARANTEED_TRAITS)[0]!;
  switch (chosen.kind) {
    case "registers":
      return registerPass(pass, chosen);
    case "naive":
      return naivePass(pass);
    case "workgroup":
      return workgroupPass(pass, chosen);
    default:
      return chosen satisfies never;
  }
}

function registerPass(pass: ConvolutionPass, tile: RegisterTiling): KernelSequence {
  switch (pass.verb) {
    case "convForward":
      return convForward({ ...pass, tile });
    case "convInputGradient":
      return convInputGradient({ ...pass, tile });
    case "convWeightGradient":
      return convWeightGradient({ ...pass, tile });
    case "binaryConvForward":
      return binaryConvForward({ ...pass, tile, ...(tile.counter ? { counter: tile.counter } : {}) });
    case "binaryConvInputGradient":
      return binaryConvInputGradient({ ...pass, tile });
    case "binaryConvWeightGradient":
      return binaryConvWeightGradient({ ...pass, tile });
    case "planesConvForward":
      return planesConvForward({ ...pass, tile, ...(tile.counter ? { counter: tile.counter } : {}) });
    case "xcorrForward":
    case "xcorrSearchGradient":
    case "xcorrExemplarGradient":
      return registerCorrelation(pass, tile);
    default:
      return pass satisfies never;
  }
}
