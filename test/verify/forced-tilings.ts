// The tilings that a run of the oracle is forced through: each candidate of every pass in turn, then the naive kernels.

import { tilings } from "../../kernels/convolution/convolution-pass.ts";
import type { ConvolutionPass } from "../../kernels/convolution/pass/pass.ts";
import { NAIVE, type Tiling, tilingName } from "../../kernels/convolution/pass/tiling.ts";
import type { AdapterTraits } from "../../kernels/text/adapter-traits.ts";

/** `default`: the kernels' own first choice. A number i: every pass has its candidate i, modulo how many it has. */
export type Turn = "default" | "naive" | number;

/**
 * `default`: that turn alone. `all`: every candidate that a tuner can choose, here or on another adapter with these
 * features.
 */
export type ForcedTilings = "default" | "all";

/** What software and hardware adapters with these features and limits would choose from. */
export function everyTiling(pass: ConvolutionPass, traits: AdapterTraits): readonly Tiling[] {
  const both = [true, false].flatMap((software) => tilings(pass, { ...traits, software }));
  return [...new Map(both.map((tiling) => [tilingName(tiling), tiling])).values()];
}

/** Forces the turns of one case: how many there are shows when its passes are asked for. */
export class TilingTurns {
  readonly #traits: AdapterTraits;
  #candidates = 0;
  #used = new Set<string>();

  constructor(traits: AdapterTraits) {
    this.#traits = traits;
  }

  /** Every turn, as long as some pass that was asked for has candidates left. */
  *turns(which: ForcedTilings): Generator<Turn> {
    yield "default";
    if (which === "default") return;
    yield "naive";
    for (let i = 0; i < this.#candidates; i++) yield i;
  }

  /** The tiling of a pass in a turn; undefined leaves it to the kernels. */
  choose(turn: Turn, pass: ConvolutionPass): Tiling | undefined {
    const candidates = everyTiling(pass, this.#traits);
    this.#candidates = Math.max(this.#candidates, candidates.length);
    if (turn === "default") return undefined;
    const tiling = turn === "naive" ? NAIVE : candidates[turn % candidates.length];
    this.#used.add(tilingName(tiling));
    return tiling;
  }

  /** What the turn forced, in words. */
  describe(turn: Turn): string {
    const used = [...this.#used].join(", ");
    this.#used.clear();
    return typeof turn === "number" ? `tiling ${turn + 1}: ${used || "no convolution"}` : turn;
  }
}
