// Which weights of a layer share an entry of C, and the loop over them: what L_Kernel and the latent gradients sum.
import { type Rectify, rectifyShape } from "../../../shared/model/rectify.ts";

export interface RectifiedLayer {
  readonly out: number;
  readonly kernel: number;
  readonly in: number;
  readonly rectify: Rectify;
}

/** Address of member i of the group that shares entry e of C: (i / inner)·outer + e·step + i % inner. */
function sharedElements(rectify: Rectify, out: number, taps: number, input: number) {
  const plane = taps * input;
  switch (rectify) {
    case "kernel":
      return { inner: input, outer: plane, step: input };
    case "layer":
      return { inner: out * plane, outer: 0, step: 0 };
    case "out":
      return { inner: plane, outer: 0, step: plane };
    case "filter":
      return { inner: 1, outer: plane, step: 1 };
    default:
      return rectify satisfies never;
  }
}

/** The groups of a layer, each summed in `blocks` partial sums by invocation `block · entries + entry`. */
export function sharedScale(o: RectifiedLayer) {
  const taps = o.kernel * o.kernel;
  const entries = rectifyShape(o.rectify, o.out, o.kernel, o.in).reduce((a, b) => a * b, 1);
  const members = (o.out * taps * o.in) / entries;
  const blocks = Math.min(Math.ceil(2048 / entries), Math.ceil(members / 32));
  const { inner, outer, step } = sharedElements(o.rectify, o.out, taps, o.in);
  const totals = { ENTRIES: entries, BLOCKS: blocks };
  const lengths = { MEMBERS: members, LENGTH: Math.ceil(members / blocks) };
  return {
    entries,
    blocks,
    shape: `${o.out}x${o.kernel}x${o.kernel}x${o.in} ${o.rectify}`,
    /** Constants of a kernel that adds the partial sums, and of one that makes them by `eachMember`. */
    totals,
    constants: { ...totals, ...lengths, INNER: inner, OUTER: outer, STEP: step },
  };
}

/**
 * `statements` of every weight of this invocation's block, at address `at`; `scale` is the entry of C. `before`
 * declares sums. Reads `index`, the binding `c` and sharedScale's constants; declares `entry`, `block`, `scale`, `i`,
 * `at`.
 */
export function eachMember(before: string, statements: string): string {
  return `
let entry = index % ENTRIES;
let block = index / ENTRIES;
let scale = c[entry];
let end = min(MEMBERS, (block + 1u) * LENGTH);
${before}
for (var i = block * LENGTH; i < end; i++) {
  let at = (i / INNER) * OUTER + entry * STEP + i % INNER;
${statements}
}`;
}
