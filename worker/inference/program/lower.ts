// From an exported network to the steps that it comes to (program.ts): norms become a scale and a bias, and are drawn,
// with shortcuts and activations, into the step whose result they alone read.

import { channelsSeen, denseWeight } from "../../../shared/export/dense-weight.ts";
import type { ExportedModel, ExportedNode, ExportedNodeOf } from "../../../shared/export/exported-model.ts";
import { floatsOf, planesOf } from "../../../shared/export/read-exported.ts";
import { toOhwi } from "../../../shared/model/axes.ts";
import type { NodeId } from "../../../shared/model/graph.ts";
import { convolutionWindow, signWords, type WindowShape } from "../../../shared/model/window.ts";
import type { Activation, BitTerm, Counting, Program, Rule, Step, Tail, Value, ValueId } from "./program.ts";

/** Above so many counts of bits a layer is as fast in floats. */
const MOST_TERMS = 6;
/** Outputs that a backend computes side by side: groups that do not fill such vectors are written out in zeros. */
const VECTORS = 8;

type Convolution = ExportedNodeOf<"conv" | "rbconv" | "qconv">;

/** A step whose output nobody has read yet, so that more can be drawn into it. */
interface Open {
  readonly make: (output: ValueId, tail: Tail) => Step;
  readonly shape: { readonly h: number; readonly w: number; readonly c: number };
  tail: Tail;
}

function inputsOf(node: ExportedNode): readonly NodeId[] {
  if (node.op === "input") return [];
  return "other" in node ? [node.input, node.other] : [node.input];
}

function isOne(values: Float32Array): boolean {
  return values.every((value) => value === 1);
}

/** @param n pictures at once, which the GPU alone takes */
export function lowered(model: ExportedModel, n = 1): Program {
  return new Lowering(model, n).program();
}

class Lowering {
  readonly #model: ExportedModel;
  readonly #n: number;
  readonly #values: Value[] = [];
  readonly #steps: Step[] = [];
  /** How many nodes read each node, and the output's reader. */
  readonly #uses: number[];
  readonly #made = new Map<NodeId, ValueId>();
  readonly #open = new Map<NodeId, Open>();
  /** Planes and numbers of a quantised node, and signs of any. */
  readonly #derived = new Map<string, ValueId>();

  constructor(model: ExportedModel, n: number) {
    this.#model = model;
    this.#n = n;
    this.#uses = model.nodes.map((_, id) => (id === model.output ? 1 : 0));
    for (const node of model.nodes) for (const input of inputsOf(node)) this.#uses[input]++;
  }

  program(): Program {
    const { nodes, shapes, output } = this.#model;
    const input = nodes.findIndex(({ op }) => op === "input");
    nodes.forEach((node, id) => {
      if (node.op === "input") this.#made.set(id, this.#value({ kind: "map", ...shapes[id] }));
      else this.#lower(node, id);
    });
    const last = this.#map(output);
    return { n: this.#n, values: this.#values, steps: this.#steps, input: this.#map(input), output: last };
  }

  #value(value: Value): ValueId {
    this.#values.push(value);
    return this.#values.length - 1;
  }

  #floats(name: string): Float32Array {
    return floatsOf(this.#model, name);
  }

