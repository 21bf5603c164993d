// What a codec is: how the numbers of a contribution travel, and all that follows from it for those who send and add
// them. Its other half, the kernels that add what it coded, stands under the same kind in coordinator/sum/reduction.

/**
 * Elements of a block. Each tensor of a contribution begins with one, so that a block belongs to one tensor, and that a
 * GPU can bind it (256 bytes).
 */
export const blockSize = 64;
/** Bound of one value of one contribution, in units: 2^23 contributions stay exact in float64. */
export const clipUnits = 2 ** 30;

/**
 * What a device adds a lease's microbatches up in: `exact` as i32 multiples of each tensor's unit, `float` as float32.
 */
export type Accumulation = "exact" | "float";

/** A tensor within the coded part. */
export interface CodedTensor {
  /** Of its exponent. */
  readonly index: number;
  /** Elements from the start of the coded part, a multiple of 64. */
  readonly at: number;
  readonly size: number;
}

/** The tensors that travel coded, one after another. */
export interface CodedPart {
  /** A multiple of 64: what lies between two tensors is zero. */
  readonly elements: number;
  readonly tensors: readonly CodedTensor[];
  /** Index of each block's tensor. */
  readonly segments: Uint32Array;
}

/** Of one contribution. */
export interface CodedTerms extends CodedPart {
  /** Unit 2^e of each tensor, by its index. */
  readonly exponents: ArrayLike<number>;
  readonly samples: number;
}

export interface Coded {
  readonly bytes: Uint8Array;
  /** Mean magnitude a sample of each coded tensor, where the next unit follows from it. */
  readonly means?: readonly number[];
}

/**
 * What the next round's unit of a coded tensor follows from. `largest`: the largest magnitude of a microbatch, of which
 * eight times as much is to fit `bits` bits beside the sign, and so a lease of 128 microbatches seven more. `mean`: the
 * mean of magnitudes, which contributions then report in the place of peaks, and of which the median counts.
 */
export type UnitFrom = { readonly from: "largest"; readonly bits: number } | { readonly from: "mean" };

/** What travels as it was accumulated: a microbatch takes 23 bits, a lease the 30 of `clipUnits`. */
export const plainUnit = { from: "largest", bits: 23 } as const;

/** How wide tensors travel. @template Values the accumulator's numbers */
export interface Coding<Values> {
  /** Of so many elements, a multiple of 64. */
  bytes(elements: number): number;
  /**
   * @param values sums over the samples [elements]
   * @param residual error feedback [elements] of this worker, to be changed in place
   * @throws GRADIENT_NOT_FINITE
   */
  encode(values: Values, terms: CodedTerms, residual: () => Float32Array): Coded;
  /** Reads what encode() wrote: the element's value in units of its tensor, neither clipped nor rounded. */
  read(bytes: DataView, terms: CodedTerms): (element: number) => number;
  readonly unit: UnitFrom;
  /**
   * A worker keeps what it could not say and says it later. So two honest answers to one range differ, in all but the
   * signs of most elements.
   */
  readonly errorFeedback: boolean;
}

interface Named {
  /** Names it in configurations, leases and this table. */
  readonly kind: string;
  /** Names it in frames, in one byte; 0 is a frame without a codec. */
  readonly number: number;
}

/** Codes integers. */
export interface ExactCodec extends Named {
  readonly accumulate: "exact";
  /**
   * The sum of a round has the same bits for any number of workers, however its ranges are cut. To keep that, nothing
   * is scaled, left out or combined by who sent it.
   */
  readonly exactSums: boolean;
  /** `null`: everything travels as it was accumulated. */
  readonly coding: Coding<Int32Array<ArrayBuffer>> | null;
}

/** Codes float32. */
export interface FloatCodec extends Named {
  readonly accumulate: "float";
  /** float32 rounds as it adds, so a sum depends on how ranges were cut. */
  readonly exactSums: false;
  readonly coding: Coding<Float32Array<ArrayBuffer>> | null;
}

export type Codec = ExactCodec | FloatCodec;

/** Whether a tensor is coded; what is not travels as it was accumulated. */
export function isCoded({ coding }: Codec, { wide }: { readonly wide: boolean }): boolean {
  return coding !== null && wide;
}

/** What a tensor's unit follows from. */
export function unitOf({ coding }: Codec, { wide }: { readonly wide: boolean }): UnitFrom {
  return coding !== null && wide ? coding.unit : plainUnit;
}

/** Whether a tensor's peak carries a mean of magnitudes instead of the largest one. */
export function reportsMean(codec: Codec, tensor: { readonly wide: boolean }): boolean {
  return unitOf(codec, tensor).from === "mean";
}

/** Whether a tensor travels with what its worker could not say before, so that two honest answers differ. */
export function hasFeedback(codec: Codec, tensor: { readonly wide: boolean }): boolean {
  return isCoded(codec, tensor) && codec.coding?.errorFeedback === true;
}
