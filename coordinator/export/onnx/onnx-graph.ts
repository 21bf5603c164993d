// A graph of standard operators in the making: names that are there once, tensors that are held once, and values with
// the number of their axes.

import { elementCount } from "../../../shared/model/manifest.ts";
import type { ElementType, OnnxAttribute, OnnxNode, OnnxTensor } from "./onnx-file.ts";

/** What a node gives: f32 [n][c][h][w], or, where it is `flat`, [n][c] of a map of one position. */
export interface Value {
  readonly name: string;
  readonly flat: boolean;
}

function littleEndian(type: ElementType, values: ArrayLike<number>): Uint8Array {
  const { length } = values;
  if (type === "u8") return Uint8Array.from(values);
  const bytes = type === "i64" ? 8 : 4;
  const data = new Uint8Array(bytes * length);
  const view = new DataView(data.buffer);
  for (let i = 0; i < length; i++) {
    if (type === "i64") view.setBigInt64(i * bytes, BigInt(values[i]), true);
    else if (type === "i32") view.setInt32(i * bytes, values[i], true);
    else view.setFloat32(i * bytes, values[i], true);
  }
  return data;
}

export class OnnxGraph {
  readonly #nodes: OnnxNode[] = [];
  readonly #tensors = new Map<string, OnnxTensor>();
  readonly #names = new Set<string>();
  readonly #made = new Map<string, string>();

  get nodes(): readonly OnnxNode[] {
    return this.#nodes;
  }

  get tensors(): readonly OnnxTensor[] {
    return [...this.#tensors.values()];
  }

  /** A name that nothing else has: the wanted one, or that with a number behind it. */
  name(wanted: string): string {
    let name = wanted;
    for (let i = 2; this.#names.has(name); i++) name = `${wanted}_${i}`;
    this.#names.add(name);
    return name;
  }

  /** What `make` made under this key before, or makes now: what nodes share is there once. */
  once(key: string, make: () => string): string {
    const known = this.#made.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#made.set(key, made);
    return made;
  }

  /** Numbers that the file holds, by their name. */
  tensor(wanted: string, type: ElementType, dims: readonly number[], values: ArrayLike<number>): string {
    if (values.length !== elementCount(dims)) {
      throw new RangeError(`${wanted}: [${dims}] has ${elementCount(dims)} elements, got ${values.length}`);
    }
    const name = this.name(wanted);
    this.#tensors.set(name, { name, type, dims, data: littleEndian(type, values) });
    return name;
  }

  /** A number, or a list of them, that the operators ask for as a tensor. */
  constant(type: ElementType, values: number | readonly number[]): string {
    const list = typeof values === "number" ? [values] : values;
    const key = `${type}:${JSON.stringify(values)}`;
    return this.once(key, () => this.tensor(key, type, typeof values === "number" ? [] : [list.length], list));
  }

  /** Adds a node, and returns the name of what it gives. */
  add(
    op: string,
    name: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, OnnxAttribute>> = {},
  ): string {
    const output = this.name(name);
    this.#nodes.push({ name: output, op, inputs, output, attributes });
    return output;
  }

  /** The value as a map of positions. */
  map({ name, flat }: Value): string {
    if (!flat) return name;
    return this.once(`map:${name}`, () => this.add("Unsqueeze", `${name}.map`, [name, this.constant("i64", [2, 3])]));
  }

  /** The value, a map of one position, without its positions. */
  flat({ name, flat }: Value): string {
    if (flat) return name;
    return this.once(`flat:${name}`, () => this.add("Flatten", `${name}.flat`, [name], { axis: { int: 1 } }));
  }

  /** Gives what a node gives another name, which `name` made. */
  rename(from: string, to: string): void {
    const renamed = (one: string) => (one === from ? to : one);
    this.#nodes.forEach((node, at) => {
      this.#nodes[at] = { ...node, inputs: node.inputs.map(renamed), output: renamed(node.output) };
    });
  }
}
