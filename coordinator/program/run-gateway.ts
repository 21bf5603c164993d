// A gateway from its first word to its last: finds out what the run is, puts gateway, sessions, server and terminal
// together, and takes them apart again. It keeps nothing that a run depends on.

import { randomInt } from "node:crypto";
import { join } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { workerId } from "../../shared/base/ids.ts";
import { phasesOf } from "../../shared/run/program.ts";
import { decodeThreaded } from "../../shared/samples/threaded-decoding.ts";
import { MAX_CHUNK_MESSAGE_BYTES } from "../../shared/wire/chunk.ts";
import { systemClock } from "../base/clock.ts";
import { packageRoot } from "../base/package-root.ts";
import type { Cluster } from "../cluster/nats/connect.ts";
import { Dashboard } from "../dashboard/dashboard.ts";
import { FarHistories } from "../dashboard/far-histories.ts";
import { FarShards } from "../data/far-shards.ts";
import { ShardStore, shardFolder } from "../data/shard-store.ts";
import { soundShards } from "../data/sound-shards.ts";
import { DataChecks } from "../data-checks/data-checks.ts";
import { nodeDecodeThread } from "../data-checks/decode-thread.ts";
import { pieceReader } from "../data-checks/read-pieces.ts";
import { makeFolders } from "../disk/durable-file.ts";
import type { RunEvent } from "../engine/run-event.ts";
import { Traffic } from "../engine/traffic.ts";
import { Gateway } from "../gateway/gateway.ts";
import { meetLeader } from "../gateway/meet-leader.ts";
import { RunMetrics } from "../metrics/run-metrics.ts";
import { readPageFiles } from "../server/page-files.ts";
import type { Reach } from "../server/reach.ts";
import { type RunServer, startServer } from "../server/server.ts";
import { sessionLimits } from "../session/session-limits.ts";
import { Sessions } from "../session/sessions.ts";
import { STATUS_EVERY_MS } from "../session/status-feed.ts";
import { numberedFrom } from "../session/worker-names.ts";
import { assembleState } from "../state/training-state.ts";
import { contributionLimit } from "../training/round-plan.ts";
import { startTraining } from "../training/start-training.ts";
import { openBoard } from "../trust/board-file.ts";
import { publicConfig } from "./coordinate.ts";
import { obey } from "./dashboard-commands.ts";
import { EventBudget } from "./event-budget.ts";
import { JsonLineFile } from "./json-lines.ts";
import { type LocalWorkers, type Runtime, startLocalWorkers } from "./local-workers.ts";
import type { ProgressStream } from "./paint.ts";
import { Progress } from "./progress.ts";
import { dashboardLines, linkLines } from "./run-text.ts";
import type { DoorTls } from "./serve-door.ts";

export interface GatewayProgramOptions {
  readonly cluster: Pick<Cluster, "bus" | "bulk" | "reader" | "close">;
  readonly run: string;
  readonly id: string;
  /** What it writes: its workers' log, its own events. */
  readonly folder: string;
  readonly host: string;
  readonly port: number;
  readonly tls?: DoorTls;
  readonly reach: Reach;
  readonly workers: number;
  readonly runtime: Runtime;
  readonly terminal: ProgressStream;
  /** Where shards are to be had; where the leader says, unless given. */
  readonly dataFrom?: string;
  readonly signal: AbortSignal;
}

/** Numbers of its leases begin below this: those of the gateway that was here before are others. */
const FIRST_LEASES = 2 ** 31;
/** Workers' names begin at as many, so that two lives of a gateway share none. */
const FIRST_WORKERS = 2 ** 20;

