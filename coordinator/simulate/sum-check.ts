// What a round's sum must be, by what was sent for it: to the unit where nothing was scaled, else within what the trust
// rules may scale or leave out.

import { powerOfTwo } from "../../shared/base/powers-of-two.ts";
import { codecs } from "../../shared/codecs/codecs.ts";
import type { ContributionTensor } from "../../shared/wire/contribution.ts";
import type { RoundSum } from "../sum/aggregate.ts";
import { isRobust } from "../sum/robust-round.ts";
import type { RoundPlan } from "../training/round-plan.ts";
import type { ClipMode } from "../trust/clip-rule.ts";
import { receivedUnits } from "./known-gradient.ts";

/** A contribution that is in the sum. */
export interface Summed {
  readonly account: string;
  readonly samples: number;
  readonly honest: boolean;
  /** First elements of the tensors, before any codec; all others are zero. */
  readonly units: Float64Array;
}

/** Of what float64 rounds, as a share of a value. */
const EPSILON = 2 ** -45;

type Bounds = readonly [low: number, high: number];

const around = (value: number, by: number): Bounds => [value - by, value + by];
const zero: Bounds = [0, 0];

/** Any share of it: what is larger than usual is scaled down, and rounded. */
const scaled = ([low, high]: Bounds): Bounds => [Math.min(0, low) - 1, Math.max(0, high) + 1];

/** Mean of a sample over contributions. */
function meanOf(some: readonly Summed[], boundsOf: (one: Summed) => Bounds): Bounds {
  const samples = some.reduce((count, one) => count + one.samples, 0);
  const [low, high] = some.map(boundsOf).reduce(([a, b], [c, d]): Bounds => [a + c, b + d], zero);
  return [low / samples, high / samples];
}

/** As few liars as a trimmed mean leaves out move it nowhere beyond the honest accounts. */
function believed(accounts: readonly (readonly Summed[])[]): readonly (readonly Summed[])[] {
  const honest = accounts.filter((own) => own.every((one) => one.honest));
  const cut = Math.ceil(0.1 * accounts.length);
  return accounts.length > 2 * cut && accounts.length - honest.length <= cut ? honest : accounts;
}

/** A tensor's first element, or each other. */
type Part = "first" | "rest";
type Means = readonly Readonly<Record<Part, number>>[];

export class SumCheck {
  readonly #clip: ClipMode;
  /** Of the last round of a phase: where centered clipping starts, or at zero after a restart. */
  readonly #centers = new Map<string, Means>();

  constructor(clip: ClipMode) {
    this.#clip = clip;
  }

  /** What is wrong with a sum, if anything. */
  problems({ terms, layout }: RoundPlan, sum: RoundSum, summed: readonly Summed[]): readonly string[] {
    const samples = summed.reduce((count, one) => count + one.samples, 0);
    if (samples !== sum.samples) return [`it has ${sum.samples} samples, what was accepted for it ${samples}`];
    const means: Means = layout.tensors.map(({ name }) => {
      const [first, ...rest] = sum.mean(name);
      // All others were sent alike, so that one which differs is within no bounds.
      return { first, rest: rest.every((value) => value === rest[0]) ? (rest[0] ?? 0) : Number.NaN };
    });
    const before = this.#centers.get(terms.phase);
    this.#centers.set(terms.phase, means);
    const accounts = terms.split !== "test" && isRobust(this.#clip) ? byAccount(summed) : undefined;
    return layout.tensors.flatMap((tensor, index) =>
      (tensor.size > 1 ? (["first", "rest"] as const) : (["first"] as const)).flatMap((part) => {
        const unit = powerOfTwo(terms.exponents[index]);
        const boundsOf = this.#boundsOf(terms, tensor, index, part);
        const center = (before?.[index][part] ?? 0) / unit;
        const right = accounts ? this.#robust(accounts, boundsOf, center) : meanOf(summed, boundsOf);
        const [low, high] = right.map((mean) => mean * samples);
        const units = (means[index][part] * samples) / unit;
        const slack = EPSILON * Math.max(Math.abs(low), Math.abs(high));
        if (units >= low - slack && units <= high + slack) return [];
        const what = part === "first" ? "the sum" : "an element beside the first";
        return [
          `${tensor.name}: ${what} is ${units} units, that of its ranges ${low === high ? low : `${low} to ${high}`}`,
        ];
      }),
    );
  }

  #boundsOf({ codec, exponents }: RoundPlan["terms"], { kind, wide }: ContributionTensor, index: number, part: Part) {
    const trained = kind === "gradient" || kind === "difference";
    const scales = trained && !codecs.get(codec).exactSums && (this.#clip === "auto" || this.#clip === "norm");
    return ({ units, samples }: Summed): Bounds => {
      const received = receivedUnits(codec, { wide, exponent: exponents[index], units: units[index], samples })[part];
      const bounds = around(received, 0);
      return scales ? scaled(bounds) : bounds;
    };
  }

  /** A mean of what is between its accounts', and of where centered clipping starts. */
  #robust(accounts: readonly (readonly Summed[])[], boundsOf: (one: Summed) => Bounds, center: number): Bounds {
    const trims = this.#clip === "trimmed-mean";
    const means = (trims ? believed(accounts) : accounts).map((own) => meanOf(own, boundsOf));
    const all = trims ? means : [...means, around(center, 0), zero];
    return [Math.min(...all.map(([low]) => low)), Math.max(...all.map(([, high]) => high))];
  }
}

function byAccount(summed: readonly Summed[]): readonly (readonly Summed[])[] {
  const accounts = new Map<string, Summed[]>();
  for (const one of summed) accounts.set(one.account, [...(accounts.get(one.account) ?? []), one]);
  return [...accounts.values()];
}
