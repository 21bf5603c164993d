// A run from its opening to its summary: puts engine, sessions, server, local workers and terminal together, and takes
// them apart again.

import { basename, join } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { phasesOf } from "../../shared/run/program.ts";
import { MAX_CHUNK_MESSAGE_BYTES } from "../../shared/wire/chunk.ts";
import { systemClock } from "../base/clock.ts";
import { packageRoot } from "../base/package-root.ts";
import { modelSizes } from "../checkpoint/export.ts";
import type { RunSummary } from "../engine/engine.ts";
import type { RunEvent } from "../engine/run-event.ts";
import { Traffic } from "../engine/traffic.ts";
import { engineRun } from "../run/engine-run.ts";
import { openEngine } from "../run/engines.ts";
import type { OpenRun } from "../run/open-run.ts";
import { removeAddress, writeAddress } from "../run/run-claim.ts";
import type { OpenSocketLimits } from "../server/open-sockets.ts";
import { readPageFiles } from "../server/page-files.ts";
import { type Reach, straight } from "../server/reach.ts";
import { type RunServer, startServer } from "../server/server.ts";
import { type SessionLimits, sessionLimits } from "../session/session-limits.ts";
import { Sessions } from "../session/sessions.ts";
import { STATUS_EVERY_MS } from "../session/status-feed.ts";
import { numberedFrom } from "../session/worker-names.ts";
import { contributionLimit } from "../training/round-plan.ts";
import type { StartTraining } from "../training/start-training.ts";
import { EventBudget } from "./event-budget.ts";
import { eventsSoFar } from "./events-so-far.ts";
import { JsonLineFile, jsonLineOf, jsonSummary } from "./json-lines.ts";
import { type LocalWorkers, type Runtime, startLocalWorkers } from "./local-workers.ts";
import { type LoopDelay, LoopDelayMeter } from "./loop-delay.ts";
import { Progress, type ProgressStream } from "./progress.ts";
import { summaryLines, welcomeLines } from "./run-text.ts";

export interface CoordinateOptions {
  readonly host: string;
  readonly port: number;
  /** Workers to start on this machine. */
  readonly workers: number;
  readonly runtime: Runtime;
  readonly maxSteps?: number;
  /** How volunteers get here; straight unless given. */
  readonly reach?: Reach;
  /** Where people read. */
  readonly terminal: ProgressStream;
  /** Takes one line of JSON a step, and one at the end. */
  readonly printJson?: (line: string) => void;
  readonly limits?: SessionLimits;
  readonly openSockets?: OpenSocketLimits;
  /** In [0, 1), for each lease whether it is audited; Math.random unless given. */
  readonly drawAudit?: () => number;
  /** Who keeps the numbers; by their size unless given. */
  readonly startTraining?: StartTraining;
}

export interface Coordination {
  /** Finishes the step, writes a checkpoint, and lets `done` resolve. */
  stop(): void;
  readonly server: RunServer;
  /** What is measured of the workers' connections. */
  readonly sessions: Pick<Sessions, "vitals" | "uploadBytes">;
  readonly done: Promise<RunSummary>;
}

/** What strangers are told: no paths of this machine, and of the engine no more than which it is. */
function publicConfig(config: RunConfig): RunConfig {
  const {
    data: { root: _, classes: _classes, ...data },
    teacher: { file, ...teacher },
    engine: { kind },
    ...rest
  } = config;
  return {
    ...rest,
    data,
    teacher: file === undefined ? teacher : { ...teacher, file: basename(file) },
    engine: { kind },
  };
}

/** The file of a run's events, to be written on, and names that none of its workers has had. */
async function openEvents({ directory, resumedFrom }: OpenRun) {
  const { lastWorker, torn } =
    resumedFrom === undefined ? { lastWorker: 0, torn: false } : await eventsSoFar(directory.eventsPath);
  return { events: new JsonLineFile(directory.eventsPath, torn), workerNames: numberedFrom(lastWorker + 1) };
}

/** Nothing is left to compute: nobody need be started for it. */
function isOver({ step, program, evaluations }: OpenRun["state"]): boolean {
  return step >= program.steps && Object.values(evaluations).every((score) => score !== null);
}

/**
 * Starts to drive an open run, which it then owns.
 * @throws PORT_IN_USE, CONFIG_INVALID, RUNTIME_MISSING, THREAD_FAILED
 */
