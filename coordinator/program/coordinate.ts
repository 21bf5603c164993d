// A run from its opening to its summary: puts engine, sessions, server, local workers and terminal together, and takes
// them apart again.

import { basename, join } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { phasesOf } from "../../shared/run/program.ts";
import type { Decoding } from "../../shared/samples/decoding.ts";
import { decodeThreaded } from "../../shared/samples/threaded-decoding.ts";
import { tasks } from "../../shared/tasks/tasks.ts";
import { MAX_CHUNK_MESSAGE_BYTES } from "../../shared/wire/chunk.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import { systemClock } from "../base/clock.ts";
import { packageRoot } from "../base/package-root.ts";
import { modelSizes } from "../checkpoint/export.ts";
import { classRoom } from "../classroom/class-room.ts";
import { readRoomFiles } from "../classroom/trust-room.ts";
import { Dashboard } from "../dashboard/dashboard.ts";
import type { Command } from "../dashboard/feed-message.ts";
import { soundShards } from "../data/sound-shards.ts";
import { DataChecks } from "../data-checks/data-checks.ts";
import { nodeDecodeThread } from "../data-checks/decode-thread.ts";
import { pieceReader } from "../data-checks/read-pieces.ts";
import { Demo } from "../demo/demo.ts";
import type { RunSummary } from "../engine/engine.ts";
import { standsByAgain } from "../engine/nats/stands-by-again.ts";
import type { RunEvent } from "../engine/run-event.ts";
import type { OperatorCommand } from "../engine/run-watch.ts";
import { Traffic } from "../engine/traffic.ts";
import { HISTORY_FILE } from "../history/history-line.ts";
import { HistoryWriter } from "../history/history-writer.ts";
import { RunMetrics } from "../metrics/run-metrics.ts";
import { type CheckpointCopies, openCopies } from "../run/checkpoint-copies.ts";
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
import { openBoard } from "../trust/board-file.ts";
import type { DownloadRates } from "../trust/download-limits.ts";
import { classRoomLines } from "./class-room-text.ts";
import { obey } from "./dashboard-commands.ts";
import { EpochLines, evaluatedBefore } from "./epoch-lines.ts";
import { EventBudget } from "./event-budget.ts";
import { eventsSoFar } from "./events-so-far.ts";
import { JsonLineFile, jsonLineOf, jsonSummary } from "./json-lines.ts";
import { type LocalWorkers, type Runtime, startLocalWorkers } from "./local-workers.ts";
import { loggedEvents, tellLogged } from "./logged-events.ts";
import { type LoopDelay, LoopDelayMeter } from "./loop-delay.ts";
import type { ProgressStream } from "./paint.ts";
import { Progress } from "./progress.ts";
import { dashboardLines, demoLines, summaryLines, welcomeLines } from "./run-text.ts";
import type { DoorTls } from "./serve-door.ts";

/** A run among others at one link, one after the other; whoever drives them all tells how they come along. */
export interface AmongRuns {
  /** Stands above the run's own status. */
  readonly heading: (status: RunStatus) => string;
  /** Nothing comes after it: workers are told that it is over. Else they are sent away to come back, for the next. */
  readonly last: boolean;
}

export interface CoordinateOptions {
  readonly host: string;
  readonly port: number;
  /** TLS at the port; plain HTTP unless given. */
  readonly tls?: DoorTls;
  /** Where this machine's own workers come in beside TLS; one that is free unless given. */
  readonly localPort?: number;
  /** Workers to start on this machine. */
  readonly workers: number;
  readonly runtime: Runtime;
  readonly maxSteps?: number;
  /** How volunteers get here; straight unless given. */
  readonly reach?: Reach;
  /** Where people read. */
  readonly terminal: ProgressStream;
  /** Goes on serving pages when the run is over, until it is stopped, so that what was trained can be tried. */
  readonly linger?: boolean;
  /** Takes one line of JSON a step, and one at the end. */
  readonly printJson?: (line: string) => void;
  /** Told of everything that happens, whether or not there is a line for it. */
  readonly onEvent?: (event: RunEvent) => void;
  /** It is one of several; alone unless given. */
  readonly among?: AmongRuns;
  readonly limits?: SessionLimits;
  readonly openSockets?: OpenSocketLimits;
  /** What an address may fetch of the data set. */
  readonly downloads?: DownloadRates;
  /** In [0, 1), for each lease whether it is audited; Math.random unless given. */
  readonly drawAudit?: () => number;
  /** Who keeps the numbers; by their size unless given. */
  readonly startTraining?: StartTraining;
  /** Whether the samples of some leases are decoded here too; they are unless it is said. */
  readonly checkSamples?: boolean;
}

