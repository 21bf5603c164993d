// Many partial sums of a few totals, added in a fixed order, in two turns so that no invocation adds thousands.
import { kernel, read, readWrite } from "./dispatch.ts";
import type { KernelSequence } from "./kernel.ts";

/** Sums that the first turn leaves of each total. */
const MOST_GROUPS = 64;

export interface OrderedTotals {
  readonly label: string;
  /** Partial sums of each total. */
  readonly parts: number;
  /** Bindings and how many totals each holds, f32; in scratch they follow each other in this order. */
  readonly outputs: readonly (readonly [name: string, totals: number])[];
}

/** scratch f32 [totals][parts], and space behind it, → the outputs, each the sum of its parts. */
export function orderedTotals({ label, parts, outputs }: OrderedTotals): KernelSequence {
  const totals = outputs.reduce((sum, [, count]) => sum + count, 0);
  const length = Math.ceil(parts / MOST_GROUPS);
  const groups = Math.ceil(parts / length);
  const behind = totals * parts;
  const group = kernel({
    label: `${label} groups`,
    storage: [readWrite("scratch")],
    items: totals * groups,
    body: `
let first = (index / ${groups}u) * ${parts}u;
let start = (index % ${groups}u) * ${length}u;
var sum = 0.0;
for (var i = start; i < min(${parts}u, start + ${length}u); i++) { sum += scratch[first + i]; }
scratch[${behind}u + index] = sum;`,
  });
  let before = 0;
  const stores = outputs.map(([name, count]) => {
    const store = `if ((index >= ${before}u) & (index < ${before + count}u)) { ${name}[index - ${before}u] = sum; }`;
    before += count;
    return store;
  });
  const total = kernel({
    label: `${label} totals`,
    storage: [read("scratch"), ...outputs.map(([name]) => readWrite(name))],
    items: totals,
    body: `
var sum = 0.0;
for (var i = 0u; i < ${groups}u; i++) { sum += scratch[${behind}u + index * ${groups}u + i]; }
${stores.join("\n")}`,
  });
  return { kernels: [group, total], scratchBytes: 4 * (behind + totals * groups) };
}
