// Trust at a gateway: it judges and audits what its volunteers send, by what the leader says is usual, and tells what
// it finds. Standings have one writer, the leader: what is here is what it last said.

import type { Clock } from "../../shared/base/clock.ts";
import type { WorkerId } from "../../shared/base/ids.ts";
import type { Range } from "../../shared/base/intervals.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { decode, type FromGateway, type Payload, type StandingMessage } from "../cluster/messages.ts";
import type { Outbox } from "../engine/outbox.ts";
import type { OnRunEvent } from "../engine/run-event.ts";
import type { WorkerWatch } from "../engine/run-watch.ts";
import type { PartialFacts } from "../sum/partial.ts";
import { type NormHistories, normHistoriesSchema } from "../trust/norm-history.ts";
import { type PeakMedians, peakMediansSchema } from "../trust/peak-medians.ts";
import type { RoundTrust } from "../trust/round-trust.ts";
import { RunTrust, type TrustEvent } from "../trust/run-trust.ts";
import { restMs } from "../trust/standing.ts";

/** An account of which the leader has not said what it has earned is asked for again after so long. */
const ADMIT_AGAIN_MS = 1000;
/** Accounts that one word of what is unusual names: fewer decide. */
const MOST_UNUSUAL = 64;
/** A verdict that the leader has not confirmed is told again after so long, so many times. */
const TELL_AGAIN_MS = 500;
const MOST_TELLS = 20;

type Told<K extends FromGateway> = Omit<Payload<K>, "epoch" | "life">;

export interface GatewayTrustOptions {
  readonly config: RunConfig["trust"];
  readonly clock: Clock;
  readonly draw: () => number;
  readonly onEvent: OnRunEvent;
  readonly outbox: Pick<Outbox, "audited">;
  /** An account's workers rest from now on. */
  readonly rest: (account: string, ms: number) => void;
  /** An account is at so many gateways, of which this is one. */
  readonly spread: (account: string, gateways: number) => void;
  readonly positionsOf: (slots: Range) => readonly Range[];
  /** Resolves with the leader's answer. @throws ENGINE_UNREACHABLE */
  readonly ask: <K extends "admit" | "verdict" | "unusual">(kind: K, payload: Told<K>) => Promise<Uint8Array>;
}

export class GatewayTrust {
  readonly run: Pick<RunTrust, "joined" | "left" | "rests" | "hasConfirmed">;
  readonly #options: GatewayTrustOptions;
  readonly #trust: RunTrust;
  readonly #norms: NormHistories = new Map();
  readonly #peaks: PeakMedians = new Map();
  readonly #accountOf = new Map<WorkerId, string>();
  /** Workers of each account that is here. */
  readonly #present = new Map<string, number>();
  /** Tells verdicts apart, for whoever hears one twice. */
  #verdicts: number;
  /** Accounts that rest, or did. */
  readonly #resting = new Set<string>();
  /** Of the round at hand. */
  #key = "";
  /** Accounts of the whole run, as the leader last said. */
  #crowd = 0;
  /** Key of the round in which the leader has seen a jump. */
  #jump = "";
  /** Key and number of the accounts that were told of as unusual, and whether that is on its way. */
  #told = "";
  #telling = false;
  #closed = false;

  constructor(options: GatewayTrustOptions) {
    this.#options = options;
    const { config, clock, draw } = options;
    this.#verdicts = Math.floor(draw() * 2 ** 40);
    this.#trust = new RunTrust(
      {
        // The leader writes.
        store: { read: async () => ({ standings: new Map(), notice: null }), write: async () => undefined },
        config,
        norms: this.#norms,
        peaks: this.#peaks,
        crowd: { accounts: () => this.#crowd, jumped: (unusual) => this.#jumped(unusual) },
        away: true,
        clock,
        draw,
        onEvent: (event) => this.#hear(event),
      },
      { standings: new Map(), notice: null },
    );
    const { rests } = this.#trust;
    this.run = {
      rests,
      hasConfirmed: (account) => this.#trust.hasConfirmed(account),
      joined: (worker, facts) => {
        this.#trust.joined(worker, facts);
        const { account } = facts as typeof facts & { readonly account?: string };
        if (account !== undefined) this.#joined(worker, account);
      },
      left: (worker) => {
        this.#trust.left(worker);
        this.#left(worker);
      },
    };
  }

  get rounds(): RoundTrust {
    return this.#trust.rounds;
  }

