// What an account has shown so far: adaptive replication as BOINC has it. Only work that was compared counts, trust
// never rises without it, and one difference starts the count again. Pure functions of (now, standing, event).

export interface Standing {
  /** Audits in a row that others confirmed. */
  readonly consecutiveValid: number;
  /** Audits that others decided against it, ever. */
  readonly strikes: number;
  /** Milliseconds, as `now`: it rests until then. */
  readonly restsUntil: number;
}

export const newcomer: Standing = { consecutiveValid: 0, strikes: 0, restsUntil: Number.NEGATIVE_INFINITY };

/** An account is audited with this probability for ever, however good it was. */
export const LEAST_AUDIT_PROBABILITY = 0.02;
/**
 * The first rest is twice this; each later one twice as long as the one before (Petals rests a server 15 s, twice that
 * the second time).
 */
export const REST_MS = 15_000;
/** The longest rest. */
export const LONGEST_REST_MS = 60 * 60_000;

/** max(2 %, 1 / audits in a row that were valid); a newcomer is always audited. */
export function auditProbability({ consecutiveValid }: Standing): number {
  return Math.max(LEAST_AUDIT_PROBABILITY, 1 / Math.max(1, consecutiveValid));
}

/** Who was contradicted audits others only when it was confirmed 2^(n + 1) times in a row since, the nth time. */
export function mayAudit({ consecutiveValid, strikes }: Standing): boolean {
  return strikes === 0 || consecutiveValid >= 2 ** (strikes + 1);
}

/** After an audit that others confirmed. */
export function confirmed(standing: Standing): Standing {
  return { ...standing, consecutiveValid: standing.consecutiveValid + 1 };
}

/** After an audit in which its answer was another's only in part: it is audited until one says more. */
export function doubted(standing: Standing): Standing {
  return { ...standing, consecutiveValid: 0 };
}

/** After an audit that others decided against it. What it had sent before its rest began makes the rest no longer. */
export function contradicted(now: number, standing: Standing): Standing {
  if (restMs(now, standing) > 0) return { ...standing, consecutiveValid: 0 };
  const strikes = standing.strikes + 1;
  const rest = Math.min(LONGEST_REST_MS, REST_MS * 2 ** strikes);
  return { consecutiveValid: 0, strikes, restsUntil: now + rest };
}

/** Milliseconds that the account still rests; 0 where it does not. */
export function restMs(now: number, { restsUntil }: Standing): number {
  return Math.max(0, restsUntil - now);
}

/** The standings of all accounts, as audits change them, and who of them is not drawn to audit others. */
export class AccountStandings {
  readonly #standings: Map<string, Standing>;
  #distrusted: ReadonlySet<string>;

  /** @param standings by account; changed in place */
  constructor(standings: Map<string, Standing>) {
    this.#standings = standings;
    this.#distrusted = new Set([...standings.keys()].filter((account) => !mayAudit(this.of(account))));
  }

  of(account: string): Standing {
    return this.#standings.get(account) ?? newcomer;
  }

  /** Accounts that audit only where nobody else can; another set after each change. */
  get distrusted(): ReadonlySet<string> {
    return this.#distrusted;
  }

  /** Changes an account's standing. Returns the new one. */
  change(account: string, event: (before: Standing) => Standing): Standing {
    const standing = event(this.of(account));
    // To the end: those seen last are kept.
    this.#standings.delete(account);
    this.#standings.set(account, standing);
    const trusted = mayAudit(standing);
    if (trusted === this.#distrusted.has(account)) {
      const others = [...this.#distrusted].filter((other) => other !== account);
      this.#distrusted = new Set(trusted ? others : [...others, account]);
    }
    return standing;
  }
}
