// Trust of one run, put together: the standings on the disk, the judge of the rounds, and who rests.

import type { RunConfig } from "../../shared/config.ts";
import type { WorkerId } from "../../shared/ids.ts";
import type { HelloMessage } from "../../shared/protocol.ts";
import type { Clock } from "../clock.ts";
import type { OnRunEvent } from "../run-event.ts";
import type { NormHistories } from "./norm-history.ts";
import { Rests } from "./rests.ts";
import { RoundTrust } from "./round-trust.ts";
import type { Standing } from "./standing.ts";
import type { StoredTrust, TrustStore } from "./trust-file.ts";

export interface TrustDeskOptions {
  readonly store: TrustStore;
  readonly config: RunConfig["trust"];
  /** The run's, changed with each round. */
  readonly norms: NormHistories;
  readonly clock: Clock;
  /** In [0, 1): which leases are audited is no part of the run's own draws, or a worker could foresee it. */
  readonly draw: () => number;
  readonly onEvent: OnRunEvent;
}

export class TrustDesk {
  readonly rounds: RoundTrust;
  readonly rests: Rests;
  /** What was wrong with the file, if anything was. */
  readonly notice: string | null;
  /** Told of an account that rests from now on. */
  onRest: (account: string, ms: number) => void = () => undefined;
  /** Told of a worker that has answered a lease which is audited. */
  onAudited: (worker: WorkerId) => void = () => undefined;
  readonly #store: TrustStore;
  readonly #standings: Map<string, Standing>;
  readonly #classes = new Map<WorkerId, string>();
  #saving: Promise<void> = Promise.resolve();
  #unsaved = false;
  #failed = false;

  constructor(options: TrustDeskOptions, { standings, notice }: StoredTrust) {
    const { store, config, norms, clock, draw, onEvent } = options;
    this.#store = store;
    this.#standings = standings;
    this.notice = notice;
    this.rests = new Rests(clock, standings);
    this.rounds = new RoundTrust({
      clip: config.clip,
      clipFactor: config.clipFactor,
      histories: norms,
      audits: config.audits,
      clock,
      draw,
      deviceClass: (worker) => this.#classes.get(worker) ?? "",
      standings,
      onRest: (account, ms) => {
        onEvent({ type: "rests", account, ms: Math.round(ms) });
        this.onRest(account, ms);
      },
      onAudited: (worker) => this.onAudited(worker),
      onVerdict: (verdict) => {
        onEvent({ type: "audited", ...verdict });
        this.#save(onEvent);
      },
    });
  }

  static async open(options: TrustDeskOptions): Promise<TrustDesk> {
    return new TrustDesk(options, await options.store.read());
  }

  joined(worker: WorkerId, { runtime, adapter }: Pick<HelloMessage, "runtime" | "adapter">): void {
    const { vendor, architecture, description, software } = adapter;
    this.#classes.set(worker, JSON.stringify([runtime, vendor, architecture, description, software]));
  }

  left(worker: WorkerId): void {
    this.#classes.delete(worker);
    this.rests.forget(worker);
  }

  /** Resolves when what was earned is on the disk. */
  saved(): Promise<void> {
    return this.#saving;
  }

  /** One write at a time; what changes meanwhile is in the next. */
  #save(onEvent: OnRunEvent): void {
    if (this.#unsaved) return;
    this.#unsaved = true;
    this.#saving = this.#saving.then(async () => {
      this.#unsaved = false;
      try {
        await this.#store.write(this.#standings);
      } catch (error) {
        if (this.#failed) return;
        this.#failed = true;
        onEvent({ type: "notice", message: `trust.json cannot be written: ${(error as Error).message}` });
      }
    });
  }
}
