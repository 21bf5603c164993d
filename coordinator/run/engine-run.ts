// An open run as an engine is given it: what stands on its disk, and who is told.

import { randomInt } from "node:crypto";
import { relative } from "node:path";
import { stringify } from "yaml";
import {
  adoptCheckpoint,
  readCheckpointFiles,
  readCheckpointUpTo,
  restoreState,
  writeCheckpoint,
} from "../checkpoint/checkpoint.ts";
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
  | "keeping"
  | "resumedFrom"
  | "incarnation";

/** The numbers of a resumed run's leases begin below this, so that 2^31 of them fit a frame's header. */
const FIRST_LEASES = 2 ** 31;

/** What is written beside the run, up to the step of a checkpoint, is on the disk before the checkpoint is. */
export type BeforeCheckpoint = () => Promise<void>;

/** Told of each checkpoint that is on the disk, by its folder. */
export type AfterCheckpoint = (folder: string) => void;

/** @param surroundings what the run's folder does not say */
export function engineRun(
  run: OpenRun,
  surroundings: Omit<EngineRun, Truth>,
  beforeCheckpoint: BeforeCheckpoint = async () => undefined,
  afterCheckpoint: AfterCheckpoint = () => undefined,
): EngineRun {
  const { directory, state, ledger, log, resumedFrom, due } = run;
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
      await beforeCheckpoint();
      const extra = { run: directory.run, time: new Date().toISOString() };
      const folder = await writeCheckpoint(directory.path, contents, progress, committed, extra);
      afterCheckpoint(folder);
      return folder;
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
    keeping: {
      log,
      due,
      copy: async (folder, length) => {
        const files = await readCheckpointFiles(folder);
        return { step: Number(/\d+$/.exec(folder)?.[0]), log: await log.lines(length), files };
      },
      become: async ({ step, log: lines, files }) => {
        await log.become(lines);
        const checkpoint = await adoptCheckpoint(directory.path, step, files);
        const restored = restoreState(checkpoint, state.dataset, state.config);
        return { state: restored, ledger: checkpoint.ledger, checkpoint: checkpoint.path };
      },
      about: {
        config: stringify(state.config),
        token: directory.token,
        operatorToken: directory.operatorToken,
        dashboardToken: directory.dashboardToken,
      },
    },
    ...(resumedFrom === undefined ? {} : { resumedFrom }),
  };
}
