// Which tiling a pass is computed with first, and which pass gets its fastest one next: a worker computes with what
// compiles soonest, and compiles what is faster beside it. All tilings give the same bits.

import { smallestTiling } from "../../kernels/convolution/convolution-pass.ts";
import { type ConvolutionPass, passKey } from "../../kernels/convolution/pass/pass.ts";
import { NAIVE, type Tiling, tilingName } from "../../kernels/convolution/pass/tiling.ts";
import { multiplyAdds } from "./pass-operands.ts";

/**
 * Multiply-adds for which a software adapter computes with the naive kernel at first: some 40 ms of it. Its compiler
 * takes 15 ms for that, 60 for a small tile, which is four times as fast, and 400 for the fastest.
 */
const NAIVE_ON_SOFTWARE = 2 ** 22;
/** The same of a device under suspicion, which computes with plain kernels alone until others are checked: 0.2 s. */
const PLAIN_ON_SOFTWARE = 2 ** 24;
/** A weak GPU takes 0.2 s for that, far less than what a driver takes for a hang. */
const NAIVE_ON_HARDWARE = 2 ** 30;

export interface Circumstances {
  readonly software: boolean;
  /** The device is under suspicion. */
  readonly suspect: boolean;
}

/** `fastest`: it is too large for what compiles sooner. */
export function soonestTiling(pass: ConvolutionPass, { software, suspect }: Circumstances): Tiling | "fastest" {
  const size = multiplyAdds(pass);
  if (!software) return size <= NAIVE_ON_HARDWARE ? NAIVE : "fastest";
  if (suspect) return size <= PLAIN_ON_SOFTWARE ? NAIVE : "fastest";
  return size <= NAIVE_ON_SOFTWARE ? NAIVE : smallestTiling(pass);
}

/** A pass with the tiling that computes it now, and the fastest. */
export interface PassTilings {
  readonly pass: ConvolutionPass;
  readonly used: Tiling;
  readonly fastest: Tiling;
}

/**
 * Those that are not computed by their fastest tiling yet: first what the naive kernel computes, which is slow, the
 * largest pass in front, then what was measured since.
 */
export function dueUpgrades(passes: readonly PassTilings[]): readonly PassTilings[] {
  return passes
    .filter(({ used, fastest }) => tilingName(used) !== tilingName(fastest))
    .sort(
      (a, b) =>
        Number(b.used === NAIVE) - Number(a.used === NAIVE) ||
        multiplyAdds(b.pass) - multiplyAdds(a.pass) ||
        (passKey(a.pass) < passKey(b.pass) ? -1 : 1),
    );
}
