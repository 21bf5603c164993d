// What a codec's half in the reduction is: kernels that look at what it coded, and add it. Its other half is in
// shared/codecs.

/** Where one coded tensor of a contribution lies in the reduction's memory. */
export interface CodedPlace {
  /** Address of the coded part, and its elements. */
  readonly part: number;
  readonly elements: number;
  /** Element of the part with which the tensor begins, a multiple of 64. */
  readonly element: number;
  readonly size: number;
  /** Of 64 elements; what is behind `size` in the last is zero. */
  readonly blocks: number;
  /** Its unit is 2^exponent. */
  readonly exponent: number;
  readonly samples: number;
  /** Address of a kernel's report: the largest |units| (f32 [4]), then the largest bits of a magnitude (u32 [4]). */
  readonly report: number;
}

/** i32 sums, the same that hold what travels plain: the reduction folds them in time. */
export interface LowSums {
  readonly kind: "low";
  /** Adds one tensor to the i32 sums at `low`, each value at most `factor` · 2^30 and rounded to even. */
  add(kernels: object, place: CodedPlace, factor: number, low: number): void;
}

/** Where a round has a codec's own sums. */
export interface OwnSumsPlace {
  /** Address of the codec's own, zero when a round opens. */
  readonly at: number;
  readonly elements: number;
  /** Address of the float64 sums that they end in. */
  readonly high: number;
}

export interface OpenSums {
  /** Adds the whole coded part at an address. @param scale above 0, at most 1 */
  add(part: number, samples: number, scale: number): void;
  /** Adds all to the float64 sums, and begins anew. */
  fold(): void;
}

/** Sums of its own, for what is smaller than a number. */
export interface OwnSums {
  readonly kind: "own";
  /** Elements that it writes where there are so many. */
  padded(elements: number): number;
  /** That its sums of so many elements take. */
  bytes(elements: number): number;
  open(kernels: object, place: OwnSumsPlace): OpenSums;
}

export interface CodedReduction {
  /** Kernels in WebAssembly's text format (assemble.ts); `kernels` below are what it exports. */
  readonly text: string;
  /** Bits of a reported magnitude from which on a value is not finite; where absent every value is. */
  readonly infinityBits?: number;
  /** Looks at one tensor, leaves its report, and returns Σ units². */
  inspect(kernels: object, place: CodedPlace): number;
  readonly sums: LowSums | OwnSums;
}

export interface CodecReduction {
  readonly kind: string;
  /** `null` where the codec codes nothing. */
  readonly coding: CodedReduction | null;
}
