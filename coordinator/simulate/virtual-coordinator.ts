// The coordinator's own code in a simulated world: engine, rounds, sessions, ledger and codecs as in coordinate.ts,
// with a checkpoint and a commit log in memory. It can be killed at any event, and goes on from its newest checkpoint.

import type { Clock } from "../../shared/base/clock.ts";
import type { Rng } from "../../shared/base/rng.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { phasesOf } from "../../shared/run/program.ts";
import type { CommitRecord } from "../checkpoint/commit-log.ts";
import type { Inbox } from "../engine/inbox.ts";
import { LocalEngine } from "../engine/local/local-engine.ts";
import type { Outbox } from "../engine/outbox.ts";
import type { RunEvent } from "../engine/run-event.ts";
import { Traffic } from "../engine/traffic.ts";
import { sealMode } from "../round/deadline.ts";
import { Ledger } from "../round/ledger.ts";
import { sessionLimits } from "../session/session-limits.ts";
import { Sessions } from "../session/sessions.ts";
import { STATUS_EVERY_MS } from "../session/status-feed.ts";
import { assembleState, createTrainingState, progressOf, type TrainingState } from "../state/training-state.ts";
import { InlineTraining } from "../training/inline-training.ts";
import { contributionLimit } from "../training/round-plan.ts";
import { TrainingCore } from "../training/training-core.ts";
import { newcomer, type Standing } from "../trust/standing.ts";
import type { StoredTrust, TrustStore } from "../trust/trust-file.ts";
import { type MemoryCheckpoint, memoryCheckpoint } from "./memory-folder.ts";
import type { Referee } from "./referee.ts";
import { operatorTokenOf } from "./surroundings.ts";
import { livingClock, type Owner } from "./timeline.ts";
import type { VirtualHost } from "./virtual-host.ts";
import type { VirtualLink } from "./virtual-link.ts";

/** More than a simulated coordinator grants before it falls: no number is granted twice. */
const LEASES_OF_A_LIFE = 2 ** 20;

/** What those who look on at a run would see of a coordinator, each time that one starts. */
export interface WatchedLife {
  readonly engine: Pick<LocalEngine, "status" | "watch">;
  readonly sessions: Pick<Sessions, "vitals">;
  readonly clock: Clock;
}

/** Breaks something on purpose, so that tests see that the referee sees it; or only looks on. */
export interface Tamper {
  readonly watched?: (life: WatchedLife) => void;
  readonly inbox?: (inbox: Inbox) => Inbox;
  readonly record?: (record: CommitRecord) => CommitRecord;
}

export interface VirtualCoordinatorOptions {
  readonly config: RunConfig;
  readonly dataset: Dataset;
  readonly token: string;
  readonly clock: Clock;
  /** In place of what nobody can foresee. */
  readonly draws: Rng;
  readonly referee: Referee;
  readonly tamper: Tamper;
  /** Does what is the simulation's own, and is not counted as the coordinator's. */
  readonly aside: (look: () => void) => void;
  readonly committed: () => void;
  /** The run came to its end, or failed. */
  readonly over: (failure: unknown) => void;
}

/** Of every simulated run. */
export const RUN_TAG = "51".repeat(16);

interface Life {
  alive: boolean;
  readonly engine: LocalEngine;
  readonly sessions: Sessions;
}

export class VirtualCoordinator implements VirtualHost {
  readonly #options: VirtualCoordinatorOptions;
  readonly #links = new Set<VirtualLink>();
  #checkpoint: MemoryCheckpoint | undefined;
  #life: Life | undefined;
  #lives = 0;
  /** What accounts have earned, as it was last written: in place of trust.json. */
  #standings: ReadonlyMap<string, Standing> = new Map();

  constructor(options: VirtualCoordinatorOptions) {
    this.#options = options;
  }

