// An open run as an engine is given it: what stands on its disk, and who is told.

import { randomInt } from "node:crypto";
import { relative } from "node:path";
import { readCheckpointUpTo, restoreState, writeCheckpoint } from "../checkpoint/checkpoint.ts";
import type { EngineRun } from "../engine/engine.ts";
import { takeParts } from "../state/training-state.ts";
import { trustFile } from "../trust/trust-file.ts";
import type { OpenRun } from "./open-run.ts";

type Truth =
  | "run"
  | "runTag"
  | "state"
  | "ledger"
  | "log"
  | "writeCheckpoint"
  | "rewind"
  | "trust"
  | "resumedFrom"
  | "incarnation";

/** The numbers of a resumed run's leases begin below this, so that 2^31 of them fit a frame's header. */
const FIRST_LEASES = 2 ** 31;

/** @param surroundings what the run's folder does not say */
export function engineRun(run: OpenRun, surroundings: Omit<EngineRun, Truth>): EngineRun {
  const { directory, state, ledger, log, resumedFrom } = run;
  return {
    // The same step may be asked for again, in other pieces: what was computed for a lease before is none of these.
    ...(resumedFrom === undefined ? {} : { firstLease: randomInt(1, FIRST_LEASES) }),
    ...surroundings,
    run: directory.run,
    runTag: directory.runTag,
    incarnation: randomInt(2 ** 20),
    state,
    ledger,
    log,
    writeCheckpoint: async (contents, progress, committed) => {
      await log.requireNewest();
      const extra = { run: directory.run, time: new Date().toISOString() };
      return writeCheckpoint(directory.path, contents, progress, committed, extra);
    },
    rewind: async (step) => {
      const checkpoint = await readCheckpointUpTo(directory.path, step);
      if (!checkpoint) return undefined;
      const { path, ledger: committed } = checkpoint;
      const then = restoreState(checkpoint, state.dataset, state.config);
      const { norms, peaks } = then;
      const parts = { ...takeParts(then), norms, peaks };
      return { parts, ledger: committed, checkpoint: relative(directory.path, path) };
    },
    trust: trustFile(directory.path),
    ...(resumedFrom === undefined ? {} : { resumedFrom }),
  };
}
