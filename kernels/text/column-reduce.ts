// Sums over the rows of [rows][channels] in two deterministic kernels: partial sums of row blocks, then those in order.
import { kernel, read, readWrite, type Storage, vectorType, vectorWidth } from "./dispatch.ts";
import type { Kernel, KernelSequence } from "./kernel.ts";

/** How rows are cut into blocks so that narrow tensors too give work to every core. */
export function rowBlocks(rows: number, columns: number): { readonly blocks: number; readonly length: number } {
  const wanted = Math.min(Math.ceil(4096 / columns), Math.ceil(rows / 32), 256);
  const length = Math.ceil(rows / Math.max(1, wanted));
  return { blocks: Math.ceil(rows / length), length };
}

export interface ColumnReduce {
  readonly label: string;
  readonly rows: number;
  readonly channels: number;
  readonly floats?: Readonly<Record<string, number>>;
  /** What the row expressions read or write, vec4 typed where `channels % 4 == 0`; WGSL type alias `V`. */
  readonly storage: (type: string) => readonly Storage[];
  /** Before the row loop: `channel` is the channel's (or quad's) number. */
  readonly setup: string;
  /** For every row: `at` is the element's (or quad's) address; the values named in `outputs` are `${output}Sum`. */
  readonly each: string;
  /** Bindings f32 [channels] that receive the sums. */
  readonly outputs: readonly string[];
}

/**
 * The sums of `each` over the rows of every channel. `setup` reads `channel` and `block`; `each` reads those, `row` and
 * `at`, and adds to the `${output}Sum` that are declared here.
 */
export function columnReduce(o: ColumnReduce): KernelSequence {
  const width = vectorWidth(o.channels);
  const type = vectorType(width);
  const columns = o.channels / width;
  const { blocks, length } = rowBlocks(o.rows, columns);
  const result = (output: string, i: number) =>
    blocks === 1
      ? `${output}[channel] = ${output}Sum;`
      : `scratch[(${i}u * BLOCKS + block) * COLUMNS + channel] = ${output}Sum;`;
  const partial = kernel({
    label: `${o.label} partial ${o.rows}x${o.channels}`,
    constants: { ROWS: o.rows, COLUMNS: columns, BLOCKS: blocks, LENGTH: length },
    ...(o.floats ? { floats: o.floats } : {}),
    declarations: `alias V = ${type};`,
    storage: [
      ...o.storage(type),
      ...(blocks === 1 ? o.outputs.map((name) => readWrite(name, type)) : [readWrite("scratch", type)]),
    ],
    items: columns * blocks,
    body: `
let channel = index % COLUMNS;
let block = index / COLUMNS;
${o.setup}
${o.outputs.map((name) => `var ${name}Sum = V();`).join("\n")}
let end = min(ROWS, (block + 1u) * LENGTH);
for (var row = block * LENGTH; row < end; row++) {
  let at = row * COLUMNS + channel;
  ${o.each}
}
${o.outputs.map(result).join("\n")}`,
  });
  if (blocks === 1) return { kernels: [partial], scratchBytes: 0 };
  const combine = combineSums(o.label, o.outputs, blocks, o.channels);
  return { kernels: [partial, combine], scratchBytes: 4 * o.outputs.length * blocks * o.channels };
}

/** Second kernel: scratch f32 [outputs][blocks][channels] → each output f32 [channels], its blocks added in order. */
export function combineSums(label: string, outputs: readonly string[], blocks: number, channels: number): Kernel {
  const sum = (name: string, i: number) => `
var ${name}Sum = 0.0;
for (var block = 0u; block < BLOCKS; block++) { ${name}Sum += scratch[(${i}u * BLOCKS + block) * CHANNELS + index]; }
${name}[index] = ${name}Sum;`;
  return kernel({
    label: `${label} combine ${blocks}x${channels}`,
    constants: { CHANNELS: channels, BLOCKS: blocks },
    storage: [read("scratch"), ...outputs.map((name) => readWrite(name))],
    items: channels,
    body: outputs.map(sum).join(""),
  });
}
