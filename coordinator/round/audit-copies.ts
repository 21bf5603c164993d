// The copies that nobody computes yet, found by who may compute them: with ten thousand newcomers there are tens of
// thousands.

import { OrderedMap } from "../../shared/base/ordered-map.ts";
import type { CopyWanted } from "./lease.ts";
import { PersistentMap } from "./persistent-map.ts";
import type { Member } from "./roster.ts";

/** A copy that nobody computes yet, and the account that is to; anybody who may where it is null. */
export interface AuditCopy {
  readonly copy: CopyWanted;
  readonly auditor: string | null;
}

/** Stands for null among the accounts. */
const ANYBODY = "";

/** Immutable, as the round's state is; iterates in the order in which the copies were wanted. */
export class AuditCopies implements Iterable<AuditCopy> {
  readonly #byNumber: OrderedMap<AuditCopy>;
  /** Numbers of each auditor's copies, ascending. */
  readonly #numbers: PersistentMap<string, OrderedMap<number>>;
  readonly #next: number;

  private constructor(
    byNumber: OrderedMap<AuditCopy>,
    numbers: PersistentMap<string, OrderedMap<number>>,
    next: number,
  ) {
    this.#byNumber = byNumber;
    this.#numbers = numbers;
    this.#next = next;
  }

  static of(copies: Iterable<AuditCopy> = []): AuditCopies {
    let all = new AuditCopies(OrderedMap.of(), PersistentMap.of(), 0);
    for (const due of copies) all = all.with(due);
    return all;
  }

  get size(): number {
    return this.#byNumber.size;
  }

  with(due: AuditCopy): AuditCopies {
    const number = this.#next;
    const auditor = due.auditor ?? ANYBODY;
    const numbers = (this.#numbers.get(auditor) ?? OrderedMap.of<number>()).set(number, number);
    return new AuditCopies(this.#byNumber.set(number, due), this.#numbers.set(auditor, numbers), number + 1);
  }

  /**
   * The first copy of at most so many samples that this member may compute, its own before anybody's, and the others.
   */
  takenBy(
    { account }: Pick<Member, "account">,
    most = Number.POSITIVE_INFINITY,
  ): { readonly copy: CopyWanted; readonly rest: AuditCopies } | undefined {
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

  #without(number: number, auditor: string): AuditCopies {
    const rest = this.#numbers.get(auditor)?.delete(number);
    const numbers = rest && rest.size > 0 ? this.#numbers.set(auditor, rest) : this.#numbers.delete(auditor);
    return new AuditCopies(this.#byNumber.delete(number), numbers, this.#next);
  }

  some(test: (due: AuditCopy) => boolean): boolean {
    for (const [, due] of this.#byNumber) if (test(due)) return true;
    return false;
  }

  [Symbol.iterator](): Iterator<AuditCopy> {
    return [...this.#byNumber].map(([, due]) => due)[Symbol.iterator]();
  }
}
