// The leader's side of trust across gateways: at which gateways each account is, what audits there found, and what
// all of them are told of standings. Standings have one writer, which is here.

import type { Clock } from "../../shared/base/clock.ts";
import type { Bus, BusMessage } from "../cluster/bus.ts";
import { encode, MOST_STANDINGS, type Payload, type StandingMessage } from "../cluster/messages.ts";
import type { Subjects } from "../cluster/subjects.ts";
import type { LocalEngine } from "../engine/local/local-engine.ts";
import type { OnRunEvent } from "../engine/run-event.ts";
import { isJump } from "../trust/size-judge.ts";
import { restMs } from "../trust/standing.ts";

/** Verdicts that are remembered, so that one that is told twice counts once. */
const REMEMBERED_VERDICTS = 4096;
/** Standings are told so long after a change, with what else has changed: each goes to every gateway. */
export const TELL_AFTER_MS = 200;

export interface DeskTrustOptions {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly clock: Clock;
  readonly onEvent: OnRunEvent;
  /** Of the leader at hand. */
  readonly epoch: () => number;
  /** Who leads; nothing before. */
  readonly engine: () => Pick<LocalEngine, "trust" | "gateways"> | undefined;
  /** Accounts of the whole run. */
  readonly accounts: () => number;
}

/** Accounts of a round that are remembered as unusual: fewer decide. */
const MOST_UNUSUAL = 64;

export class DeskTrust {
  readonly #options: DeskTrustOptions;
  /** At which gateways an account is. */
  readonly #places = new Map<string, Set<string>>();
  readonly #voids = new Map<string, number>();
  readonly #verdicts = new Set<string>();
  /** Accounts whose standings are to be told. */
  readonly #changed = new Set<string>();
  #key = "";
  /** Accounts at all gateways whose work was unusual in the round at hand. */
  readonly #unusual = new Set<string>();

  constructor(options: DeskTrustOptions) {
    this.#options = options;
  }

  /** A round is about to open: what was unusual in the one before says nothing of it. */
  opening(key: string): void {
    this.#key = key;
    this.#unusual.clear();
  }

  /** Accounts whose work was unusual: whether, with those of all other gateways, the training made a jump. */
  jumped(unusual: readonly string[]): boolean {
    for (const account of unusual) if (this.#unusual.size < MOST_UNUSUAL) this.#unusual.add(account);
    return !this.#ownTakesPart && isJump(this.#unusual.size, this.#options.accounts());
  }

  /** As `jumped`, of a gateway. */
  unusual({ key, accounts }: Payload<"unusual">, reply: BusMessage["reply"]): void {
    if (key !== this.#key) return;
    const { epoch, accounts: all } = this.#options;
    reply?.(encode("judged", { epoch: epoch(), life: 0, key, jump: this.jumped(accounts), accounts: all() }));
  }

  /** While the operator's own take part, wherever, nobody else says that the training made a jump. */
  get #ownTakesPart(): boolean {
    const rounds = this.#options.engine()?.gateways;
    if (!rounds) return false;
    return rounds.ownTakesPart || [...this.#places].some(([account, at]) => at.size > 0 && rounds.isOwn(account));
  }

  /** How often an account's error feedback was void, as a gateway has counted. */
  voided(account: string, voids: number): void {
    if (voids > 0) this.#voids.set(account, Math.max(voids, this.#voids.get(account) ?? 0));
  }

  /** An account has come to a gateway, or has gone from it. */
  admit(gateway: string, { account, gone = false }: Payload<"admit">, reply: BusMessage["reply"]): void {
    const places = this.#places.get(account) ?? new Set<string>();
    const before = places.size;
    if (gone) places.delete(gateway);
    else places.add(gateway);
    if (places.size > 0) this.#places.set(account, places);
    else this.#places.delete(account);
    const standing = this.#standing(account);
    reply?.(encode("standing", { epoch: this.#options.epoch(), life: 0, standing }));
    if (places.size > 1 || before > 1) this.#tell([account]);
  }

  /** Nobody is at a gateway any more. */
  left(gateway: string): void {
    for (const places of this.#places.values()) places.delete(gateway);
  }

  /** What an audit at a gateway has found; one that is told twice counts once. */
  verdict(gateway: string, verdict: Payload<"verdict">, reply: BusMessage["reply"]): void {
    const { onEvent, engine, epoch } = this.#options;
    const { audit, right, wrong, doubted = [], voids, ranges } = verdict;
    const name = `${gateway} ${audit}`;
    if (!this.#verdicts.has(name)) {
      this.#verdicts.add(name);
      for (const oldest of this.#verdicts) {
        if (this.#verdicts.size <= REMEMBERED_VERDICTS) break;
        this.#verdicts.delete(oldest);
      }
      for (const [account, count] of voids) this.voided(account, count);
      const resting = engine()?.trust?.verdict(right, wrong, doubted) ?? [];
      onEvent({ type: "audited", ranges, right, wrong });
      for (const account of resting)
        onEvent({ type: "rests", account, ms: Math.round(this.#standing(account).restMs) });
      this.#tell([...right, ...wrong, ...doubted]);
    }
    reply?.(encode("drop", { epoch: epoch(), life: verdict.life }));
  }

  #standing(account: string): StandingMessage {
    const { clock, engine } = this.#options;
    const standing = engine()?.trust?.standingOf(account);
    return {
      account,
      consecutiveValid: standing?.consecutiveValid ?? 0,
      strikes: standing?.strikes ?? 0,
      restMs: standing ? restMs(clock.now(), standing) : 0,
      voids: this.#voids.get(account) ?? 0,
      gateways: this.#places.get(account)?.size ?? 0,
    };
  }

  #tell(accounts: readonly string[]): void {
    if (this.#changed.size === 0) this.#options.clock.after(TELL_AFTER_MS, () => this.#tellChanged());
    for (const account of accounts) this.#changed.add(account);
  }

  #tellChanged(): void {
    const { bus, subjects, epoch } = this.#options;
    const accounts = [...this.#changed];
    this.#changed.clear();
    for (let from = 0; from < accounts.length; from += MOST_STANDINGS) {
      const standings = accounts.slice(from, from + MOST_STANDINGS).map((account) => this.#standing(account));
      bus.publish(subjects.toAll("trust"), encode("trust", { epoch: epoch(), life: 0, standings }));
    }
  }
}