  /** Workers whose accounts rest. */
  get resting(): number {
    let workers = 0;
    for (const account of this.#resting) {
      const standing = this.#trust.standingOf(account);
      const here = this.#present.get(account) ?? 0;
      if (here > 0 && standing && restMs(this.#options.clock.now(), standing) > 0) workers += here;
      else this.#resting.delete(account);
    }
    return workers;
  }

  /** Accounts that are here. */
  get accounts(): number {
    return this.#present.size;
  }

  auditsOf(account: string): WorkerWatch["audits"] {
    const standing = this.#trust.standingOf(account);
    return standing ? { confirmed: standing.consecutiveValid, against: standing.strikes } : null;
  }

  /** What the contributions of the sum at hand were. */
  observed(): Pick<PartialFacts, "contributions" | "accountPeaks"> {
    return this.#trust.rounds.observed;
  }

  /** A round is announced, with what is usual of the rounds before it at all gateways. */
  opened({ usual, key, accounts }: Pick<Payload<"open">, "usual" | "key" | "accounts">): void {
    this.#key = key;
    this.#crowd = accounts;
    const norms = normHistoriesSchema.safeParse(usual.norms);
    const peaks = peakMediansSchema.safeParse(usual.peaks);
    for (const [phase, history] of Object.entries(norms.success ? norms.data : {})) this.#norms.set(phase, history);
    for (const [phase, medians] of Object.entries(peaks.success ? peaks.data : {})) this.#peaks.set(phase, medians);
  }

  /** The leader says what accounts have earned: of those that are here it counts. */
  hear(standings: readonly StandingMessage[]): void {
    for (const standing of standings) if (this.#present.has(standing.account)) this.#know(standing);
  }

  close(): void {
    this.#closed = true;
  }

  /**
   * Whether the leader, who knows what is unusual at all gateways, sees a jump of the training. Where it has not said
   * so what is unusual is refused; its range is computed again, and by then it may have.
   */
  #jumped(unusual: readonly string[]): boolean {
    const key = this.#key;
    if (this.#jump === key) return true;
    const told = `${key} ${unusual.length}`;
    if (this.#told === told || this.#telling || this.#closed) return false;
    const { ask, clock } = this.#options;
    this.#telling = true;
    const again = () => {
      this.#telling = false;
      // Others' gateways may show more meanwhile.
      this.#told = told;
      clock.after(TELL_AGAIN_MS, () => {
        if (this.#told === told) this.#told = "";
      });
    };
    ask("unusual", { key, accounts: unusual.slice(0, MOST_UNUSUAL) }).then((bytes) => {
      again();
      const judged = decode("judged", bytes);
      if (judged?.key !== this.#key) return;
      this.#crowd = Math.max(this.#crowd, judged.accounts);
      if (judged.jump) this.#jump = judged.key;
    }, again);
    return false;
  }

  #know({ account, consecutiveValid, strikes, restMs: ms, voids, gateways }: StandingMessage): void {
    this.#options.spread(account, gateways);
    const now = this.#options.clock.now();
    const before = this.#trust.standingOf(account);
    const rested = before ? restMs(now, before) : 0;
    const restsUntil = ms > 0 ? now + ms : Number.NEGATIVE_INFINITY;
    this.#trust.rounds.know(account, { consecutiveValid, strikes, restsUntil }, voids);
    if (ms > 0) this.#resting.add(account);
    if (ms > 0 && rested === 0) this.#options.rest(account, ms);
  }

  #joined(worker: WorkerId, account: string): void {
    this.#accountOf.set(worker, account);
    const workers = this.#present.get(account) ?? 0;
    this.#present.set(account, workers + 1);
    if (workers === 0) this.#admit(account);
  }

  #left(worker: WorkerId): void {
    const account = this.#accountOf.get(worker);
    if (account === undefined) return;
    this.#accountOf.delete(worker);
    const workers = (this.#present.get(account) ?? 1) - 1;
    if (workers > 0) this.#present.set(account, workers);
    else {
      this.#present.delete(account);
      // Nobody waits for the answer: who is not there any more has no share.
      this.#options.ask("admit", { account, gone: true }).catch(() => undefined);
    }
  }

  /** Asks what an account has earned, until it is known; until then it is a newcomer. */
  #admit(account: string): void {
    if (this.#closed || !this.#present.has(account)) return;
    const { ask, clock } = this.#options;
    ask("admit", { account }).then(
      (answer) => {
        const known = decode("standing", answer);
        if (known && this.#present.has(account)) this.#know(known.standing);
      },
      () => void clock.after(ADMIT_AGAIN_MS, () => this.#admit(account)),
    );
  }

  #hear(event: TrustEvent): void {
    const { onEvent, outbox, rest, positionsOf } = this.#options;
    switch (event.type) {
      case "rests":
        onEvent({ ...event, ms: Math.round(event.ms) });
        this.#resting.add(event.account);
        rest(event.account, event.ms);
        break;
      case "answered":
        outbox.audited(event.worker);
        break;
      case "audited": {
        const { type, from, to, right, wrong, doubted } = event;
        const ranges = positionsOf({ from, to });
        onEvent({ type, ranges, right, wrong });
        const voids = [...right, ...wrong].flatMap((account): [string, number][] => {
          const resets = this.#trust.rounds.feedbackResetsOf(account);
          return resets > 0 ? [[account, resets]] : [];
        });
        this.#tell(
          {
            audit: ++this.#verdicts,
            right: [...right],
            wrong: [...wrong],
            ...(doubted && { doubted: [...doubted] }),
            ranges: [...ranges],
            voids,
          },
          MOST_TELLS,
        );
        break;
      }
      case "notice":
        onEvent(event);
        break;
      default:
        event satisfies never;
    }
  }

  /** Tells a verdict until the leader has it. */
  #tell(verdict: Told<"verdict">, times: number): void {
    if (this.#closed || times === 0) return;
    const { ask, clock } = this.#options;
    ask("verdict", verdict).catch(() => void clock.after(TELL_AGAIN_MS, () => this.#tell(verdict, times - 1)));
  }
}
