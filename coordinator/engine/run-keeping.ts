// What a run's folder keeps, for engines of which several coordinators drive one run: each has a folder of its own.

import type { CheckpointFiles } from "../checkpoint/checkpoint.ts";
import type { CommitLog, CommitRecord } from "../checkpoint/commit-log.ts";
import type { Ledger } from "../round/ledger.ts";
import type { TrainingState } from "../state/training-state.ts";

/** A checkpoint and the log up to it, as one coordinator hands them to another. */
export interface KeptRun {
  readonly step: number;
  /** Lines of the log that lead to it. */
  readonly log: Uint8Array;
  readonly files: CheckpointFiles;
}

export interface RunKeeping {
  readonly log: CommitLog;
  /** What is to be committed before anything else: that the run goes on from the checkpoint that it was opened at. */
  readonly due: readonly CommitRecord[];
  /** The checkpoint in a folder that writeCheckpoint() gave, with the log's first lines. */
  copy(checkpoint: string, length: number): Promise<KeptRun>;
  /** Another coordinator's takes the place of what is here. */
  become(
    kept: KeptRun,
  ): Promise<{ readonly state: TrainingState; readonly ledger: Ledger; readonly checkpoint: string }>;
  /** What lets volunteers and operators in, and the configuration, for other nodes of the run. */
  readonly about: { readonly config: string } & Readonly<Record<"token" | "operatorToken" | "dashboardToken", string>>;
}
