// The leader's side of audits that are away from their gateway: draws who computes a range again, and passes on who has
// the answer. It keeps nothing beyond the round; a new leader is asked again by whoever waits.

import type { Bulk } from "../cluster/bulk.ts";
import type { Payload } from "../cluster/messages.ts";
import type { OrderedAnswer, RoundDriver } from "../engine/local/round-driver.ts";
import { AwayOffers, MOST_AWAY } from "./away-offers.ts";
import { orderOf } from "./gateway-away.ts";

/** Audits of all gateways that are away at a time. */
export const MOST_AWAY_AUDITS = 8192;

/** A gateway, as far as it may be drawn. */
export interface DrawnFrom {
  readonly id: string;
  readonly life: number;
  /** That can compute. */
  readonly accounts: number;
}

export interface DeskAwayOptions {
  /** The leader's. */
  readonly id: string;
  readonly bulk: Pick<Bulk, "offer" | "withdraw">;
  /** In [0, 1). */
  readonly draw: () => number;
  readonly gateways: () => readonly DrawnFrom[];
  /** Accounts of the whole run. */
  readonly accounts: () => number;
  /** The leader's own volunteers; nothing where it has none, or no round. */
  readonly own: () => Pick<RoundDriver, "want"> | undefined;
  readonly order: (gateway: DrawnFrom, order: Omit<Payload<"away">, "epoch" | "life">) => void;
  readonly answer: (gateway: Pick<DrawnFrom, "id" | "life">, answer: Omit<Payload<"answer">, "epoch" | "life">) => void;
  /** Nobody but itself can decide its audit of this number. */
  readonly home: (gateway: Pick<DrawnFrom, "id" | "life">, audit: number) => void;
}

interface AwayAudit {
  /** Whose it is, and its own number for it. */
  readonly asker: Pick<DrawnFrom, "id" | "life">;
  readonly asked: Payload<"audit">;
  readonly number: number;
  /** Who computes it: a gateway, or the leader's own volunteers. */
  by: string;
  /** Who has nobody that can. */
  readonly declined: Set<string>;
  answer: Omit<Payload<"answer">, "epoch" | "life"> | undefined;
}

interface Asker {
  readonly life: number;
  /** By its own numbers. */
  readonly audits: Map<number, AwayAudit>;
  /** Those without an answer. */
  open: number;
}

export class DeskAway {
  readonly #options: DeskAwayOptions;
  readonly #audits = new Map<number, AwayAudit>();
  /** By the ids of those whose they are. */
  readonly #askers = new Map<string, Asker>();
  readonly #offers: AwayOffers;
  #key: string | undefined;
  #number: number;

  constructor(options: DeskAwayOptions) {
    this.#options = options;
    // What was asked of gateways by a leader before has other numbers.
    this.#number = Math.floor(options.draw() * 2 ** 40);
    this.#offers = new AwayOffers(options.bulk);
  }

