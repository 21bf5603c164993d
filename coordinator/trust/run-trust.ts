// Trust of one run, put together: the standings on the disk, the judge of the rounds, and who rests.

import type { Clock } from "../../shared/base/clock.ts";
import type { WorkerId } from "../../shared/base/ids.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import type { HelloMessage } from "../../shared/wire/protocol.ts";
import { contentHash } from "../disk/content-hash.ts";
import type { TrustVerdict } from "./audits.ts";
import { Cooldown } from "./cooldown.ts";
import type { NormHistories } from "./norm-history.ts";
import type { PeakMedians } from "./peak-medians.ts";
import { RoundTrust } from "./round-trust.ts";
import type { Crowd } from "./size-judge.ts";
import { confirmed, contradicted, doubted as doubtedStanding, newcomer, type Standing } from "./standing.ts";
import type { StoredTrust, TrustStore } from "./trust-file.ts";

/**
 * Standings are written no more often: those of ten thousand accounts are a megabyte, and verdicts come by the hundred
 * a second.
 */
export const SAVE_EVERY_MS = 1000;

/** What trust finds out, to be told to whoever it concerns. */
export type TrustEvent =
  /** Accounts that computed the same range: those that agree, and those that do not. */
  | ({ readonly type: "audited" } & TrustVerdict)
  /** An account whose work others contradicted gets no lease for so long. */
  | { readonly type: "rests"; readonly account: string; readonly ms: number }
  /** A worker has answered a lease that is audited. */
  | { readonly type: "answered"; readonly worker: WorkerId }
  /** Something that a person should know. */
  | { readonly type: "notice"; readonly message: string };

export interface RunTrustOptions {
  readonly store: TrustStore;
  readonly config: RunConfig["trust"];
  /** The run's, changed with each round. */
  readonly norms: NormHistories;
  readonly peaks: PeakMedians;
  /** Accounts at other gateways take part in the rounds. */
  readonly crowd?: Crowd;
  /** They decide some of the audits. */
  readonly away?: boolean;
  readonly clock: Clock;
  /** In [0, 1): which leases are audited is no part of the run's own draws, or a worker could foresee it. */
  readonly draw: () => number;
  readonly onEvent: (event: TrustEvent) => void;
}

export class RunTrust {
  readonly rounds: RoundTrust;
  readonly rests: Cooldown;
  /** What was wrong with the file, if anything was. */
  readonly notice: string | null;
  readonly #store: TrustStore;
  readonly #standings: Map<string, Standing>;
  readonly #classes = new Map<WorkerId, string>();
  readonly #clock: Clock;
  readonly #onEvent: RunTrustOptions["onEvent"];
  #saving: Promise<void> = Promise.resolve();
  #savedAt = Number.NEGATIVE_INFINITY;
  /** Cancels the write to come; nothing where nothing has changed since the last. */
  #unsaved: (() => void) | undefined;
  #failed = false;

  constructor(options: RunTrustOptions, { standings, notice }: StoredTrust) {
    const { store, config, norms, peaks, clock, draw, onEvent, crowd, away = false } = options;
    this.#store = store;
    this.#clock = clock;
    this.#onEvent = onEvent;
    this.#standings = standings;
    this.notice = notice;
    this.rests = new Cooldown(clock, standings);
    this.rounds = new RoundTrust({
      clip: config.clip,
      clipFactor: config.clipFactor,
      histories: norms,
      peaks,
      ...(crowd === undefined ? {} : { crowd }),
      away,
      audits: config.audits,
      heldBytes: config.heldMiB * 2 ** 20,
      clock,
      draw,
      deviceClass: (worker) => this.#classes.get(worker) ?? "",
      standings,
      onRest: (account, ms) => onEvent({ type: "rests", account, ms }),
      onAudited: (worker) => onEvent({ type: "answered", worker }),
      onVerdict: (verdict) => {
        onEvent({ type: "audited", ...verdict });
        this.#save();
      },
    });
  }

  static async open(options: RunTrustOptions): Promise<RunTrust> {
    return new RunTrust(options, await options.store.read());
  }

  /** Whether others have confirmed an account's work since it was contradicted last, before a restart too. */
  hasConfirmed(account: string): boolean {
    return (this.#standings.get(account)?.consecutiveValid ?? 0) > 0;
  }

  /** What an account has shown; undefined of one that was never audited. */
  standingOf(account: string): Standing | undefined {
    return this.#standings.get(account);
  }

  /** Of each that was ever audited. */
  get standings(): ReadonlyMap<string, Standing> {
    return this.#standings;
  }

  /** What audits at a gateway say of accounts. Returns those whose rest begins with it. */
  verdict(right: readonly string[], wrong: readonly string[], doubted: readonly string[] = []): readonly string[] {
    const now = this.#clock.now();
    const change = (account: string, event: (before: Standing) => Standing) => {
      const before = this.#standings.get(account) ?? newcomer;
      const after = event(before);
      this.#standings.delete(account);
      this.#standings.set(account, after);
      return after.strikes > before.strikes;
    };
    for (const account of right) change(account, confirmed);
    for (const account of doubted) change(account, doubtedStanding);
    const resting = wrong.filter((account) => change(account, (before) => contradicted(now, before)));
    this.#save();
    return resting;
  }

  joined(worker: WorkerId, { runtime, adapter }: Pick<HelloMessage, "runtime" | "adapter">): void {
    const { vendor, architecture, description, software } = adapter;
    this.#classes.set(worker, contentHash(JSON.stringify([runtime, vendor, architecture, description, software])));
  }

  left(worker: WorkerId): void {
    this.#classes.delete(worker);
    this.rests.forget(worker);
  }

  /** Accounts without which the run goes on from before their work: their standing begins anew, and they rest. */
  suspect(accounts: readonly string[]): void {
    for (const account of accounts) this.rounds.suspect(account);
    this.#save();
  }

  /** Writes what is not written yet, and resolves when what was earned is on the disk. */
  saved(): Promise<void> {
    if (this.#unsaved) this.#write();
    return this.#saving;
  }

  #save(): void {
    const waitMs = Math.max(0, this.#savedAt + SAVE_EVERY_MS - this.#clock.now());
    this.#unsaved ??= this.#clock.after(waitMs, () => this.#write());
  }

  /** One write at a time; what changes from now on is in the next. */
  #write(): void {
    this.#unsaved?.();
    this.#unsaved = undefined;
    this.#savedAt = this.#clock.now();
    this.#saving = this.#saving.then(async () => {
      try {
        await this.#store.write(this.#standings);
      } catch (error) {
        if (this.#failed) return;
        this.#failed = true;
        this.#onEvent({ type: "notice", message: `trust.json cannot be written: ${(error as Error).message}` });
      }
    });
  }
}
