// What a worker remembers of the tilings that it measured on an adapter, and the choice that follows from it. Plain
// data, kept by a TuningStore.

import { z } from "zod";
import { convolutionPass } from "../../kernels/convolution/convolution-pass.ts";
import type { ConvolutionPass } from "../../kernels/convolution/pass/pass.ts";
import { NAIVE, type Tiling, tilingName } from "../../kernels/convolution/pass/tiling.ts";
import { sha256Hex } from "../../shared/base/hash.ts";
import { encodeText } from "../../shared/base/text.ts";
import type { AdapterDescription } from "../../shared/wire/protocol.ts";

/** Passes kept in a table; those measured longest ago make room. */
export const MOST_PASSES = 512;

/**
 * Why a tiling is left out: a `wrong` result, bits that `differ` from those of the tiling that everyone begins with,
 * kernels that the device does not `compile`, or the device was `lost` over it.
 */
const refusalSchema = z.enum(["wrong", "differ", "compile", "lost"]);
export type Refusal = z.output<typeof refusalSchema>;

const name = z.string().min(1).max(64);

const entrySchema = z.strictObject({
  /** passKey. */
  pass: z.string().max(256),
  /** Hash of all candidates' kernels: a release that changes one of them measures anew. */
  kernels: z.string().max(64),
  /** Milliseconds by tiling. */
  ms: z.record(name, z.number().positive()),
  refused: z.record(name, refusalSchema),
});

/** Passes in the order of their measuring. */
export const tuningTableSchema = z.strictObject({
  version: z.literal(1),
  passes: z.array(entrySchema).max(MOST_PASSES),
});

export type TuningEntry = z.output<typeof entrySchema>;
export type TuningTable = z.output<typeof tuningTableSchema>;

export const emptyTable: TuningTable = { version: 1, passes: [] };

/** A hash of the texts of a pass's candidates. */
export function kernelsHash(pass: ConvolutionPass, candidates: readonly Tiling[]): string {
  const texts = candidates.map((tiling) => {
    const { kernels } = convolutionPass(pass, tiling);
    return [tilingName(tiling), ...kernels.map(({ wgsl }) => wgsl)].join("\n");
  });
  return sha256Hex(encodeText(texts.join("\n\n"))).slice(0, 32);
}

/** The tilings that may be used, the kernels' own first choice first. */
export function usable(entry: TuningEntry | undefined, candidates: readonly Tiling[]): readonly Tiling[] {
  return entry ? candidates.filter((tiling) => !Object.hasOwn(entry.refused, tilingName(tiling))) : candidates;
}

/** The fastest of the usable tilings; the first where none was measured, the naive one where none is usable. */
export function chosenTiling(entry: TuningEntry | undefined, candidates: readonly Tiling[]): Tiling {
  const ms = (tiling: Tiling) => entry?.ms[tilingName(tiling)] ?? Number.POSITIVE_INFINITY;
  return (
    usable(entry, candidates).reduce<Tiling | undefined>(
      (best, tiling) => (best === undefined || ms(tiling) < ms(best) ? tiling : best),
      undefined,
    ) ?? NAIVE
  );
}

/** True when nothing is left to measure: a tiling that nobody competes with needs no time. */
export function isMeasured(entry: TuningEntry | undefined, candidates: readonly Tiling[]): boolean {
  if (entry === undefined) return false;
  const left = usable(entry, candidates);
  return left.length < 2 || left.every((tiling) => entry.ms[tilingName(tiling)] !== undefined);
}

/**
 * The entry without a tiling that turned out wrong later: what was measured was judged beside its bits, so that is
 * forgotten, and so are the refusals for other bits.
 */
export function refuse(entry: TuningEntry, tiling: Tiling, why: Refusal): TuningEntry {
  const kept = Object.entries(entry.refused).filter(([, reason]) => reason !== "differ");
  return { ...entry, ms: {}, refused: { ...Object.fromEntries(kept), [tilingName(tiling)]: why } };
}

/** The table with entries put in or replaced; they count as its newest. */
export function withEntries(table: TuningTable, entries: readonly TuningEntry[]): TuningTable {
  const replaced = new Set(entries.map(({ pass }) => pass));
  const passes = [...table.passes.filter(({ pass }) => !replaced.has(pass)), ...entries];
  return { version: 1, passes: passes.slice(-MOST_PASSES) };
}

/** The name of an adapter's table: what it says of itself, and the runtime whose compiler its kernels pass through. */
export function adapterKey(adapter: AdapterDescription, userAgent: string): string {
  const { vendor, architecture, description } = adapter;
  return JSON.stringify([vendor, architecture, description, runtimeOf(userAgent)]);
}

/** E.g. `Chrome 156` or `Deno 2`: the first name that only this runtime uses, with its major version. */
export function runtimeOf(userAgent: string): string {
  const found =
    /\b(Deno|Node\.js|Firefox|Edg)\/(\d+)/.exec(userAgent) ??
    /\b(?:Headless)?(Chrome)\/(\d+)/.exec(userAgent) ??
    /\b(Version)\/(\d+).* Safari/.exec(userAgent);
  return found ? `${found[1]} ${found[2]}` : userAgent.slice(0, 64);
}