export interface Coordination {
  /** Finishes the step, writes a checkpoint, and lets `done` resolve. */
  stop(): void;
  /** Does what whoever runs it asks for. */
  operate(command: OperatorCommand): void;
  readonly server: RunServer;
  /** What is measured of the workers' connections. */
  readonly sessions: Pick<Sessions, "vitals" | "uploadBytes">;
  readonly done: Promise<RunSummary>;
}

/** What strangers are told: no paths of this machine, and of the engine no more than which it is. */
export function publicConfig(config: RunConfig): RunConfig {
  const {
    data: { root: _root, store: _store, classes: _classes, ...data },
    teacher: { file, ...teacher },
    engine: { kind },
    checkpoint,
    ...rest
  } = config;
  return {
    ...rest,
    // What a run says of itself is for people: workers need none of it, and the page asks for it.
    description: "",
    contact: "",
    url: "",
    data,
    teacher: file === undefined ? teacher : { ...teacher, file: basename(file) },
    engine: { kind },
    checkpoint: { ...checkpoint, bucket: "" },
  };
}

/** What a run says of itself to whoever opens its page. */
function aboutOf({ description, contact, url }: RunConfig): NonNullable<RunStatus["about"]> {
  return { description, contact, url };
}

/** The file of a run's events, to be written on, and names that none of its workers has had. */
async function openEvents({ directory, resumedFrom }: OpenRun) {
  const { lastWorker, torn } =
    resumedFrom === undefined ? { lastWorker: 0, torn: false } : await eventsSoFar(directory.eventsPath);
  return { events: new JsonLineFile(directory.eventsPath, torn), workerNames: numberedFrom(lastWorker + 1) };
}

