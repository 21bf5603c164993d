// A correlation of maps as data: every search is convolved with an exemplar's map, as a filter of its own (SiamFC:
// Bertinetto et al. 2016, section 2.2).

import type { WindowShape } from "../../../shared/model/window.ts";

/** What a correlation is beside its shape: `in` is both maps' channels, `out` is 1, `kernel` is the exemplar's rows. */
export interface CorrelationFields {
  /** Columns of the exemplar. */
  readonly columns: number;
  /** Of them there are so many; n is a multiple, and search b meets exemplar b modulo this. */
  readonly exemplars: number;
  /** Of the response. */
  readonly scale: number;
}

export type CorrelationPass = CorrelationFields & { readonly shape: WindowShape } & (
    | { readonly verb: "xcorrForward" }
    | { readonly verb: "xcorrSearchGradient"; readonly accumulate: boolean }
    | { readonly verb: "xcorrExemplarGradient"; readonly accumulate: boolean }
  );

/** Searches f32 [n][h][w][channels], exemplars f32 [exemplars][rows][columns][channels], responses f32 [n][oh][ow]. */
export interface CorrelationShape {
  readonly n: number;
  readonly exemplars: number;
  readonly channels: number;
  readonly h: number;
  readonly w: number;
  readonly rows: number;
  readonly columns: number;
  readonly oh: number;
  readonly ow: number;
}

export function correlationShape({ shape, columns, exemplars }: Omit<CorrelationPass, "verb">): CorrelationShape {
  const { n, h, w, in: channels, kernel: rows } = shape;
  return { n, exemplars, channels, h, w, rows, columns, oh: h - rows + 1, ow: w - columns + 1 };
}

/**
 * @throws RangeError for searches that no exemplar is told for
 */
export function correlationPass(
  verb: CorrelationPass["verb"],
  of: Omit<CorrelationShape, "oh" | "ow">,
  { scale, accumulate = false }: { readonly scale: number; readonly accumulate?: boolean },
): CorrelationPass {
  const { n, exemplars, channels, h, w, rows, columns } = of;
  if (n % exemplars !== 0) throw new RangeError(`${n} searches are no multiple of ${exemplars} exemplars`);
  const shape: WindowShape = { n, h, w, in: channels, out: 1, kernel: rows, stride: 1, padding: 0 };
  const fields = { shape, columns, exemplars, scale };
  return verb === "xcorrForward" ? { verb, ...fields } : { verb, ...fields, accumulate };
}

/** Whether a pass is one of these. */
export function isCorrelation<P extends { readonly verb: string }>(
  pass: P,
): pass is Extract<P, { readonly verb: CorrelationPass["verb"] }> {
  return pass.verb.startsWith("xcorr");
}

/** Multiply-adds, and how many of them a value of the result sums. */
export function correlationWork(pass: CorrelationPass): { readonly all: number; readonly terms: number } {
  const { n, exemplars, channels, rows, columns, oh, ow } = correlationShape(pass);
  const all = n * oh * ow * rows * columns * channels;
  switch (pass.verb) {
    case "xcorrForward":
      return { all, terms: rows * columns * channels };
    case "xcorrSearchGradient":
      return { all, terms: rows * columns };
    case "xcorrExemplarGradient":
      return { all, terms: (n / exemplars) * oh * ow };
    default:
      return pass satisfies never;
  }
}
