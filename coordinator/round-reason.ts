// What a round waits for, in words: the terminal, the page and `status` show this line, so that a stall explains itself.

import type { RoundState } from "./round-state.ts";

/** Workers named in a reason; the rest are counted. */
const NAMED = 3;

function waitedFor(now: number, state: RoundState): string {
  const leases = [...state.leases.values()].sort((a, b) => a.grantedAt - b.grantedAt);
  const named = leases.slice(0, NAMED).map((l) => `${l.worker} (${Math.round((now - l.grantedAt) / 1000)} s)`);
  const more = leases.length - named.length;
  return named.join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** For example `3/4 microbatches, 96/128 samples, waiting for w2 (9 s)`. */
export function roundReason(now: number, state: RoundState): string {
  const { microbatch } = state.options;
  const pieces = (samples: number) => Math.ceil(samples / microbatch);
  const wanted = state.range.to - state.range.from;
  const { size } = state.collected;
  const done = `${pieces(size)}/${pieces(wanted)} microbatches, ${size}/${wanted} samples`;
  if (state.phase === "sealed") return `${done}, applying`;
  if (state.phase === "applied") return `${done}, committing`;
  if (state.workers.size === 0) return "waiting for workers: nobody has joined";
  if (state.phase === "committed") return "between rounds";
  if (state.leases.size > 0) return `${done}, waiting for ${waitedFor(now, state)}`;
  return `${done}, waiting for workers: ${state.workers.size} joined, none is ready`;
}
