// What may be asked of an import, with its limits.

import { availableParallelism } from "node:os";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { ImportOptions } from "../store/manifest.ts";

export interface ImportRequest {
  /** A folder, a file, or files with braces. */
  readonly source: string;
  /** Folder of the store. */
  readonly out: string;
  /** The layout of the source where a person names it. */
  readonly layout?: string | undefined;
  /** Of CIFAR-100. */
  readonly labels?: "fine" | "coarse" | undefined;
  /** Threads that convert; they change no byte. */
  readonly workers: number;
  /** What decides the bytes, beside the source. */
  readonly options: ImportOptions;
  readonly limitRejects: RejectLimit;
}

/** How much may be rejected: a share of all, or a number. */
export type RejectLimit =
  | { readonly kind: "share"; readonly share: number }
  | { readonly kind: "count"; readonly count: number };

/** Crops of a clip at most. */
export const USUAL_CROPS = 64;
export const defaultOptions: ImportOptions = {
  seed: 0,
  chunk: 8,
  short: 256,
  quality: 90,
  holdout: 0.1,
  crops: USUAL_CROPS,
};
export const DEFAULT_REJECTS = "0.01%";
export const MOST_WORKERS = 64;
/** More threads take more memory than an import may have. */
const USUAL_MOST_WORKERS = 4;
/** Of a share that is held out. */
const MOST_HOLDOUT = 0.9;

export function usualWorkers(): number {
  return Math.min(availableParallelism(), USUAL_MOST_WORKERS);
}

/** `10%` or `0.1`; undefined for what is no share. */
function shareOf(text: string): number | undefined {
  const [, digits, percent] = /^(\d+(?:\.\d+)?|\.\d+)\s*(%?)$/.exec(text.trim()) ?? [];
  if (digits === undefined) return undefined;
  return percent === "%" ? Number(digits) / 100 : Number(digits);
}

/** @throws CONFIG_INVALID */
export function parseHoldout(text: string): number {
  const share = shareOf(text);
  if (share !== undefined && share <= MOST_HOLDOUT) return share;
  throw new BitswarmError("CONFIG_INVALID", `--holdout is a share from 0% to 90%, such as 10%; got ${text}`);
}

/** @throws CONFIG_INVALID */
export function parseRejectLimit(text: string): RejectLimit {
  const share = shareOf(text);
  if (share !== undefined && text.includes("%") && share <= 1) return { kind: "share", share };
  if (share !== undefined && !text.includes("%") && Number.isSafeInteger(share)) return { kind: "count", count: share };
  throw new BitswarmError(
    "CONFIG_INVALID",
    `--limit-rejects is a share from 0% to 100%, or a whole number of files; got ${text}`,
  );
}
