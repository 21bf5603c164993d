// What makes two leaders' rounds the same round: the samples, the parameters and the units. Not its number, nor the era
// of error feedback, which each leader counts for itself.

import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import { contentHash } from "../disk/content-hash.ts";

/** The part of a lease message that all leases of a round share. */
export type RoundTerms = Omit<LeaseMessage, "type" | "lease" | "ranges">;

/** With its fields in one order, whoever made it. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(
    entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, field]) => [name, ordered(field)]),
  );
}

/** 64 hex digits. */
export function roundKey({ round: _round, era: _era, ...terms }: RoundTerms): string {
  return contentHash(JSON.stringify(ordered(terms)));
}