/** Serves volunteers until the run is over or it is stopped; resolves with whether it is over. */
export async function runGateway(options: GatewayProgramOptions): Promise<boolean> {
  const { cluster, run, id, folder, host, port, tls, reach, terminal, signal } = options;
  const { bus, bulk } = cluster;
  const clock = systemClock;
  const progress = new Progress(terminal, () => clock.now());
  const life = randomInt(1, 2 ** 32 - 1);
  const onNotice = (message: string) => onEvent({ type: "notice", message });
  await makeFolders(folder);
  const events = new JsonLineFile(join(folder, "events.ndjson"), false);
  const tell = (event: RunEvent) => {
    dashboard?.event(event);
    events.append({ time: new Date().toISOString(), ...event });
    progress.event(event);
  };
  const budget = new EventBudget({ clock, onLine: tell });
  let dashboard: Dashboard | undefined;
  let metrics: RunMetrics | undefined;
  const onEvent = (event: RunEvent) => {
    metrics?.event(event);
    if (event.type === "audited") volunteers.board.confirmed(event.right, event.ranges);
    budget.take(event);
  };
  const volunteers = await openBoard(folder, clock, onNotice);
  const close: (() => unknown)[] = [
    () => budget.close(),
    () => progress.close(),
    () => volunteers.close(),
    () => events.close(),
  ];
  try {
    progress.line(`gateway ${id} of ${run}: waits for whoever leads`);
    const keys = await cluster.reader();
    // Of whoever leads: another one may have others.
    const met = await meetLeader({ bus, bulk, keys, run, id, life, clock, signal, onNotice }).catch((error) => {
      const ended = error instanceof BitswarmError && error.code === "RUN_ENDED";
      if (!ended && !signal.aborted) throw error;
      if (ended) progress.sentence(error.message);
      return undefined;
    });
    if (!met) return !signal.aborted;
    const { config, dataset, runTag, ...tokens } = met;
    const state = assembleState(config, dataset, { parameters: {} });
    const { networks, program } = state;
    let address = options.dataFrom;
    /** Of whoever leads. */
    let door: string | undefined;
    const far = new FarShards({
      dataset,
      store: new ShardStore(shardFolder(process.env)),
      address: () => address,
      token: () => tokens.operatorToken,
      fetch: (url, signal) => fetch(url, { signal }),
      clock,
    });
    const shown = publicConfig(config);
    const decoding = decodeThreaded(config, dataset, nodeDecodeThread, 1);
    close.unshift(() => decoding.close());
    const traffic = new Traffic();
    const sessions = new Sessions({
      ...tokens,
      welcome: { run, runTag, config: shown, dataset, program: phasesOf(shown).outline },
      limits: sessionLimits,
      contributionLimit: contributionLimit(state),
      workerNames: gatewayNames(id),
      clock,
      onEvent,
      board: volunteers.board,
      traffic,
    });
    const gateway = new Gateway({
      id,
      run: { run, runTag, config, networks, program },
      bus,
      bulk,
      keys,
      clock,
      draw: Math.random,
      training: await startTraining(state, runTag),
      outbox: sessions,
      onEvent,
      firstLease: randomInt(1, FIRST_LEASES),
      sampleChecks: new DataChecks({
        config,
        dataset,
        decoding,
        hold: pieceReader({ dataset, shard: (sha256) => far.shard(sha256) }),
        clock,
        draw: Math.random,
        onNotice,
      }),
      life,
      onAddress: (told) => {
        door = told;
        address = options.dataFrom ?? told;
      },
      onFacts: (told) => {
        tokens.operatorToken = told.operatorToken;
        tokens.dashboardToken = told.dashboardToken;
      },
    });
    close.unshift(() => gateway.close());
    sessions.serve(gateway);
    let server: RunServer | undefined;
    metrics = new RunMetrics({
      run,
      config,
      now: () => clock.now(),
      status: () => gateway.status(),
      surroundings: () => ({
        vitals: sessions.vitals,
        uploadBytes: sessions.uploadBytes,
        connections: server?.connections ?? 0,
      }),
    });
    const text = metrics;
    dashboard = new Dashboard({
      tokens,
      page: await readPageFiles(join(packageRoot(), "dist", "dashboard")),
      source: {
        status: () => gateway.status(),
        watch: () => gateway.watch(),
        vitals: () => sessions.vitals,
        command: async (asked, token) => (await obey(gateway, asked, token)).told,
      },
      path: folder,
      clock,
      histories: new FarHistories({
        address: () => door,
        token: () => tokens.dashboardToken,
        fetch,
        step: () => gateway.status().step,
        now: () => clock.now(),
      }),
    });
    server = await startServer({
      host,
      port,
      ...(tls === undefined ? {} : { tls: { ...tls, localPort: 0, plain: () => new Response(null, { status: 404 }) } }),
      beside: [dashboard],
      sessions,
      messageLimit: Math.max(MAX_CHUNK_MESSAGE_BYTES, sessionLimits.messageBytes),
      closeMs: sessionLimits.closeMs,
      reach,
      onNotice,
      source: {
        ...tokens,
        page: await readPageFiles(join(packageRoot(), "dist", "web")),
        status: () => gateway.status(),
        board: () => volunteers.board.places,
        shard: soundShards(far, onNotice),
        blob: (sha256) => gateway.blob(sha256),
        metrics: () => text.text(),
        full: () => sessions.full,
      },
    });
    const started = server;
    close.unshift(() => started.close());
    const shownHost = reach.publicUrl?.hostname ?? host;
    for (const line of linkLines(`gateway ${id} of ${run}`, folder, server.url, shownHost, options.workers))
      progress.line(line);
    for (const line of dashboardLines(server, tokens, false)) progress.line(line);
    let workers: LocalWorkers | undefined;
    if (options.workers > 0) {
      workers = startLocalWorkers({
        url: server.localUrl,
        count: options.workers,
        runtime: options.runtime,
        logPath: join(folder, "workers.log"),
        onEarlyEnd: onNotice,
      });
    }
    close.unshift(() => workers?.stop());
    const timer = setInterval(() => {
      const status = gateway.status();
      progress.update(status);
      sessions.broadcast(status);
      dashboard?.note();
      void dashboard?.follow();
    }, STATUS_EVERY_MS);
    const stop = () => {
      progress.line("stopping: what is begun is finished and handed over; Ctrl-C again ends at once");
      gateway.stop();
      sessions.hurry();
    };
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    try {
      const { finished, step } = await gateway.run();
      if (finished) sessions.end(`the last of ${step} steps of ${run} is done`, gateway.status());
      return finished;
    } finally {
      clearInterval(timer);
      dashboard.tell();
      sessions.goAway();
    }
  } finally {
    for (const part of close) await part();
    await cluster.close();
  }
}

/** `g2.w17`: local to its gateway, and to this life of it. */
function gatewayNames(id: string) {
  const number = numberedFrom(randomInt(1, FIRST_WORKERS));
  return () => workerId(`${id}.${number()}`);
}
