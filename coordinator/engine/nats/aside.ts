// What belongs to a commit beside its numbers: what is usual of sizes, and what accounts have earned. A standby that
// takes over judges as the leader before did.

import { z } from "zod";
import type { RunProgress } from "../../state/training-state.ts";
import { normHistoriesSchema } from "../../trust/norm-history.ts";
import { peakMediansSchema } from "../../trust/peak-medians.ts";
import { newcomer, type Standing } from "../../trust/standing.ts";

type Usual = Pick<RunProgress, "norms" | "peaks">;

const counting = z.number().int().min(0);
const asideSchema = z.strictObject({
  norms: normHistoriesSchema,
  peaks: peakMediansSchema,
  accounts: z.array(z.tuple([z.string().regex(/^[0-9a-f]{64}$/), counting, counting])),
});

export function encodeAside({ norms, peaks }: Usual, standings: ReadonlyMap<string, Standing>): Uint8Array {
  const aside: z.input<typeof asideSchema> = {
    norms: Object.fromEntries([...norms].map(([phase, rounds]) => [phase, rounds.map((round) => [...round])])),
    peaks: Object.fromEntries([...peaks].map(([phase, medians]) => [phase, [...medians]])),
    accounts: [...standings].map(([account, { consecutiveValid, strikes }]) => [account, consecutiveValid, strikes]),
  };
  return new TextEncoder().encode(JSON.stringify(aside));
}

/** Takes over what another says is usual. @returns the standings; undefined where it is nothing of the kind */
export function takeAside(usual: Usual, bytes: Uint8Array): Map<string, Standing> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
  const aside = asideSchema.safeParse(value);
  if (!aside.success) return undefined;
  const { norms, peaks, accounts } = aside.data;
  usual.norms.clear();
  usual.peaks.clear();
  for (const [phase, rounds] of Object.entries(norms)) usual.norms.set(phase, rounds);
  for (const [phase, medians] of Object.entries(peaks)) usual.peaks.set(phase, medians);
  return new Map(
    accounts.map(([account, consecutiveValid, strikes]) => [account, { ...newcomer, consecutiveValid, strikes }]),
  );
}
