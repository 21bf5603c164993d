// What every engine is: the one that drives a run's rounds, whichever way it does it. Sessions and server know no more
// of it than this.

import type { z } from "zod";
import type { Clock } from "../../shared/base/clock.ts";
import type { Plugin, PluginOptions } from "../../shared/base/registry.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import type { NetworkScores } from "../../shared/tasks/shown-score.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import type { CheckpointContents } from "../checkpoint/checkpoint-contents.ts";
import type { CommitLog } from "../checkpoint/commit-log.ts";
import type { SampleChecks } from "../data-checks/data-checks.ts";
import type { Ledger } from "../round/ledger.ts";
import type { RunProgress, StateParts, TrainingState } from "../state/training-state.ts";
import type { StartTraining } from "../training/start-training.ts";
import type { TrustStore } from "../trust/trust-file.ts";
import type { Inbox } from "./inbox.ts";
import type { Outbox } from "./outbox.ts";
import type { OnRunEvent } from "./run-event.ts";
import type { RunKeeping } from "./run-keeping.ts";
import type { OperatorCommand, RunWatch } from "./run-watch.ts";
import type { Traffic } from "./traffic.ts";

/**
 * Drives the rounds of one run. All that goes in by the inbox and all that comes out by the outbox, the status and the
 * blobs is data that a message could carry: no functions, no classes, nothing that is changed after it was handed over.
 */
export interface Engine {
  /** Where what the workers do goes in. */
  readonly inbox: Inbox;
  /**
   * Drives the run to its end, or until stop(). Called once. The newest checkpoint then holds everything that was
   * committed.
   * @throws GRADIENT_NOT_FINITE where the training has diverged, STORAGE_FAILED, COMMIT_LOG_FENCED, THREAD_FAILED
   */
  run(): Promise<RunSummary>;
  /** How the run is doing, as far as it is known here. */
  status(): RunStatus;
  /** Who takes part and what they do, for those who watch: asked for about once a second while somebody does. */
  watch(): RunWatch;
  /**
   * Does what whoever runs it asks for; of a worker that is not there any more nothing happens. What another must do is
   * passed on to it.
   * @param token that was shown for it: whoever it is passed on to looks at it @returns whom it was passed on to
   * @throws RUN_UNREACHABLE where nobody leads just now, TOKEN_INVALID where its token is another
   */
  operate(command: OperatorCommand, token?: string): Promise<string | undefined>;
  /**
   * Bytes by their name: a frozen network, packed, by its SHA-256; a frame of parameters by the name that a version
   * gives it. What the outbox has just named is here, and the same array as long as it is; frames of a version that no
   * round names any more are gone.
   */
  blob(name: string): Uint8Array<ArrayBuffer> | undefined;
  /** Finishes the step where somebody computes it, writes a checkpoint, and lets run() end. */
  stop(): void;
  /** Lets go of threads and files, once run() is over or instead of it. */
  close(): Promise<void>;
}

export interface RunSummary {
  /** The run came to its end; false where it was stopped. */
  readonly finished: boolean;
  readonly step: number;
  /** Of the whole program. */
  readonly steps: number;
  readonly epoch: number;
  readonly samples: number;
  /** On the held-out samples, of each network that was evaluated. */
  readonly scores: NetworkScores;
  readonly paramsHash: string;
  /** Folder of the newest checkpoint. */
  readonly checkpoint: string;
}

/** A checkpoint, to go back to. */
export interface Rewound {
  readonly parts: StateParts;
  readonly ledger: Ledger;
  /** As the commit log names it. */
  readonly checkpoint: string;
}

/** A run as an engine is given it: its truth, where that is kept, and who is told. */
export interface EngineRun {
  /** The run's id. */
  readonly run: string;
  /** 16 bytes in hex: names the run in frames. */
  readonly runTag: string;
  /** Of the last committed step. The engine's own from now on, as the ledger is. */
  readonly state: TrainingState;
  readonly ledger: Ledger;
  readonly log: Pick<CommitLog, "append">;
  /** Makes what is committed last: resolves with the checkpoint's folder when all of it is on the disk. */
  readonly writeCheckpoint: (contents: CheckpointContents, progress: RunProgress, ledger: Ledger) => Promise<string>;
  /** The newest checkpoint of a step up to this one; none where no such one is kept. Nothing changes. */
  readonly rewind?: (step: number) => Promise<Rewound | undefined>;
  /** Where accounts' standings are kept. */
  readonly trust: TrustStore;
  /** The way to the workers. */
  readonly outbox: Outbox;
  /** What the outbox's sockets carry. */
  readonly traffic: Pick<Traffic, "take">;
  /** Of the last step; null before the first. */
  readonly loopDelay?: () => RunStatus["loopDelayMs"];
  /** Where this node's door is, with its path; nothing before it is open. */
  readonly address?: () => string | undefined;
  /** The run's folder, for engines of which several drive one run. */
  readonly keeping?: RunKeeping;
  /** Folder of the checkpoint that the state is from; none for a fresh run. */
  readonly resumedFrom?: string;
  /** Below 2^20; another each time that a run is started or resumed, so that what workers keep of before is void. */
  readonly incarnation: number;
  /** Number of the first lease; 1 unless given. */
  readonly firstLease?: number;
  /** The run ends when so many steps are committed; by default at the end of its program. */
  readonly maxSteps?: number;
  readonly clock: Clock;
  /** In [0, 1), for each lease whether it is audited: no part of the run's own draws, or a worker could foresee it. */
  readonly draw: () => number;
  readonly onEvent: OnRunEvent;
  /** Who keeps the numbers; by their size unless given. */
  readonly startTraining?: StartTraining;
  /** Decodes the samples of some leases too; without it what workers say of theirs is believed. */
  readonly sampleChecks?: SampleChecks;
}

/** An entry of the table of engines (coordinator/run/engines.ts). */
export interface EnginePlugin extends Plugin {
  /** Before anything of a run is written. @throws CONFIG_INVALID where it cannot drive such a run */
  require?(config: RunConfig): void;
  /** Makes ready; nothing is leased before run(). @param options by the schema @throws CONFIG_INVALID, THREAD_FAILED */
  open(options: PluginOptions, run: EngineRun): Promise<Engine>;
}

/** An engine whose `open` takes its own options, as its schema gives them. */
export function defineEngine<S extends z.ZodObject>(engine: {
  readonly kind: string;
  readonly schema: S;
  readonly require?: (config: RunConfig) => void;
  readonly open: (options: z.output<S>, run: EngineRun) => Promise<Engine>;
}): EnginePlugin {
  const { open, schema, ...rest } = engine;
  return { ...rest, schema, open: (options, run) => open(schema.parse(options), run) };
}
