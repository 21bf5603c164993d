// Audits that another gateway's accounts decide. Of its own volunteers' audits a gateway sends some away, since a liar
// can choose its gateway: the leader draws who computes the range again, and the frame comes back to be compared. And
// of others' it has its own accounts compute what the leader asks of it. What is lost on the way costs that audit only.

import type { Clock } from "../../shared/base/clock.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import { type LeaseId, leaseId } from "../../shared/base/ids.ts";
import type { Bulk } from "../cluster/bulk.ts";
import { decode, type FromGateway, type Payload } from "../cluster/messages.ts";
import type { OrderedAnswer, RoundDriver } from "../engine/local/round-driver.ts";
import type { CopyWanted } from "../round/lease.ts";
import { AwayOffers, MOST_AWAY } from "./away-offers.ts";

/** An audit that has been away for so long is given up. */
export const AWAY_MOST_MS = 60_000;
/** The leader is asked again after so long: for what was drawn, or for an answer that has not come. */
const ASK_AGAIN_MS = 1000;

type Told<K extends FromGateway> = Omit<Payload<K>, "epoch" | "life">;
type Rounds = Pick<RoundDriver, "want" | "awayHome" | "awayOver" | "awayAnswer">;

export interface GatewayAwayOptions {
  readonly bulk: Bulk;
  readonly clock: Clock;
  /** In [0, 1). */
  readonly draw: () => number;
  readonly rounds: () => Rounds;
  /** Accounts that are not drawn to audit where others are. */
  readonly distrusted: () => ReadonlySet<string>;
  /** Resolves with the leader's answer. @throws ENGINE_UNREACHABLE */
  readonly ask: (payload: Told<"audit">) => Promise<Uint8Array>;
  readonly tell: <K extends "answered" | "declined">(kind: K, payload: Told<K>) => void;
  /** An order is there: a sum is to be begun, if none is. */
  readonly begin: () => void;
}

/** An audit of this gateway's own. */
interface Away {
  readonly copy: CopyWanted;
  readonly key: string;
  readonly since: number;
  /** Its answer is on its way from whoever has it. */
  fetching: boolean;
}

/** What a round's contributions are, for whoever fetches one. */
export interface AwayTerms {
  readonly key: string;
  readonly contributionBytes: number;
}

type Order = Payload<"away">;

export class GatewayAway {
  readonly #options: GatewayAwayOptions;
  readonly #away = new Map<number, Away>();
  /** Of others, by the leader's numbers; those that were answered stay until the round is over. */
  readonly #orders = new Map<number, Order>();
  readonly #answered = new Map<number, Told<"answered">>();
  readonly #offers: AwayOffers;
  #terms: AwayTerms | undefined;
  #number: number;
  #collecting = false;
  #closed = false;
  /** Ends what is fetched for a round that is over. */
  #over = new AbortController();

  constructor(options: GatewayAwayOptions) {
    this.#options = options;
    this.#offers = new AwayOffers(options.bulk);
    this.#number = Math.floor(options.draw() * 2 ** 40);
  }

