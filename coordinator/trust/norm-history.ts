// What norms the accounts' contributions had in the rounds before: the measure of what is usual. An account counts once
// a round, so that many small leases, or many sockets, move the median no further than one.

import { z } from "zod";
import { median } from "../../shared/base/median.ts";
import type { GroupNorms, NormGroup } from "../sum/gradient-norms.ts";

/** One contribution of a round. */
export interface ObservedNorms {
  readonly account: string;
  readonly samples: number;
  readonly norms: GroupNorms;
}

/** Medians of an account's contributions in one round. */
interface AccountNorms {
  readonly samples: number;
  readonly norms: GroupNorms;
}

/** Rounds of one phase, the oldest first. */
export type NormHistory = readonly (readonly AccountNorms[])[];

/** What the rounds before had, by phase. */
export type NormHistories = Map<string, NormHistory>;

const norm = z.number().min(0);
const accountNorms = z.strictObject({
  samples: z.number().min(0),
  norms: z.strictObject({ gradient: norm, critic: norm, statistic: norm, metric: norm }).partial(),
});
const history = z.array(z.array(accountNorms));

/** As a checkpoint has them. */
export const normHistoriesSchema = z.record(z.string(), history);

/** The usual size of one group: the median norm, and of how many samples. */
export interface UsualNorm {
  readonly norm: number;
  readonly samples: number;
}

export type UsualNorms = Readonly<Partial<Record<NormGroup, UsualNorm>>>;

/** Entries that the running median is of, at least; whole rounds are forgotten beyond them. */
export const HISTORY_ENTRIES = 64;
/** Fewer say nothing of what is usual. */
export const LEAST_ENTRIES = 8;

const groups: readonly NormGroup[] = ["gradient", "critic", "statistic", "metric"];

function perAccount(observed: readonly ObservedNorms[]): AccountNorms[] {
  const accounts = new Map<string, ObservedNorms[]>();
  for (const one of observed) accounts.set(one.account, [...(accounts.get(one.account) ?? []), one]);
  return [...accounts.values()].map((ones) => {
    const norms: Partial<Record<NormGroup, number>> = {};
    for (const group of groups) {
      const values = ones.flatMap((one) => one.norms[group] ?? []);
      if (values.length > 0) norms[group] = median(values);
    }
    return { samples: median(ones.map(({ samples }) => samples)), norms };
  });
}

/** The history with a round that was sealed; the order of its contributions is of no account. */
export function withRound(history: NormHistory, observed: readonly ObservedNorms[]): NormHistory {
  if (observed.length === 0) return history;
  const next = [...history, perAccount(observed)];
  let entries = next.reduce((sum, { length }) => sum + length, 0);
  while (next.length > 1 && entries - next[0].length >= HISTORY_ENTRIES) entries -= next.shift()?.length ?? 0;
  return next;
}

/** What is usual; no entry for a group of which too little was seen. */
export function usualNorms(history: NormHistory): UsualNorms {
  const entries = history.flat();
  const usual: Partial<Record<NormGroup, UsualNorm>> = {};
  for (const group of groups) {
    const having = entries.filter(({ norms }) => norms[group] !== undefined);
    if (having.length < LEAST_ENTRIES) continue;
    usual[group] = {
      norm: median(having.map(({ norms }) => norms[group] ?? 0)),
      samples: median(having.map(({ samples }) => samples)),
    };
  }
  return usual;
}
