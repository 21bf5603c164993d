// What the naive kernels have in common: the constants, how an element is read, and one invocation a sum.
import { signWords, type WindowShape } from "../../../shared/model/window.ts";
import { kernel, type Storage } from "../../text/dispatch.ts";
import type { KernelSequence } from "../../text/kernel.ts";
import { describeWindow, placeOfGroup, windowConstants, windowGroups } from "../../text/window-loops.ts";
import type { ConvolutionPass } from "../pass/pass.ts";

/** WGSL of the operands' elements, ±1 where they are bits. */
export interface NaiveElements {
  /** Element `i` of the pixel (`b`, `ih`, `iw`). */
  readonly floatInput: string;
  readonly signInput: string;
  /** The weight (`o`, `tap`, `i`). */
  readonly floatWeight: string;
  readonly signWeight: string;
}

/** Their texts; with groups `i` and `o` are numbers within one. */
export function naiveElements(s: WindowShape): NaiveElements {
  const pixel = placeOfGroup(s, "((b * H + ih) * W + iw)");
  const weight = s.groups === undefined ? "(o * KERNEL * KERNEL + tap)" : `(${outputOf(s)} * KERNEL * KERNEL + tap)`;
  return {
    floatInput: `x[${pixel} * IN + i]`,
    signInput: `sign_of(a[${pixel} * WORDS + i / 32u], i % 32u)`,
    floatWeight: `w[${weight} * IN + i]`,
    signWeight: `sign_of(w[${weight} * WORDS + i / 32u], i % 32u)`,
  };
}

/** Output `o` among those of all groups: what C and a bias are numbered by. */
export function outputOf({ groups }: WindowShape): string {
  return groups === undefined ? "o" : "(own_group * OUT + o)";
}

/**
 * Address of element `index` of this group in a map whose groups have `channels` each: IN or OUT.
 */
export function placeInMap(s: WindowShape, channels: "IN" | "OUT"): string {
  return s.groups === undefined
    ? "index"
    : `${placeOfGroup(s, `index / ${channels}`)} * ${channels} + index % ${channels}`;
}

/** ±1 of a bit of a sign plane. */
const SIGN_OF = "fn sign_of(word: u32, bit: u32) -> f32 { return select(1.0, -1.0, ((word >> bit) & 1u) == 1u); }";

export interface NaiveLoops {
  readonly pass: ConvolutionPass;
  readonly shape: WindowShape;
  readonly storage: readonly Storage[];
  /** Of a group. */
  readonly items: number;
  readonly declarations?: string;
  readonly constants?: Readonly<Record<string, number>>;
  readonly body: string;
}

/** Declares the function `sign_of`, windowConstants and WORDS for the body. */
export function naiveKernel(o: NaiveLoops): KernelSequence {
  const declarations = [SIGN_OF, ...(o.declarations ? [o.declarations] : [])].join("\n");
  const constants = { ...windowConstants(o.shape), WORDS: signWords(o.shape.in), ...o.constants };
  const label = `naive ${o.pass.verb} ${describeWindow(o.shape)}`;
  return {
    kernels: [
      kernel({
        label,
        constants,
        storage: o.storage,
        items: o.items,
        declarations,
        body: o.body,
        ...windowGroups(o.shape),
      }),
    ],
    scratchBytes: 0,
  };
}
