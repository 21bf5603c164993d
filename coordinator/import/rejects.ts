// When so much of a source is rejected that something else must be wrong.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { Listed } from "./import-event.ts";
import type { RejectLimit } from "./import-request.ts";

/** Of rejects that are told by name. */
export const NAMED_REJECTS = 20;
/** Where nobody knows how many files there are, an estimate must be passed so many times before reading stops. */
const ESTIMATE_MARGIN = 2;
/** Rejects beyond what a share allows that stop nothing before all is read. */
const PATIENCE = 100;

/** How far reading is. */
export interface ReadSoFar {
  readonly files: number;
  readonly rejected: number;
  /** Files in all; undefined where it is not known. */
  readonly total: number | undefined;
  /** Of the source's bytes, the share that was read. */
  readonly share: number;
  readonly ended: boolean;
}

/** Rejects that so many files may have. */
export function allowed(limit: RejectLimit, files: number): number {
  return limit.kind === "count" ? limit.count : Math.floor(limit.share * files + 1e-9);
}

/** Whether the limit is passed, or is sure to be by far, however good the rest is. */
export function isOver(limit: RejectLimit, { files, rejected, total, share, ended }: ReadSoFar): boolean {
  if (ended) return rejected > allowed(limit, files);
  if (limit.kind === "count") return rejected > limit.count;
  // A small source is read to its end, so that all of its rejects are named at once.
  if (total !== undefined) return rejected > PATIENCE + allowed(limit, Math.max(total, files));
  if (share <= 0) return false;
  return rejected > PATIENCE + ESTIMATE_MARGIN * allowed(limit, files / share);
}

/** Two digits, rounded up, so that it suffices. */
function percentAbove(share: number): string {
  const digits = Math.max(0, 1 - Math.floor(Math.log10(100 * share)));
  const unit = 10 ** digits;
  return `${Math.min(100, Math.ceil(100 * share * unit) / unit)}%`;
}

export function limitText(limit: RejectLimit): string {
  return limit.kind === "count" ? `${limit.count} files` : `${+(100 * limit.share).toFixed(6)}%`;
}

/** @param list the file that has all of them */
export function tooManyRejects(
  limit: RejectLimit,
  { files, rejected, total, ended }: ReadSoFar,
  first: readonly Listed[],
  list: string,
): BitswarmError {
  const named = first.map(({ split, source, why }) => `\n  ${split}: ${source}: ${why}`).join("");
  const more = rejected > first.length ? `\n  and ${rejected - first.length} more` : "";
  const most = allowed(limit, ended ? files : Math.max(total ?? files, files));
  const whole = limit.kind === "share" ? `${limitText(limit)} (${most} files)` : limitText(limit);
  // Who has read all knows the number that suffices; a share is for who has not.
  const enough = ended
    ? `--limit-rejects ${rejected}`
    : `--limit-rejects ${percentAbove(rejected / Math.max(1, files))}`;
  return new BitswarmError(
    "IMPORT_REJECTS",
    `${rejected} of ${files} files${ended ? "" : " read so far"} cannot be used; the limit is ${whole}:${named}${more}\n${list} has them all. To go on without them, from where this stopped, give the same command with ${enough}; to mend them instead, begin again in another folder`,
  );
}