  /** A round is announced: nobody waits for audits of the one before. */
  opening(key: string): void {
    if (this.#key !== key) this.close();
    this.#key = key;
  }

  close(): void {
    this.#audits.clear();
    this.#askers.clear();
    this.#offers.clear();
  }

  /**
   * A gateway asks who is to decide an audit of its own, or what has become of it. Null: nobody but itself can;
   * undefined: of no round at hand, and not to be answered.
   */
  asked(asker: Pick<DrawnFrom, "id" | "life">, asked: Payload<"audit">): string | null | undefined {
    if (asked.key !== this.#key || asked.from >= asked.to) return undefined;
    const own = this.#asker(asker);
    const known = own.audits.get(asked.audit);
    if (known) {
      // Whatever was lost on the way is said again.
      if (known.answer) this.#options.answer(asker, known.answer);
      else this.#say(known);
      return known.by;
    }
    if (own.open >= MOST_AWAY || this.#audits.size >= MOST_AWAY_AUDITS) return null;
    const declined = new Set<string>();
    const by = this.#drawn(asker.id, declined);
    if (by === null) return null;
    const audit: AwayAudit = { asker, asked, number: ++this.#number, by, declined, answer: undefined };
    own.open++;
    own.audits.set(asked.audit, audit);
    this.#audits.set(audit.number, audit);
    this.#begin(audit);
    return by;
  }

  /** Of another life it has asked nothing yet. */
  #asker({ id, life }: AwayAudit["asker"]): Asker {
    const known = this.#askers.get(id);
    if (known?.life === life) return known;
    this.#forget(id);
    const asker = { life, audits: new Map(), open: 0 };
    this.#askers.set(id, asker);
    return asker;
  }

  #forget(asker: string): void {
    for (const { number } of this.#askers.get(asker)?.audits.values() ?? []) this.#audits.delete(number);
    this.#askers.delete(asker);
  }

  /** The likelier the more accounts a gateway has, so that of all accounts none is likelier than another. */
  #drawn(asker: string, declined: ReadonlySet<string>): string | null {
    const { gateways, draw, own, id } = this.#options;
    const others = gateways().filter((one) => one.id !== asker && one.accounts > 0 && !declined.has(one.id));
    let at = draw() * others.reduce((sum, { accounts }) => sum + accounts, 0);
    for (const { id: drawn, accounts } of others) {
      at -= accounts;
      if (at < 0) return drawn;
    }
    return others.at(-1)?.id ?? (id !== asker && !declined.has(id) && own() ? id : null);
  }

  #begin(audit: AwayAudit): void {
    const { own, draw, id } = this.#options;
    if (audit.by !== id) {
      this.#say(audit);
      return;
    }
    const { from, to, answered, awaited } = audit.asked;
    own()?.want({
      purpose: "audit",
      of: orderOf(audit.number),
      order: audit.number,
      from,
      to,
      answered,
      distrusted: new Set(),
      draw: Math.floor(draw() * 2 ** 32),
      ...(awaited ? { awaited } : {}),
    });
  }

  #say({ by, number, asked: { key, from, to, answered, awaited } }: AwayAudit): void {
    const gateway = this.#options.gateways().find(({ id }) => id === by);
    if (gateway) this.#options.order(gateway, { key, audit: number, from, to, answered, awaited });
  }

  /** A gateway has the answer to what was asked of it. */
  answered(gateway: string, { audit: number, ...answer }: Omit<Payload<"answered">, "epoch" | "life">): void {
    const audit = this.#audits.get(number);
    if (!audit || audit.by !== gateway || audit.answer) return;
    const { account, own, device, name, bytes, sha256 } = answer;
    // Who has answered already decides nothing.
    if (audit.asked.answered.includes(account)) return;
    const { audit: theirs } = audit.asked;
    const accounts = this.#options.accounts();
    audit.answer = { audit: theirs, holder: gateway, account, own, device, accounts, name, bytes, sha256 };
    const asker = this.#askers.get(audit.asker.id);
    if (asker) asker.open--;
    this.#options.answer(audit.asker, audit.answer);
  }

  /** One of the leader's own volunteers has. */
  ownAnswered({ order, bytes, ...of }: OrderedAnswer): void {
    const { id } = this.#options;
    if (this.#audits.get(order)?.by !== id) return;
    this.answered(id, { audit: order, ...of, ...this.#offers.offer(`away.${order}`, bytes) });
  }

  /** A gateway is gone: what it was to compute another does, and nobody waits for what it asked. */
  left(gateway: string): void {
    this.#forget(gateway);
    for (const audit of [...this.#audits.values()]) {
      if (audit.by !== gateway) continue;
      const asker = this.#askers.get(audit.asker.id);
      // What was not fetched yet is not to be had any more.
      if (audit.answer && asker) asker.open++;
      audit.answer = undefined;
      this.#drawAgain(audit);
    }
  }

  /** Nobody there can compute what was asked of it: another does. */
  declined(gateway: string, number: number): void {
    const audit = this.#audits.get(number);
    if (!audit || audit.by !== gateway || audit.answer) return;
    audit.declined.add(gateway);
    this.#drawAgain(audit);
  }

  #drawAgain(audit: AwayAudit): void {
    const by = this.#drawn(audit.asker.id, audit.declined);
    if (by !== null) {
      audit.by = by;
      this.#begin(audit);
      return;
    }
    this.#audits.delete(audit.number);
    const asker = this.#askers.get(audit.asker.id);
    asker?.audits.delete(audit.asked.audit);
    if (asker) asker.open--;
    this.#options.home(audit.asker, audit.asked.audit);
  }
}
