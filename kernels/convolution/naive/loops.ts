// What the naive kernels have in common: the constants, how an element is read, and one invocation a sum.
import { signWords, type WindowShape } from "../../../shared/model/window.ts";
import { kernel, type Storage } from "../../text/dispatch.ts";
import type { KernelSequence } from "../../text/kernel.ts";
import { describeWindow, windowConstants } from "../../text/window-loops.ts";
import type { ConvolutionPass } from "../pass/pass.ts";

/** WGSL of element `i` of the pixel (`b`, `ih`, `iw`), or of the weight (`o`, `tap`, `i`); ±1 where it is a bit. */
export const FLOAT_INPUT = "x[((b * H + ih) * W + iw) * IN + i]";
export const SIGN_INPUT = "sign_of(a[((b * H + ih) * W + iw) * WORDS + i / 32u], i % 32u)";
export const FLOAT_WEIGHT = "w[(o * KERNEL * KERNEL + tap) * IN + i]";
export const SIGN_WEIGHT = "sign_of(w[(o * KERNEL * KERNEL + tap) * WORDS + i / 32u], i % 32u)";

/** ±1 of a bit of a sign plane. */
const SIGN_OF = "fn sign_of(word: u32, bit: u32) -> f32 { return select(1.0, -1.0, ((word >> bit) & 1u) == 1u); }";

export interface NaiveLoops {
  readonly pass: ConvolutionPass;
  readonly shape: WindowShape;
  readonly storage: readonly Storage[];
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
    kernels: [kernel({ label, constants, storage: o.storage, items: o.items, declarations, body: o.body })],
    scratchBytes: 0,
  };
}
