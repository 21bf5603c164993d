// What norms the accounts' contributions had in the rounds before: the measure of what is usual. An account counts once
// a round, so that many small leases, or many sockets, move the median no further than one.

import { z } from "zod";
import { median } from "../../shared/base/median.ts";
import type { GroupNorms, NormGroup } from "../sum/gradient-norms.ts";

/** One contribution of a round. */
export interface ObservedNorms {
  readonly account: string;
  /** It is the operator's own worker's. */
  readonly own?: boolean;
  readonly samples: number;
  readonly norms: GroupNorms;
}

/** Medians of an account's contributions in one round. */
interface AccountNorms {
  /** True of the operator's own; else absent. */
  readonly own?: boolean | undefined;
  readonly samples: number;
  readonly norms: GroupNorms;
}

/** Rounds of one phase, the oldest first. */
export type NormHistory = readonly (readonly AccountNorms[])[];

/** What the rounds before had, by phase. */
export type NormHistories = Map<string, NormHistory>;

const norm = z.number().min(0);
const accountNorms = z.strictObject({
  own: z.boolean().optional(),
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

export const normGroups: readonly NormGroup[] = ["gradient", "critic", "statistic", "metric"];

function perAccount(observed: readonly ObservedNorms[]): AccountNorms[] {
  const accounts = new Map<string, ObservedNorms[]>();
  for (const one of observed) accounts.set(one.account, [...(accounts.get(one.account) ?? []), one]);
  return [...accounts.values()].map((ones) => {
    const norms: Partial<Record<NormGroup, number>> = {};
    for (const group of normGroups) {
      const values = ones.flatMap((one) => one.norms[group] ?? []);
      if (values.length > 0) norms[group] = median(values);
    }
    const own = ones.some((one) => one.own) ? { own: true } : {};
    return { ...own, samples: median(ones.map(({ samples }) => samples)), norms };
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

/** What strangers are measured by. */
export interface Measure {
  /** It is of the operator's own workers alone. */
  readonly own: boolean;
  /** `entries`: of how many the median is. */
  readonly usual: Readonly<Partial<Record<NormGroup, UsualNorm & { readonly entries: number }>>>;
}

/** However little was seen: of the operator's own, where there are any among those remembered, or else of all. */
export function measureOf(history: NormHistory): Measure {
  const entries = history.flat();
  const owns = entries.filter(({ own }) => own);
  const own = owns.length > 0;
  const usual: Partial<Record<NormGroup, UsualNorm & { readonly entries: number }>> = {};
  for (const group of normGroups) {
    const having = (own ? owns : entries).filter(({ norms }) => norms[group] !== undefined);
    if (having.length === 0) continue;
    usual[group] = {
      norm: median(having.map(({ norms }) => norms[group] ?? 0)),
      samples: median(having.map(({ samples }) => samples)),
      entries: having.length,
    };
  }
  return { own, usual };
}

/** What is usual; no entry for a group of which too little was seen. */
export function usualNorms(history: NormHistory): UsualNorms {
  const usual: Partial<Record<NormGroup, UsualNorm>> = {};
  for (const group of normGroups) {
    for (const { usual: known } of [measureOf(history), measureOf(history.map(withoutOwners))]) {
      const { entries, ...norm } = known[group] ?? { norm: 0, samples: 0, entries: 0 };
      if (entries >= LEAST_ENTRIES) usual[group] ??= norm;
    }
  }
  return usual;
}

const withoutOwners = (round: readonly AccountNorms[]) => round.map(({ samples, norms }) => ({ samples, norms }));