/** Nothing is left to compute: nobody need be started for it. */
export function isOver({ step, program, evaluations }: OpenRun["state"]): boolean {
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
    among,
    limits = sessionLimits,
    startTraining,
    tls,
    reach = straight,
    openSockets,
    downloads,
    checkSamples = true,
    linger = false,
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
  const { step, evaluatedAt } = state;
  const place = { step, evaluatedAt: { ...evaluatedAt } };
  const history = await HistoryWriter.open({ runDir: directory.path, place, wallClock: Date.now }).catch(
    async (error) => {
      await events.close();
      await log.close();
      await claim.release();
      await run.discard?.();
      throw error;
    },
  );
  const loopDelay = new LoopDelayMeter();
  let stepDelay: LoopDelay | null = null;
  const metrics = new RunMetrics({
    run: directory.run,
    config: state.config,
    now,
    status: () => engine.status(),
    surroundings: () => ({
      vitals: sessions.vitals,
      uploadBytes: sessions.uploadBytes,
      connections: server?.connections ?? 0,
    }),
  });
  const { program, config } = state;
  const epochs = new EpochLines({ program, config, step, evaluated: evaluatedBefore(log.records, step), now });
  let over = false;
  /** Of the newest checkpoint, from which the demo is made. */
  let keptStep = step;
  const firstStep = program.passes.find(({ network }) => network === program.primary)?.firstStep ?? 0;
  const offered = () => (keptStep > firstStep && (!over || linger) ? { demo: true as const } : {});
  const onEvent = (event: RunEvent) => {
    history.take(event);
    options.onEvent?.(event);
    metrics.event(event);
    if (event.type === "step") stepDelay = loopDelay.take();
    if (event.type === "checkpoint") keptStep = event.step;
    if (event.type === "audited") volunteers.board.confirmed(event.right, event.ranges);
    const line = jsonLineOf(event, stepDelay);
    if (line !== undefined) printJson?.(line);
    budget.take(event);
  };
  const dashboard = new Dashboard({
    tokens: directory,
    page: await readPageFiles(join(packageRoot(), "dist", "dashboard")),
    source: {
      status: () => ({ ...engine.status(), ...offered() }),
      watch: () => engine.watch(),
      vitals: () => sessions.vitals,
      command: (asked, token) => command(asked, token),
    },
    path: directory.path,
    clock,
  });
  const demo = new Demo({
    tokens: directory,
    page: await readPageFiles(join(packageRoot(), "dist", "demo")),
    path: directory.path,
    follows: tasks.get(config.task.kind).tracking !== undefined,
  });
  if (resumedFrom !== undefined) {
    const { events: before } = await loggedEvents(directory.eventsPath);
    tellLogged(before, (event, time) => dashboard.event(event, time));
  }
  const tell = (event: RunEvent) => {
    dashboard.event(event);
    // Steps are in the commit log.
    if (event.type !== "step") events.append({ time: new Date().toISOString(), ...event });
    // That everybody leaves when it is over goes without saying.
    const parting = event.type === "left" || (event.type === "repeated" && event.of === "left");
    const epoch = epochs.take(event);
    if (epoch) progress.sentence(epoch.text, epoch.best ? "green" : undefined);
    else if (!(over && parting)) progress.event(event);
  };
  const budget = new EventBudget({ clock, onLine: tell });
  const traffic = new Traffic();
  const volunteers = await openBoard(directory.path, clock, (message) => onEvent({ type: "notice", message }));
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
    board: volunteers.board,
    traffic,
  });
  const surroundings = {
    outbox: sessions,
    traffic,
    loopDelay: () => stepDelay,
    address: () => server && (reach.publicUrl ?? new URL("./", server.url)).href,
    clock,
    draw: options.drawAudit ?? Math.random,
    onEvent,
    ...(maxSteps === undefined ? {} : { maxSteps }),
    ...(startTraining === undefined ? {} : { startTraining }),
  };
  let decoding: Decoding | undefined;
  let copies: CheckpointCopies | undefined;
  const begin = async () => {
    copies = await openCopies(run, (message) => onEvent({ type: "notice", message }));
    const recorded = () => history.flush();
    const written = (folder: string) => copies?.take(folder);
    if (!checkSamples) return openEngine(state.config, engineRun(run, surroundings, recorded, written));
    decoding = decodeThreaded(state.config, data.dataset, nodeDecodeThread, 1);
    const sampleChecks = new DataChecks({
      config: state.config,
      dataset: data.dataset,
      decoding,
      hold: pieceReader(data),
      clock,
      draw: Math.random,
      onNotice: (message) => onEvent({ type: "notice", message }),
    });
    return openEngine(state.config, engineRun(run, { ...surroundings, sampleChecks }, recorded, written));
  };
  const engine = await Promise.resolve()
    .then(begin)
    .catch(async (error) => {
      progress.close();
      loopDelay.close();
      budget.close();
      await log.close();
      await events.close();
      await history.close();
      await claim.release();
      await run.discard?.();
      throw error;
    });
  sessions.serve(engine);
  let letGo: (() => void) | undefined;
  let hurries = false;
  const hurry = () => {
    if (hurries) return;
    hurries = true;
    progress.line("stopping: the step in hand is finished and a checkpoint written; Ctrl-C again ends at once");
    sessions.hurry();
  };
  const stop = () => {
    if (letGo) return letGo();
    engine.stop();
    hurry();
  };
  const command = async (asked: Command, token: string): Promise<string> => {
    const lingers = asked.type === "stop" && letGo !== undefined;
    const { told, passedOn } = lingers ? { told: "the pages end", passedOn: false } : await obey(engine, asked, token);
    if (asked.type === "stop" && !passedOn) stop();
    if (asked.type !== "may-i") onEvent({ type: "notice", message: `asked for on the dashboard: ${told}` });
    return told;
  };

  let server: RunServer | undefined;
  let workers: LocalWorkers | undefined;
  const release = async () => {
    progress.close();
    loopDelay.close();
    await workers?.stop();
    await server?.close();
    await engine.close();
    decoding?.close();
    await volunteers.close();
    await copies?.close();
    await log.close();
    budget.close();
    if (server) await removeAddress(directory, server.localUrl);
    const failure = await events.close();
    if (failure) progress.line(`events.ndjson is not complete: ${failure.message}`);
    const unrecorded = await history.close();
    if (unrecorded) progress.line(`${HISTORY_FILE} and what follows from it are not complete: ${unrecorded.message}`);
    await claim.release();
  };
  try {
    const { authority } = tls?.identity ?? {};
    const room = classRoom({
      token: directory.token,
      operatorToken: directory.operatorToken,
      files: await readRoomFiles(),
      ...(authority === undefined ? {} : { authority }),
      link: () => server && new URL("./", server.url),
      status: () => engine.status(),
    });
    const tellMoved = (moved: RunServer) => {
      const { host: now } = new URL(moved.url);
      onEvent({
        type: "notice",
        message: `this machine's address is another: the room comes in at ${now} from here on`,
      });
      for (const line of classRoomLines(moved, directory.token, authority, terminal)) progress.line(line);
    };
    server = await startServer({
      host,
      port,
      beside: [room, dashboard, demo],
      ...(tls === undefined
        ? {}
        : { tls: { ...tls, localPort: options.localPort ?? 0, plain: room.plain, onMoved: tellMoved } }),
      sessions,
      messageLimit: Math.max(MAX_CHUNK_MESSAGE_BYTES, limits.messageBytes),
      closeMs: limits.closeMs,
      reach,
      ...(openSockets === undefined ? {} : { openSockets }),
      ...(downloads === undefined ? {} : { downloads }),
      onNotice: (message) => onEvent({ type: "notice", message }),
      source: {
        token: directory.token,
        operatorToken: directory.operatorToken,
        dashboardToken: directory.dashboardToken,
        page: await readPageFiles(join(packageRoot(), "dist", "web")),
        status: () => ({
          ...engine.status(),
          about: aboutOf(state.config),
          ...offered(),
        }),
        board: () => volunteers.board.places,
        ...(data.elsewhere === undefined ? {} : { elsewhere: data.elsewhere }),
        shard: soundShards(data, (message) => onEvent({ type: "notice", message })),
        blob: (sha256) => engine.blob(sha256),
        metrics: () => metrics.text(),
        full: () => sessions.full,
      },
    });
    // Nobody waited for what came before.
    loopDelay.take();
    await writeAddress(directory, { url: server.localUrl, pid: process.pid });
    const shownHost = reach.publicUrl?.hostname ?? host;
    const welcome = welcomeLines(directory, server.url, shownHost, options.workers, progress.columns);
    const forRoom = tls ? classRoomLines(server, directory.token, authority, terminal) : [];
    const looking = dashboardLines(server, directory, authority !== undefined);
    if (!among) for (const line of [...welcome, ...looking, ...forRoom]) progress.line(line);
    if (resumedFrom !== undefined) onEvent({ type: "resumed", step: state.step, path: resumedFrom });
    for (const message of run.notices) onEvent({ type: "notice", message });
    if (options.workers > 0 && !isOver(state)) {
      workers = startLocalWorkers({
        url: server.localUrl,
        count: options.workers,
        runtime: options.runtime,
        ...(data.elsewhere === undefined ? {} : { dataHosts: [new URL(data.elsewhere.origin).host] }),
        logPath: directory.workersLogPath,
        onEarlyEnd: (message) => onEvent({ type: "notice", message }),
      });
    }
  } catch (error) {
    await release();
    await run.discard?.();
    throw error;
  }

  const started = server;
  const drive = async (): Promise<RunSummary> => {
    const timer = setInterval(() => {
      const status = engine.status();
      // It may have been asked for elsewhere.
      if (status.state === "stopping") hurry();
      progress.update(status, among?.heading(status));
      sessions.broadcast(status);
      dashboard.note();
    }, STATUS_EVERY_MS);
    let summary: RunSummary;
    const sizes = modelSizes(state.config, state.dataset);
    const report = () => {
      const seconds = (now() - startedAt) / 1000;
      // Who goes on with a class is to let it in again.
      const flags = options.tls?.identity.authority === undefined ? [] : ["--lan"];
      const lines = summaryLines(summary, directory, sizes, state.config, seconds, progress.columns, flags);
      if (!among) for (const line of lines) progress.line(line);
      printJson?.(jsonSummary(summary));
    };
    /** Serves on, with nothing to compute, until it is stopped. */
    const stay = async (server: RunServer) => {
      clearInterval(timer);
      dashboard.tell();
      progress.close();
      await workers?.stop();
      report();
      const released = new Promise<void>((resolve) => {
        letGo = resolve;
      });
      for (const line of demoLines(server, directory)) progress.line(line);
      await released;
    };
    try {
      summary = await engine.run();
      over = true;
      if (summary.finished && among?.last !== false)
        sessions.end(`the last of ${summary.step} steps of ${directory.run} is done`, engine.status());
      if (summary.finished && linger) await stay(started);
    } catch (error) {
      // Nothing that a worker could come back to, unless another coordinator goes on with the run.
      const ended = error instanceof BitswarmError && error.code !== "COMMIT_LOG_FENCED" && !standsByAgain(error);
      if (ended && among?.last !== false) {
        const what = error.code === "RUN_ENDED" ? "is over" : `failed: ${error.code}`;
        sessions.end(`the run ${directory.run} ${what}`, engine.status());
      }
      throw error;
    } finally {
      clearInterval(timer);
      dashboard.tell();
      sessions.goAway();
      await release();
    }
    if (letGo === undefined) report();
    return summary;
  };
  return {
    server: started,
    sessions,
    done: drive(),
    operate: (command) => void engine.operate(command),
    stop,
  };
}
