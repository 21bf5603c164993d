// What liars send instead of their work: pure changes to an honest contribution (the zoo of SPEC.md, V).

import { codecs } from "../../shared/codecs/codecs.ts";
import type { ContributionLayout } from "../../shared/wire/contribution.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import { type KnownSum, knownSum } from "./known-gradient.ts";
import type { Misdeed } from "./scenario.ts";

/** Gradients made larger by a `scale` liar. */
const SCALE = 1000;
/** A peak that would make everybody's next integers coarse, and is still one that a gradient could have. */
const FORGED_PEAK = 1e12;
/** All colluders compute the same wrong numbers, so that each confirms the others. */
const COLLUSION = 3;

export interface Alteration {
  readonly misdeed: Misdeed;
  readonly lease: LeaseMessage;
  readonly layout: ContributionLayout;
  readonly microbatch: number;
  readonly honest: KnownSum;
  /** What this liar sent first in rounds of this kind, if anything. */
  readonly before: KnownSum | undefined;
}

/**
 * The sum that a liar sends. Those that do harm otherwise (`shape`, `loris`, and those who keep what
 * they are lent) send what is right, if they do.
 */
export function altered({ misdeed, lease, layout, microbatch, honest, before }: Alteration): KnownSum {
  const { units, peaks } = honest;
  // What is measured can be checked by itself: a variance below 0 is seen at once.
  const trained = layout.tensors.map(({ kind }) => kind === "gradient" || kind === "difference");
  switch (misdeed) {
    case "nan": {
      // Integers and codes of it have no word for what is no number.
      const { accumulate, coding } = codecs.get(lease.codec);
      const says = accumulate === "float" && coding === null;
      return { units: says ? units.map(() => Number.NaN) : units, peaks: peaks.map(() => Number.NaN) };
    }
    case "scale":
      return {
        units: units.map((value, i) => (trained[i] ? value * SCALE : value)),
        peaks: peaks.map((peak, i) => (trained[i] ? peak * SCALE : peak)),
      };
    case "flip":
      return { units: units.map((value, i) => (trained[i] ? -value : value)), peaks };
    case "zero":
      return { units: units.map(() => 0), peaks: peaks.map(() => 0) };
    case "peak":
      return { units, peaks: peaks.map(() => FORGED_PEAK) };
    case "replay":
      return before ?? honest;
    case "collude":
      return knownSum(lease, layout, lease.ranges, microbatch, COLLUSION);
    case "shape":
    case "loris":
    case "hoard":
    case "silent":
    case "tease":
    case "bounce":
      return honest;
    default:
      return misdeed satisfies never;
  }
}