export async function coordinate(run: OpenRun, options: CoordinateOptions): Promise<Coordination> {
  const { directory, state, log, claim, data, resumedFrom } = run;
  const {
    host,
    port,
    maxSteps,
    terminal,
    printJson,
    limits = sessionLimits,
    startTraining,
    reach = straight,
    openSockets,
  } = options;
  const clock = systemClock;
  const { now } = clock;
  const startedAt = now();
  const progress = new Progress(terminal, now);
  const { events, workerNames } = await openEvents(run).catch(async (error) => {
    await log.close();
    await claim.release();
    await run.discard?.();
    throw error;
  });
  const loopDelay = new LoopDelayMeter();
  let stepDelay: LoopDelay | null = null;
  let over = false;
  const onEvent = (event: RunEvent) => {
    if (event.type === "step") stepDelay = loopDelay.take();
    const line = jsonLineOf(event, stepDelay);
    if (line !== undefined) printJson?.(line);
    budget.take(event);
  };
  const tell = (event: RunEvent) => {
    // Steps are in the commit log.
    if (event.type !== "step") events.append({ time: new Date().toISOString(), ...event });
    // That everybody leaves when it is over goes without saying.
    const parting = event.type === "left" || (event.type === "repeated" && event.of === "left");
    if (!(over && parting)) progress.event(event);
  };
  const budget = new EventBudget({ clock, onLine: tell });
  const traffic = new Traffic();
  const sessions = new Sessions({
    token: directory.token,
    operatorToken: directory.operatorToken,
    welcome: {
      run: directory.run,
      runTag: directory.runTag,
      config: publicConfig(state.config),
      dataset: data.dataset,
      program: phasesOf(publicConfig(state.config)).outline,
    },
    limits,
    contributionLimit: contributionLimit(state),
    workerNames,
    clock,
    onEvent,
    traffic,
  });
  const surroundings = {
    outbox: sessions,
    traffic,
    loopDelay: () => stepDelay,
    clock,
    draw: options.drawAudit ?? Math.random,
    onEvent,
    ...(maxSteps === undefined ? {} : { maxSteps }),
    ...(startTraining === undefined ? {} : { startTraining }),
  };
  const engine = await openEngine(state.config, engineRun(run, surroundings)).catch(async (error) => {
    progress.close();
    loopDelay.close();
    budget.close();
    await log.close();
    await events.close();
    await claim.release();
    await run.discard?.();
    throw error;
  });
  sessions.serve(engine);

  let server: RunServer | undefined;
  let workers: LocalWorkers | undefined;
  const release = async () => {
    progress.close();
    loopDelay.close();
    await workers?.stop();
    await server?.close();
    await engine.close();
    await log.close();
    budget.close();
    if (server) await removeAddress(directory, server.localUrl);
    const failure = await events.close();
    if (failure) progress.line(`events.ndjson is not complete: ${failure.message}`);
    await claim.release();
  };
  try {
    server = await startServer({
      host,
      port,
      sessions,
      messageLimit: Math.max(MAX_CHUNK_MESSAGE_BYTES, limits.messageBytes),
      closeMs: limits.closeMs,
      reach,
      ...(openSockets === undefined ? {} : { openSockets }),
      onNotice: (message) => onEvent({ type: "notice", message }),
      source: {
        token: directory.token,
        operatorToken: directory.operatorToken,
        page: await readPageFiles(join(packageRoot(), "dist", "web")),
        status: () => engine.status(),
        shard: (sha256) => data.shard(sha256),
        blob: (sha256) => engine.blob(sha256),
      },
    });
    // Nobody waited for what came before.
    loopDelay.take();
    await writeAddress(directory, { url: server.localUrl, pid: process.pid });
    const shownHost = reach.publicUrl?.hostname ?? host;
    for (const line of welcomeLines(directory, server.url, shownHost, options.workers, progress.columns))
      progress.line(line);
    if (resumedFrom !== undefined) onEvent({ type: "resumed", step: state.step, path: resumedFrom });
    for (const message of run.notices) onEvent({ type: "notice", message });
    if (options.workers > 0 && !isOver(state)) {
      workers = startLocalWorkers({
        url: server.localUrl,
        count: options.workers,
        runtime: options.runtime,
        logPath: directory.workersLogPath,
        onEarlyEnd: (message) => onEvent({ type: "notice", message }),
      });
    }
  } catch (error) {
    await release();
    await run.discard?.();
    throw error;
  }

  const drive = async (): Promise<RunSummary> => {
    const timer = setInterval(() => {
      const status = engine.status();
      progress.update(status);
      sessions.broadcast(status);
    }, STATUS_EVERY_MS);
    let summary: RunSummary;
    try {
      summary = await engine.run();
      over = true;
      if (summary.finished)
        sessions.end(`the last of ${summary.step} steps of ${directory.run} is done`, engine.status());
    } catch (error) {
      // Nothing that a worker could come back to, unless another coordinator goes on with the run.
      if (error instanceof BitswarmError && error.code !== "COMMIT_LOG_FENCED") {
        sessions.end(`the run ${directory.run} failed: ${error.code}`, engine.status());
      }
      throw error;
    } finally {
      clearInterval(timer);
      sessions.goAway();
      await release();
    }
    const sizes = modelSizes(state.config, state.dataset);
    const seconds = (now() - startedAt) / 1000;
    for (const line of summaryLines(summary, directory, sizes, state.config, seconds, progress.columns))
      progress.line(line);
    printJson?.(jsonSummary(summary));
    return summary;
  };
  const started = server;
  return {
    server: started,
    sessions,
    done: drive(),
    stop: () => {
      progress.line("stopping: the step in hand is finished and a checkpoint written; Ctrl-C again ends at once");
      engine.stop();
      sessions.hurry();
    },
  };
}