  /** The node's map in memory. */
  #map(id: NodeId): ValueId {
    const made = this.#made.get(id);
    if (made !== undefined) return made;
    const node = this.#model.nodes[id];
    if (node.op === "quantise") return this.#numbers(id, node.input, this.#rule(node));
    const open = this.#open.get(id);
    if (!open) throw new RangeError(`node ${id} (${node.op}) was not computed`);
    this.#open.delete(id);
    const output = this.#value({ kind: "map", ...open.shape });
    this.#steps.push(open.make(output, open.tail));
    this.#made.set(id, output);
    return output;
  }

  /**
   * A step that may be drawn out: that of `input`, where this node alone reads it and `fits` its tail; else a new one.
   */
  #extended(input: NodeId, fits: (tail: Tail) => boolean): Open {
    const open = this.#open.get(input);
    if (open && this.#uses[input] === 1 && fits(open.tail)) {
      this.#open.delete(input);
      return open;
    }
    const from = this.#map(input);
    const shape = this.#model.shapes[input];
    return { make: (output, tail) => ({ op: "map", input: from, output, tail }), shape, tail: {} };
  }

  #lower(node: Exclude<ExportedNode, { op: "input" }>, id: NodeId): void {
    const shape = this.#model.shapes[id];
    const open = (next: Open, tail: Tail) => this.#open.set(id, { ...next, tail });
    const noSumYet = ({ add, activation }: Tail) => add === undefined && activation === undefined;
    switch (node.op) {
      case "conv":
      case "rbconv":
      case "qconv":
        this.#open.set(id, { make: this.#convolution(node, id), shape, tail: {} });
        return;
      case "linear": {
        const window = this.#window({ ...node, kernel: 1, stride: 1, padding: 0 }, id);
        const weight = this.#floats(node.tensors.weight);
        const input = this.#map(node.input);
        const make = (output: ValueId, tail: Tail): Step => ({
          op: "float",
          name: node.name,
          input,
          output,
          window,
          weight,
          tail,
        });
        this.#open.set(id, { make, shape, tail: { bias: this.#floats(node.tensors.bias) } });
        return;
      }
      case "batchnorm": {
        const next = this.#extended(node.input, noSumYet);
        open(next, this.#affine(next.tail, this.#norm(node)));
        return;
      }
      case "gamma":
        this.#gamma(node, id);
        return;
      case "inputscale": {
        const factors = this.#value({ kind: "factors", h: shape.h, w: shape.w });
        const input = this.#map(node.other);
        const window = { ...this.#window({ ...node, out: 1 }, id, node.other) };
        this.#steps.push({ op: "magnitude", input, output: factors, window });
        const next = this.#extended(node.input, (tail) => Object.keys(tail).every((part) => part === "scale"));
        open(next, { ...next.tail, factors });
        return;
      }
      case "activation": {
        const next = this.#extended(node.input, ({ activation }) => activation === undefined);
        open(next, { ...next.tail, activation: this.#activation(node, shape.c) });
        return;
      }
      case "add": {
        // The one that was begun first may be drawn out to here; what it is added to lies in memory by then.
        const fits = (from: NodeId) => {
          const candidate = this.#open.get(from);
          return candidate !== undefined && this.#uses[from] === 1 && noSumYet(candidate.tail);
        };
        const [body, other] =
          fits(node.input) || !fits(node.other) ? [node.input, node.other] : [node.other, node.input];
        const added = this.#map(other);
        const next = this.#extended(body, noSumYet);
        open(next, { ...next.tail, add: added });
        return;
      }
      case "pool": {
        const input = this.#map(node.input);
        const window = this.#window({ ...node, out: shape.c }, id);
        const output = this.#value({ kind: "map", ...shape });
        this.#steps.push({ op: "pool", kind: node.kind, input, output, window });
        this.#made.set(id, output);
        return;
      }
      case "globalpool": {
        const input = this.#map(node.input);
        const output = this.#value({ kind: "map", ...shape });
        this.#steps.push({ op: "globalpool", input, output });
        this.#made.set(id, output);
        return;
      }
      case "quantise":
        // As planes or as numbers, whoever reads it.
        return;
      default:
        node satisfies never;
    }
  }

  #window(
    { kernel, stride, padding, out }: Pick<WindowShape, "kernel" | "stride" | "padding" | "out">,
    id: NodeId,
    from = (this.#model.nodes[id] as Convolution).input,
  ): WindowShape {
    const { h, w, c } = this.#model.shapes[from];
    return { n: this.#n, h, w, in: c, out, kernel, stride, padding };
  }

  #norm(node: ExportedNodeOf<"batchnorm">): { scale: Float32Array; bias: Float32Array } {
    const [weight, bias, mean, variance] = [
      node.tensors.weight,
      node.tensors.bias,
      node.tensors.mean,
      node.tensors.variance,
    ].map((name) => this.#floats(name));
    const scale = Float64Array.from(weight, (value, c) => value / Math.sqrt(variance[c] + node.epsilon));
    return { scale: Float32Array.from(scale), bias: bias.map((value, c) => value - mean[c] * scale[c]) };
  }

  /** What follows x · scale + bias. */
  #affine(tail: Tail, { scale, bias }: { readonly scale: Float32Array; readonly bias?: Float32Array }): Tail {
    const { scale: before, bias: beside } = tail;
    return {
      ...tail,
      scale: before ? before.map((value, c) => value * scale[c]) : scale,
      ...(beside || bias ? { bias: scale.map((value, c) => value * (beside?.[c] ?? 0) + (bias?.[c] ?? 0)) } : {}),
    };
  }

  #gamma({ input, tensors }: ExportedNodeOf<"gamma">, id: NodeId): void {
    const { h, w } = this.#model.shapes[id];
    const along = tensors.h !== undefined || tensors.w !== undefined;
    const fits = (tail: Tail) =>
      tail.add === undefined &&
      tail.activation === undefined &&
      (!along || (tail.bias === undefined && tail.factors === undefined));
    const next = this.#extended(input, fits);
    const tail = tensors.c === undefined ? next.tail : this.#affine(next.tail, { scale: this.#floats(tensors.c) });
    const rows = tensors.h === undefined ? undefined : this.#floats(tensors.h);
    const columns = tensors.w === undefined ? undefined : this.#floats(tensors.w);
    const factors = Float32Array.from(
      { length: h * w },
      (_, at) => (rows?.[Math.floor(at / w)] ?? 1) * (columns?.[at % w] ?? 1),
    );
    this.#open.set(id, { ...next, tail: along && !isOne(factors) ? { ...tail, factors } : tail });
  }

  #activation(node: ExportedNodeOf<"activation">, channels: number): Activation {
    if (node.kind === "hardtanh") return { kind: "clip" };
    const { weight } = node.tensors;
    return { kind: "slope", slope: weight === undefined ? new Float32Array(channels) : this.#floats(weight) };
  }

  #rule(node: ExportedNodeOf<"quantise">): Rule {
    const { shift, scale } = node.tensors;
    if (node.rule.kind !== "bases") return node.rule;
    return { kind: "bases", shift: this.#floats(shift ?? ""), scale: this.#floats(scale ?? "") };
  }

  /** Bit planes of `of`'s map by a rule, made once for each number of groups. */
  #planes(key: string, of: NodeId, rule: Rule, groups = 1): ValueId {
    return this.#once(`planes ${key} in ${groups}`, () => {
      const input = this.#map(of);
      const planes = rule.kind === "sign" ? 1 : rule.kind === "bits" ? rule.bits : rule.shift.length;
      const shape = this.#model.shapes[of];
      const output = this.#value({ kind: "planes", planes, ...shape, ...(groups > 1 && { groups }) });
      this.#steps.push({ op: "pack", input, output, rule });
      return output;
    });
  }

  #numbers(key: NodeId | string, of: NodeId, rule: Rule): ValueId {
    return this.#once(`numbers ${key}`, () => {
      const input = this.#map(of);
      const output = this.#value({ kind: "map", ...this.#model.shapes[of] });
      this.#steps.push({ op: "quantise", input, output, rule });
      return output;
    });
  }

  #once(key: string, make: () => ValueId): ValueId {
    const known = this.#derived.get(key);
    if (known !== undefined) return known;
    const made = make();
    this.#derived.set(key, made);
    return made;
  }

  /** [out][kh][kw][in]; between groups there are zeros, unless the window has groups too. */
  #dense(node: Convolution, { kernel, in: channels }: WindowShape): Float32Array {
    const { out } = node;
    const seen = channelsSeen(this.#model, node);
    const own = toOhwi(denseWeight(this.#model, node), [out, seen, kernel, kernel]);
    if (seen === channels) return own;
    const weight = new Float32Array(out * kernel * kernel * channels);
    const outs = (out * seen) / channels;
    for (let row = 0; row < out * kernel * kernel; row++) {
      const group = Math.floor(row / (kernel * kernel * outs));
      weight.set(own.subarray(row * seen, (row + 1) * seen), row * channels + group * seen);
    }
    return weight;
  }

  #convolution(node: Convolution, id: NodeId): Open["make"] {
    const whole = this.#window(node, id);
    const { name } = node;
    const { groups = 1 } = node.op === "qconv" ? {} : node;
    const apart = (node.out / groups) % VECTORS === 0;
    const inGroups = groups === 1 ? whole : convolutionWindow({ ...node, groups }, { ...whole, c: whole.in });
    const dense = (input: ValueId): Open["make"] => {
      const window = apart ? inGroups : whole;
      const weight = this.#dense(node, window);
      return (output, tail) => ({ op: "float", name, input, output, window, weight, tail });
    };
    if (node.op === "rbconv") {
      const sign: Rule = { kind: "sign" };
      const c = this.#model.tensors.get(node.tensors.c)!;
      const [outs, inputs, rows, columns] = c.shape;
      const perTap = rows * columns > 1;
      // Groups of words lie side by side where no zeros are between them.
      const together = groups > 1 && (!apart || whole.in % VECTORS !== 0);
      if (inputs > 1 || (perTap && outs > 1) || together) {
        return dense(this.#numbers(`sign ${node.input}`, node.input, sign));
      }
      const bits = planesOf(this.#model, node.tensors.signs);
      const values = this.#floats(node.tensors.c);
      const input = this.#planes(`sign ${node.input}`, node.input, sign, groups);
      const window = inGroups;
      if (perTap) return (output, tail) => ({ op: "taps", name, input, output, window, bits, c: values, tail });
      const coefficient = Float32Array.from({ length: node.out }, (_, o) => values[outs === 1 ? 0 : o]);
      const terms: BitTerm[] = [{ bits, plane: 0, coefficient }];
      const counting = { operation: "xor", offset: { channels: 1, ones: 0 } } as const;
      return (output, tail) => ({ op: "bits", name, input, output, window, counting, terms, tail });
    }
    const from = this.#model.nodes[node.input];
    if (node.op === "conv" || node.weight.kind === "float" || from.op !== "quantise")
      return dense(this.#map(node.input));
    const rule = this.#rule(from);
    const window = whole;
    const terms = this.#terms(node, rule, window);
    if (terms.length === 0 || terms.length > MOST_TERMS) return dense(this.#map(node.input));
    const input = this.#planes(String(node.input), from.input, rule);
    const counting = countingOf(node.weight.kind === "ternary" ? "and" : "xor", rule);
    return (output, tail) => ({ op: "bits", name, input, output, window, counting, terms, tail });
  }

  /** Each plane of the weights with each of the activations; none for a form that is no sum of planes. */
  #terms({ tensors, weight: form, out }: ExportedNodeOf<"qconv">, rule: Rule, window: WindowShape): BitTerm[] {
    if ((form.kind !== "linear" && form.kind !== "ternary") || tensors.planes === undefined) return [];
    const all = planesOf(this.#model, tensors.planes);
    const size = out * window.kernel ** 2 * signWords(window.in);
    const c = this.#floats(tensors.c ?? "");
    const plane = (m: number) => all.subarray(m * size, (m + 1) * size);
    const weights =
      form.kind === "linear"
        ? Array.from({ length: form.planes }, (_, m) => ({
            bits: plane(m),
            worth: Float32Array.from({ length: out }, (_, o) => (form.scale === "layer" ? c[m] : c[m * out + o])),
          }))
        : ternaryParts(plane(0), plane(1), window.in).map((bits, part) => ({
            bits,
            worth: new Float32Array(out).fill(part === 0 ? c[0] : -c[1]),
          }));
    const levels = rule.kind === "bits" ? 2 ** rule.bits - 1 : 0;
    const activations: readonly number[] =
      rule.kind === "sign"
        ? [1]
        : rule.kind === "bases"
          ? [...rule.scale]
          : Array.from({ length: rule.bits }, (_, j) => 2 ** j / levels);
    // The bits of a level are 0 and 1 (`countingOf`), those of a sign are ±1.
    const factor = rule.kind === "bits" ? -0.5 : 1;
    return weights.flatMap(({ bits, worth }) =>
      activations.map((value, plane) => ({ bits, plane, coefficient: worth.map((w) => factor * w * value) })),
    );
  }
}

/**
 * What counts are taken from. Of activations of ±1: Σ w·a of w = ±1 is the channels less twice the bits that differ,
 * and of a mask its set bits less twice those that both have. Of bits b of 0 and 1: Σ w·b of w = ±1 is the bits that
 * differ less those of w, and of a mask those that both have; both are −½ · (offset − 2 · count).
 */
function countingOf(operation: Counting["operation"], rule: Rule): Counting {
  const xor = operation === "xor";
  if (rule.kind === "bits") return { operation, offset: { channels: 0, ones: xor ? 2 : 0 } };
  return { operation, offset: xor ? { channels: 1, ones: 0 } : { channels: 0, ones: 1 } };
}

/** Where a ternary weight is positive, and where it is negative, from its signs and its mask of zeros. */
function ternaryParts(signs: Uint32Array, zeros: Uint32Array, channels: number): readonly [Uint32Array, Uint32Array] {
  const words = signWords(channels);
  const tail = channels % 32 === 0 ? 0xffffffff : 2 ** (channels % 32) - 1;
  const there = (word: number, i: number) => ~word & (i % words === words - 1 ? tail : 0xffffffff);
  return [signs.map((word, i) => there(word | zeros[i], i)), signs.map((word, i) => word & there(zeros[i], i))];
}