  /** A round was announced: what was away of another comes too late. */
  opened(terms: AwayTerms): void {
    if (this.#terms?.key === terms.key) return;
    this.#forget();
    this.#offers.clear();
    this.#orders.clear();
    this.#answered.clear();
    this.#terms = terms;
  }

  /** A sum of the round is begun, in which copies can be computed. */
  begun(): void {
    this.#collecting = true;
    for (const order of this.#due) this.#want(order);
  }

  /** It is over, and with it the audits of its leases. */
  ended(): void {
    this.#collecting = false;
    this.#forget();
  }

  /** It is given up, and what was ordered is no longer computed. */
  gaveUp(): void {
    this.ended();
    for (const { audit } of this.#due) this.declined(audit);
  }

  /** Something is ordered, for which alone a sum is begun. */
  get waits(): boolean {
    return this.#due.length > 0;
  }

  /** What is ordered and not answered. */
  get #due(): readonly Order[] {
    return [...this.#orders.values()].filter(({ audit }) => !this.#answered.has(audit));
  }

  close(): void {
    this.#closed = true;
    this.#forget();
    this.#offers.clear();
  }

  #forget(): void {
    this.#away.clear();
    this.#over.abort(new DOMException("the round is over", "AbortError"));
    this.#over = new AbortController();
  }

  /** An audit is to be decided elsewhere: asks the leader by whom, until it is answered or given up. */
  send(copy: CopyWanted): void {
    const { clock, rounds } = this.#options;
    const key = this.#terms?.key;
    if (key === undefined || this.#away.size >= MOST_AWAY) {
      rounds().awayHome(copy);
      return;
    }
    const number = ++this.#number;
    this.#away.set(number, { copy, key, since: clock.now(), fetching: false });
    this.#ask(number);
  }

  #ask(number: number): void {
    const { clock, rounds, ask } = this.#options;
    const away = this.#away.get(number);
    if (!away || this.#closed) return;
    const { copy, key, since } = away;
    if (clock.now() - since >= AWAY_MOST_MS) {
      this.#away.delete(number);
      rounds().awayOver(copy);
      return;
    }
    const { from, to, answered, awaited = false } = copy;
    const again = () => void clock.after(ASK_AGAIN_MS, () => this.#ask(number));
    ask({ key, audit: number, from, to, answered: [...answered], awaited }).then((bytes) => {
      const drawn = decode("drawn", bytes);
      if (this.#away.get(number) !== away) return;
      if (drawn?.by === null) {
        this.#away.delete(number);
        rounds().awayHome(copy);
      } else again();
    }, again);
  }

  /** The leader says who has the answer to an audit that is away; said twice it is fetched once. */
  heard({ audit, holder, account, own, device, accounts, name, bytes, sha256 }: Payload<"answer">): void {
    const away = this.#away.get(audit);
    // Of another size it is no contribution to the round.
    if (!away || away.fetching || bytes !== this.#terms?.contributionBytes) return;
    const { bulk, rounds } = this.#options;
    const { signal } = this.#over;
    away.fetching = true;
    const got = (frame: Uint8Array) => {
      if (this.#away.get(audit) !== away) return;
      this.#away.delete(audit);
      void rounds().awayAnswer(away.copy, { account, own, deviceClass: device, accounts }, frame);
    };
    bulk.fetch({ holder, name, bytes, sha256, signal }).then(got, (error) => {
      away.fetching = false;
      if (!(error instanceof BitswarmError) && !signal.aborted) throw error;
    });
  }

  /** The leader says that nobody elsewhere can decide an audit that is away. */
  home(audit: number): void {
    const away = this.#away.get(audit);
    if (!away || away.fetching) return;
    this.#away.delete(audit);
    this.#options.rounds().awayHome(away.copy);
  }

  /**
   * The leader asks for a copy that decides another gateway's audit; asked twice it is computed once. What cannot be
   * computed here is declined at once, since somebody waits for it.
   */
  order(order: Order): void {
    const { tell, begin } = this.#options;
    const known = this.#answered.get(order.audit);
    if (known) tell("answered", known);
    if (this.#orders.has(order.audit)) return;
    const full = this.#orders.size - this.#answered.size >= MOST_AWAY;
    if (full || order.key !== this.#terms?.key || order.from >= order.to) {
      tell("declined", { audit: order.audit });
      return;
    }
    this.#orders.set(order.audit, order);
    if (this.#collecting) this.#want(order);
    else begin();
  }

  /** Nobody here can compute what was ordered. */
  declined(audit: number): void {
    if (this.#answered.has(audit) || !this.#orders.delete(audit)) return;
    this.#options.tell("declined", { audit });
  }

  #want({ audit, from, to, answered, awaited }: Order): void {
    const { rounds, draw, distrusted } = this.#options;
    rounds().want({
      purpose: "audit",
      of: orderOf(audit),
      order: audit,
      from,
      to,
      answered,
      distrusted: distrusted(),
      draw: Math.floor(draw() * 2 ** 32),
      ...(awaited ? { awaited } : {}),
    });
  }

  /** One of this gateway's accounts has computed what was asked for. */
  answered({ order, bytes, ...of }: OrderedAnswer): void {
    if (!this.#orders.has(order) || this.#answered.has(order)) return;
    const { tell } = this.#options;
    const message = { audit: order, ...of, ...this.#offers.offer(`away.${order}`, bytes) };
    this.#answered.set(order, message);
    tell("answered", message);
  }
}

/** What is audited is no lease of this gateway's: its number is below all of them. */
export function orderOf(audit: number): LeaseId {
  return leaseId(-1 - audit);
}
