// The board of a run: who of its volunteers wants to be seen, by nickname, with as many of its samples as others have
// checked. Nobody is on it who has not said so. Pure of files; board-file.ts keeps it.

import type { Range } from "../../shared/base/intervals.ts";
import { nicknameIn } from "../../shared/base/nickname.ts";

/** Places of the board as it is shown. */
export const SHOWN_PLACES = 100;
/** Accounts that may want to be seen at a time: of more, those with the fewest samples are forgotten. */
export const MOST_LISTED = 1000;
/** Accounts that are counted though they have not said that they want to be seen: those confirmed last. */
export const MOST_COUNTED = 10_000;
/** Hex digits of an account that tell two of one nickname apart, and each volunteer its own line. */
export const ACCOUNT_DIGITS = 12;

/** What is kept of an account. */
export interface BoardEntry {
  /** SHA-256 of its public key. */
  readonly account: string;
  /** In audits that confirmed it. */
  readonly samples: number;
  /** Null for whoever is counted only. */
  readonly nickname: string | null;
}

/** A line of the board. */
export interface BoardPlace {
  readonly nickname: string;
  /** The beginning of its account. */
  readonly account: string;
  readonly samples: number;
}

export class Board {
  readonly #listed = new Map<string, { readonly nickname: string; readonly samples: number }>();
  /** Those confirmed last come last. */
  readonly #counted = new Map<string, number>();
  readonly #onChange: () => void;
  #places: readonly BoardPlace[] | undefined;

  /** @param onChange called whenever there is something new to be kept */
  constructor(entries: Iterable<BoardEntry> = [], onChange: () => void = () => undefined) {
    this.#onChange = () => undefined;
    for (const { account, samples, nickname } of entries) {
      this.#counted.set(account, samples);
      if (nickname !== null) this.list(account, nickname);
    }
    this.#bound();
    this.#onChange = onChange;
  }

  /** An account wants to be seen under a nickname, or, with none or an empty one, to be seen no more. */
  list(account: string, wanted: string | null): void {
    const nickname = wanted === null ? "" : nicknameIn(wanted);
    const before = this.#listed.get(account);
    if (before?.nickname === nickname || (!before && nickname === "")) return;
    const samples = before?.samples ?? this.#counted.get(account) ?? 0;
    this.#counted.delete(account);
    this.#listed.delete(account);
    if (nickname === "") this.#counted.set(account, samples);
    else this.#listed.set(account, { nickname, samples });
    this.#changed();
  }

  /** Accounts whose work on these samples others have confirmed. */
  confirmed(accounts: readonly string[], ranges: readonly Range[]): void {
    const more = ranges.reduce((sum, { from, to }) => sum + to - from, 0);
    for (const account of accounts) {
      const listed = this.#listed.get(account);
      if (listed) this.#listed.set(account, { ...listed, samples: listed.samples + more });
      else {
        const samples = (this.#counted.get(account) ?? 0) + more;
        this.#counted.delete(account);
        this.#counted.set(account, samples);
      }
    }
    if (accounts.length > 0 && more > 0) this.#changed();
  }

  /** Those with the most samples, the most first; of equal ones who has said so first. */
  get places(): readonly BoardPlace[] {
    this.#places ??= [...this.#listed]
      .map(([account, { nickname, samples }]) => ({ nickname, account: account.slice(0, ACCOUNT_DIGITS), samples }))
      .sort((a, b) => b.samples - a.samples)
      .slice(0, SHOWN_PLACES);
    return this.#places;
  }

  /** All that is to be kept. */
  get entries(): readonly BoardEntry[] {
    const counted = [...this.#counted].map(([account, samples]) => ({ account, samples, nickname: null }));
    const listed = [...this.#listed].map(([account, { nickname, samples }]) => ({ account, samples, nickname }));
    return [...counted, ...listed];
  }

  #changed(): void {
    this.#bound();
    this.#places = undefined;
    this.#onChange();
  }

  #bound(): void {
    for (const account of this.#counted.keys()) {
      if (this.#counted.size <= MOST_COUNTED) break;
      this.#counted.delete(account);
    }
    while (this.#listed.size > MOST_LISTED) {
      // Of equal ones the newest goes: who makes many accounts takes nobody's place.
      const [least] = [...this.#listed].reduce((a, b) => (b[1].samples <= a[1].samples ? b : a));
      this.#listed.delete(least);
    }
  }
}
