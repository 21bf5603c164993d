// The secrets of a run that several coordinators drive, agreed upon in the store where nobody leads who could tell
// them: of those that begin at once one writes first, and a link is good at all of them.

import { z } from "zod";
import type { Clock } from "../../shared/base/clock.ts";
import { decodePlain, encodePlain } from "../../shared/wire/plain-message.ts";
import { isUnreachable, type LeaseStore, swapped } from "./lease-store.ts";

const TOKENS_KEY = "tokens";
/** A store that does not answer is asked again after so long. */
const AGAIN_MS = 250;

const secret = z.string().min(1).max(512);
const runTokensSchema = z.strictObject({ token: secret, operatorToken: secret, dashboardToken: secret });
export type AgreedTokens = z.output<typeof runTokensSchema>;

export interface AgreeOptions {
  readonly store: LeaseStore;
  readonly clock: Clock;
  /** Which they are where none are there. */
  readonly own: AgreedTokens;
  /** Which they are in any case. */
  readonly given: Partial<AgreedTokens>;
  /** Told once where the store does not answer. */
  readonly onNotice: (message: string) => void;
}

/** Those that are the run's from now on. @throws MESSAGE_INVALID where another build wrote something else */
export async function agreeOnTokens({ store, clock, own, given, onNotice }: AgreeOptions): Promise<AgreedTokens> {
  for (let tries = 0; ; tries++) {
    try {
      const found = await store.read(TOKENS_KEY);
      const there = found && decodePlain(found.value, runTokensSchema);
      const tokens = { ...(there ?? own), ...given };
      if (there && isSame(there, tokens)) return there;
      const swap = { key: TOKENS_KEY, value: encodePlain(tokens), revision: found?.revision ?? 0 };
      const outcome = await swapped(store, swap);
      if (outcome !== "undone" && outcome.kind === "won") return tokens;
    } catch (error) {
      if (!isUnreachable(error)) throw error;
      if (tries === 0) onNotice((error as Error).message);
    }
    await new Promise<void>((resolve) => void clock.after(AGAIN_MS, resolve));
  }
}

function isSame(a: AgreedTokens, b: AgreedTokens): boolean {
  return a.token === b.token && a.operatorToken === b.operatorToken && a.dashboardToken === b.dashboardToken;
}