  /** Starts afresh or, where there is a checkpoint, from it. */
  start(): void {
    const { config, dataset, token, draws, referee, committed, over, tamper, aside } = this.#options;
    const checkpoint = this.#checkpoint;
    let state: TrainingState;
    let ledger = new Ledger();
    if (checkpoint) {
      state = assembleState(config, dataset, structuredClone(checkpoint.parts));
      ledger = Ledger.fromJSON(checkpoint.ledger);
      ledger.check(state.program, state.step, config.batch, sealMode(config));
      referee.resumed(state.step);
    } else state = createTrainingState(config, dataset);
    const life = { alive: true } as { alive: boolean } & Partial<Life>;
    const clock = livingClock(this.#options.clock, life);
    const traffic = new Traffic();
    const onEvent = (event: RunEvent) => {
      if (event.type === "audited") referee.audited(event);
    };
    const progress = progressOf(state);
    const sessions = new Sessions({
      token,
      operatorToken: operatorTokenOf(token),
      traffic,
      contributionLimit: contributionLimit(state),
      welcome: { run: "simulated", runTag: RUN_TAG, config, dataset, program: phasesOf(config).outline },
      limits: sessionLimits,
      nonce: () => Array.from({ length: 8 }, () => draws.uint32().toString(16).padStart(8, "0")).join(""),
      sessionToken: () => Array.from({ length: 4 }, () => draws.uint32().toString(16).padStart(8, "0")).join(""),
      canarySeed: () => draws.uint32(),
      clock,
      onEvent,
    });
    const training = new InlineTraining(new TrainingCore(state, RUN_TAG));
    const engine = new LocalEngine({
      run: "simulated",
      runTag: RUN_TAG,
      traffic,
      incarnation: ++this.#lives,
      firstLease: 1 + (this.#lives - 1) * LEASES_OF_A_LIFE,
      trust: { store: this.#trustStore(life), stored: this.#trusted(), draw: () => draws.uniform() },
      progress,
      training,
      ledger,
      log: {
        append: async (record) => {
          aside(() => referee.committed(tamper.record?.(record) ?? record));
          if (record.type === "step") committed();
        },
      },
      writeCheckpoint: async () => {
        this.#checkpoint = memoryCheckpoint(state, progress, ledger);
        return `checkpoint of step ${progress.step}`;
      },
      outbox: watchedOutbox(sessions, referee, aside),
      clock,
      onEvent,
      onGrant: (placed, plan) => aside(() => referee.granted(placed.lease.worker, placed, { plan })),
      onSealed: (plan, { ranges }) => aside(() => referee.sealed(plan, training.core.sum, ranges)),
      ...(checkpoint ? { resumedFrom: `checkpoint of step ${checkpoint.step}` } : {}),
    });
    const { inbox } = engine;
    sessions.serve({ inbox: tamper.inbox?.(inbox) ?? inbox, blob: (name) => engine.blob(name) });
    clock.every(STATUS_EVERY_MS, () => sessions.broadcast(engine.status()));
    this.#life = Object.assign(life, { engine, sessions });
    tamper.watched?.({ engine, sessions, clock });
    engine.run().then(
      () => over(undefined),
      (error: unknown) => over(error),
    );
  }

  #trustStore(life: { readonly alive: boolean }): TrustStore {
    return {
      read: async () => this.#trusted(),
      write: async (standings) => {
        if (life.alive) this.#standings = new Map(standings);
      },
    };
  }

  /** What a file keeps of standings, for a new life to change. */
  #trusted(): StoredTrust {
    const kept = [...this.#standings].map(([account, { consecutiveValid, strikes }]) => {
      return [account, { ...newcomer, consecutiveValid, strikes }] as const;
    });
    return { standings: new Map(kept), notice: null };
  }

  /** Dies in the middle of whatever it does: connections break, what is not in a checkpoint is lost. */
  kill(): void {
    if (this.#life) this.#life.alive = false;
    this.#life = undefined;
    for (const link of this.#links) link.cut();
    this.#links.clear();
  }

  /** There is no bus. */
  befall(): void {}

  ownerFor(): Owner {
    return "coordinator";
  }

  roleOf(owner: Owner): Owner {
    return owner;
  }

  /** Takes a connection from an address; false where nobody listens or there is no room. */
  accept(link: VirtualLink, address: string): boolean {
    const life = this.#life;
    const opening = life?.sessions.open(address);
    if (!life || opening?.kind !== "opened") return false;
    life.sessions.accept(link, address, () => link.received(), opening.release);
    this.#links.add(link);
    link.on("close", () => {
      this.#links.delete(link);
      opening.release();
    });
    return true;
  }

  /** What it serves over HTTP by its hash; undefined where it has none or is down. */
  blob(sha256: string): Uint8Array<ArrayBuffer> | undefined {
    return this.#life?.engine.blob(sha256);
  }

  /** What the run waits for, in words. */
  get reason(): string {
    return this.#life?.engine.status().reason ?? "the coordinator is down";
  }
}

/** Lets the referee see what the rounds decide. */
export function watchedOutbox(sessions: Sessions, referee: Referee, aside: VirtualCoordinatorOptions["aside"]): Outbox {
  return {
    lease: (worker, lease, parameters) => sessions.lease(worker, lease, parameters),
    accepted: (worker, lease, samples) => {
      aside(() => referee.accepted(worker, lease));
      sessions.accepted(worker, lease, samples);
    },
    rejected: (worker, lease, refusal) => sessions.rejected(worker, lease, refusal),
    cancelled: (worker, lease, reason) => {
      aside(() => referee.note("cancel", worker, lease, reason));
      sessions.cancelled(worker, lease, reason);
    },
    rests: (worker, ms) => sessions.rests(worker, ms),
    audited: (worker) => sessions.audited(worker),
    dismissed: (worker) => sessions.dismissed(worker),
  };
}
