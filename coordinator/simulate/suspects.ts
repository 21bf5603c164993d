// Who of the volunteers lies, which only the simulation knows, and whom audits found wrong.

import type { Misdeed } from "./scenario.ts";

/** Lies that are well-formed numbers: two accounts that tell the same one confirm each other. */
const agreeable: readonly Misdeed[] = ["scale", "flip", "replay", "zero", "collude", "peak"];

/** Audits by their end. */
export interface AuditSummary {
  /** Audits that came to a verdict. */
  readonly audits: number;
  /** Verdicts against liars. */
  readonly foundOut: number;
  /** Verdicts against honest accounts: where liars agree, the one between them is outvoted. */
  readonly wronged: number;
}

export class Suspects {
  readonly #misdeeds = new Map<string, Misdeed | undefined>();
  readonly #counts = new Map<Misdeed, number>();
  #audits = 0;
  #foundOut = 0;
  #wronged = 0;

  arrived(account: string, misdeed: Misdeed | undefined): void {
    this.#misdeeds.set(account, misdeed);
    if (misdeed !== undefined) this.#counts.set(misdeed, (this.#counts.get(misdeed) ?? 0) + 1);
  }

  /** Whether honest work may be found wrong: liars who agree, or who are so many that they are the usual. */
  get plot(): boolean {
    const liars = [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
    return agreeable.some((misdeed) => (this.#counts.get(misdeed) ?? 0) > 1) || 2 * liars >= this.#misdeeds.size;
  }

  /** Whether there are two whose numbers are well formed: with an honest answer they are three that all differ. */
  get several(): boolean {
    return agreeable.reduce((sum, misdeed) => sum + (this.#counts.get(misdeed) ?? 0), 0) > 1;
  }

  /** An audit is over. Returns the honest accounts that it went against. */
  audited(wrong: readonly string[]): readonly string[] {
    this.#audits++;
    const honest = wrong.filter((account) => this.#misdeeds.get(account) === undefined);
    this.#foundOut += wrong.length - honest.length;
    this.#wronged += honest.length;
    return honest;
  }

  summary(): AuditSummary {
    return { audits: this.#audits, foundOut: this.#foundOut, wronged: this.#wronged };
  }
}
