// A run as its folder tells it, for those who look on where nobody drives it, or somebody else does: nothing in the
// folder is changed.

import { lstat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { phaseNamed } from "../../shared/model/phases.ts";
import { epochsOf, type Program, phaseProgram, placeOf } from "../../shared/run/program.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import { newestCheckpointStep, readNewestCheckpoint } from "../checkpoint/checkpoint.ts";
import { COMMIT_LOG, inspectCommitLog, standingCommits } from "../checkpoint/commit-log.ts";
import type { PassWatch, RunWatch } from "../engine/run-watch.ts";
import { EVENTS_FILE } from "../run/run-directory.ts";
import { type LoggedEvent, loggedEvents } from "./logged-events.ts";
import { readStatus, type StoppedStatus } from "./status-command.ts";

export class FolderRun {
  readonly path: string;
  readonly #program: Program;
  readonly #batch: number;
  #status: RunStatus;
  #committed: PassWatch["committed"] = [];
  /** A coordinator answered for it when it was last looked at. */
  #driven: boolean;
  #checkpointStep: number | null = null;
  #logged = 0;
  #eventsRead = 0;

  /** @throws CHECKPOINT_MISSING, CHECKPOINT_CORRUPT, CONFIG_INVALID for what is no run's folder */
  static async open(runDir: string): Promise<FolderRun> {
    const status = await readStatus(runDir);
    const { manifest } = await readNewestCheckpoint(runDir);
    const program = phaseProgram(manifest.config, manifest.dataset.trainSamples);
    const run = new FolderRun(resolve(runDir), program, manifest.config.batch, manifest.config.name, status);
    await run.#readBeside(status);
    return run;
  }

  private constructor(path: string, program: Program, batch: number, name: string, status: RunStatus | StoppedStatus) {
    this.path = path;
    this.#program = program;
    this.#batch = batch;
    this.#status = this.#shown(status, name);
    this.#driven = status.state !== "stopped";
  }

  status(): RunStatus {
    return this.#status;
  }

  watch(): RunWatch {
    const { pass } = this.#place(this.#status.step);
    const { title } = phaseNamed(this.#program, pass.phase);
    return {
      paused: "no",
      stopped: !this.#driven && this.#status.state !== "done",
      checkpointStep: this.#checkpointStep,
      checkpointWanted: false,
      pass: { title, samples: pass.samples, committed: this.#committed, collected: [], leased: [] },
      workers: [],
    };
  }

  /** Looks at the folder again. */
  async refresh(): Promise<void> {
    const size = (await lstat(join(this.path, COMMIT_LOG)).catch(() => undefined))?.size ?? 0;
    const changing = this.#driven && this.#status.state !== "done";
    if (size === this.#logged && !changing) return;
    const status = await readStatus(this.path);
    this.#status = this.#shown(status, this.#status.name);
    this.#driven = status.state !== "stopped";
    await this.#readBeside(status);
  }

  /** The events since the last call; at first the newest. */
  async events(): Promise<readonly LoggedEvent[]> {
    const { events, read } = await loggedEvents(join(this.path, EVENTS_FILE), this.#eventsRead);
    this.#eventsRead = read;
    return events;
  }

  #place(step: number) {
    return placeOf(this.#program, Math.max(0, Math.min(step, this.#program.steps) - 1), this.#batch);
  }

  /** What the status does not tell. */
  async #readBeside(status: RunStatus | StoppedStatus): Promise<void> {
    const { step } = status;
    // Who drives it may replace checkpoints while they are read: the newest one's name is enough.
    this.#checkpointStep = status.state === "stopped" ? status.checkpointStep : await newestCheckpointStep(this.path);
    const { records } = await inspectCommitLog(this.path);
    this.#logged = (await lstat(join(this.path, COMMIT_LOG)).catch(() => undefined))?.size ?? 0;
    const { pass } = this.#place(step);
    this.#committed = standingCommits(records).flatMap((commit) =>
      commit.type === "step" && commit.pass === pass.index ? commit.ranges.map(([from, to]) => ({ from, to })) : [],
    );
  }

  #shown(status: RunStatus | StoppedStatus, name: string): RunStatus {
    if (status.state !== "stopped") return status;
    const { run, step, steps, samples, scores, finished } = status;
    const { pass } = this.#place(step);
    const epochs = epochsOf(this.#program, pass.phase);
    return {
      run,
      name,
      state: finished ? "done" : "waiting",
      phase: `${phaseNamed(this.#program, pass.phase).title}, epoch ${pass.epoch + 1}/${epochs}`,
      step,
      steps,
      epoch: pass.epoch,
      collected: 0,
      wanted: 0,
      workers: 0,
      samples,
      samplesPerSecond: 0,
      etaSeconds: null,
      reason: finished ? "complete" : `nobody drives ${basename(this.path)}: what is shown is on its disk`,
      loss: {},
      bytesPerWorker: null,
      loopDelayMs: null,
      batchScore: null,
      scores,
    };
  }
}
