// The copies that nobody computes yet, found by who may compute them: with ten thousand newcomers there are tens of thousands.

import { OrderedMap } from "../../shared/base/ordered-map.ts";
import type { CopyWanted } from "./lease.ts";
import { PersistentMap } from "./persistent-map.ts";
import type { Member } from "./roster.ts";

/** A copy that nobody computes yet, and the account that is to; anybody who may where it is null. */
export interface CopyDue {
  readonly copy: CopyWanted;
  readonly auditor: string | null;
}

/** Stands for null among the accounts. */
const ANYBODY = "";

/** Immutable, as the round's state is; iterates in the order in which the copies were wanted. */
export class CopiesDue implements Iterable<CopyDue> {
  readonly #byNumber: OrderedMap<CopyDue>;
  /** Numbers of each auditor's copies, ascending. */
  readonly #numbers: PersistentMap<string, OrderedMap<number>>;
  readonly #next: number;

  private constructor(byNumber: OrderedMap<CopyDue>, numbers: PersistentMap<string, OrderedMap<number>>, next: number) {
    this.#byNumber = byNumber;
    this.#numbers = numbers;
    this.#next = next;
  }

  static of(copies: Iterable<CopyDue> = []): CopiesDue {
    let all = new CopiesDue(OrderedMap.of(), PersistentMap.of(), 0);
    for (const due of copies) all = all.with(due);
    return all;
  }

  get size(): number {
    return this.#byNumber.size;
  }

  with(due: CopyDue): CopiesDue {
    const number = this.#next;
    const auditor = due.auditor ?? ANYBODY;
    const numbers = (this.#numbers.get(auditor) ?? OrderedMap.of<number>()).set(number, number);
    return new CopiesDue(this.#byNumber.set(number, due), this.#numbers.set(auditor, numbers), number + 1);
  }

  /** The first copy of at most so many samples that this member may compute, its own before anybody's, and the others. */
  takenBy(
    { account }: Pick<Member, "account">,
    most = Number.POSITIVE_INFINITY,
  ): { readonly copy: CopyWanted; readonly rest: CopiesDue } | undefined {
    for (const auditor of [account, ANYBODY]) {
      for (const [number] of this.#numbers.get(auditor) ?? []) {
        const due = this.#byNumber.get(number);
        if (!due || due.copy.to - due.copy.from > most) continue;
        if (due.auditor === account || !due.copy.answered.includes(account))
          return { copy: due.copy, rest: this.#without(number, auditor) };
      }
    }
    return undefined;
  }

  #without(number: number, auditor: string): CopiesDue {
    const rest = this.#numbers.get(auditor)?.delete(number);
    const numbers = rest && rest.size > 0 ? this.#numbers.set(auditor, rest) : this.#numbers.delete(auditor);
    return new CopiesDue(this.#byNumber.delete(number), numbers, this.#next);
  }

  some(test: (due: CopyDue) => boolean): boolean {
    for (const [, due] of this.#byNumber) if (test(due)) return true;
    return false;
  }

  [Symbol.iterator](): Iterator<CopyDue> {
    return [...this.#byNumber].map(([, due]) => due)[Symbol.iterator]();
  }
}
