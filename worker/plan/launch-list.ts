// Records what a training step launches, as data: kernels with buffer ranges, and tensors that live from their first to
// their last launch.

import { convolutionPass } from "../../kernels/convolution/convolution-pass.ts";
import { type ConvolutionPass, passKey } from "../../kernels/convolution/pass/pass.ts";
import type { Tiling } from "../../kernels/convolution/pass/tiling.ts";
import type { Packing } from "../../kernels/layers/pack-lanes.ts";
import type { Kernel, KernelSequence } from "../../kernels/text/kernel.ts";

/** An input or a target of the microbatch's samples, by the task's name. */
export type SampleBuffer = `sample.${string}`;

/** Buffers that outlive a microbatch; the executor owns them. */
export type ExternalBuffer =
  | SampleBuffer
  | "parameters"
  | "gradient"
  | "segments"
  | "scales"
  | "sum"
  | "peaks"
  /**
   * Of a replica that takes inner steps: what it started from, its latent weights' signs, optimizer state, rates,
   * metrics, check.
   */
  | "origin"
  | "signs"
  | "moments"
  | "variances"
  | "rates"
  | "tally"
  | "checksum"
  /** A network that is run forward and not changed, by its name. */
  | `frozen ${string}`;

export function frozenBuffer(network: string): ExternalBuffer {
  return `frozen ${network}`;
}

/** A range of a buffer, offset and size in bytes; offsets are multiples of 256. */
export type Ref =
  | { readonly kind: "transient"; readonly id: number; readonly offset: number; readonly bytes: number }
  | { readonly kind: "external"; readonly buffer: ExternalBuffer; readonly offset: number; readonly bytes: number };

export interface Launch {
  readonly kernel: Kernel;
  /** In the kernel's binding order. */
  readonly refs: readonly Ref[];
}

/** A tensor's bytes and the launches, first and last, that touch it. */
export interface Lifetime {
  readonly bytes: number;
  first: number;
  last: number;
}

/** Whether a product is computed by the kernel that compiles soonest, in the place of the fast one. */
export type IsSmall = (fast: Kernel) => boolean;

/** Which tiling a pass gets; undefined leaves the choice to the kernels. */
export type ChooseTiling = (pass: ConvolutionPass) => Tiling | undefined;

export class LaunchList {
  readonly launches: Launch[] = [];
  readonly lifetimes: Lifetime[] = [];
  /** The distinct convolution passes launched, by passKey: what a tuner has to choose tilings for. */
  readonly passes = new Map<string, ConvolutionPass>();
  /** The fast kernels of the products whose tiles no tuner chooses, by their text. */
  readonly products = new Map<string, Kernel>();
  /** Who packs signs. */
  readonly packing: Packing;
  #choose: ChooseTiling;
  #isSmall: IsSmall;

  constructor(choose: ChooseTiling = () => undefined, packing: Packing = "words", isSmall: IsSmall = () => false) {
    this.#choose = choose;
    this.packing = packing;
    this.#isSmall = isSmall;
  }

  /** Appends a pass of a convolution; bindings are those of its verb in `kernels/`. */
  convolve(pass: ConvolutionPass, refs: Readonly<Record<string, Ref>>): void {
    this.passes.set(passKey(pass), pass);
    this.run(convolutionPass(pass, this.#choose(pass)), refs);
  }

  /** Appends a product, whose kernel has a fast text and one that compiles soonest. */
  multiply(kernel: (small: boolean) => Kernel, refs: Readonly<Record<string, Ref>>): void {
    const fast = kernel(false);
    this.products.set(fast.wgsl, fast);
    this.run(this.#isSmall(fast) ? kernel(true) : fast, refs);
  }

  /** A new tensor of f32 or u32 elements. */
  tensor(elements: number): Ref {
    return this.#allocate(4 * elements);
  }

  #allocate(bytes: number): Ref {
    this.lifetimes.push({ bytes, first: -1, last: -1 });
    return { kind: "transient", id: this.lifetimes.length - 1, offset: 0, bytes };
  }

  /** Keeps a tensor alive to the end, for what reads it after the launches. */
  keep(ref: Ref): void {
    if (ref.kind === "transient") this.lifetimes[ref.id].last = Number.POSITIVE_INFINITY;
  }

  /** Appends a kernel or a sequence; `refs` are by binding name, `scratch` is added. */
  run(verb: Kernel | KernelSequence, refs: Readonly<Record<string, Ref>>): void {
    const sequence = "kernels" in verb ? verb : { kernels: [verb], scratchBytes: 0 };
    const named = sequence.scratchBytes > 0 ? { ...refs, scratch: this.#allocate(sequence.scratchBytes) } : refs;
    for (const kernel of sequence.kernels) this.#append(kernel, named);
  }

  #append(kernel: Kernel, named: Readonly<Record<string, Ref>>): void {
    const at = this.launches.length;
    const refs = kernel.bindings.map(({ name }) => {
      const ref = named[name];
      if (!ref) throw new RangeError(`${kernel.label}: nothing is bound to ${name}`);
      if (ref.kind === "transient") {
        const life = this.lifetimes[ref.id];
        if (life.first < 0) life.first = at;
        life.last = Math.max(life.last, at);
      }
      return ref;
    });
    this.launches.push({ kernel, refs });
  }
}

/** A range within a tensor, offset and length in elements; the offset must be a multiple of 64 elements. */
export function slice(ref: Ref, offset: number, elements: number): Ref {
  return { ...ref, offset: ref.offset + 4 * offset, bytes: 4 * elements };
}
