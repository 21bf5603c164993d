// The standings of all accounts, as audits change them, and who of them is not drawn to audit others.

import { mayAudit, newcomer, type Standing } from "./standing.ts";

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
