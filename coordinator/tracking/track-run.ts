// A tracking job on the network: server, sessions and job put together, and taken apart again. Workers come by the same
// link, with the same tokens, as to a run that trains.

import { createHash, randomBytes } from "node:crypto";
import { join } from "node:path";
import type { Clock } from "../../shared/base/clock.ts";
import { type TrackOptions, trackOptions } from "../../shared/tracking/track-step.ts";
import { MAX_CHUNK_MESSAGE_BYTES } from "../../shared/wire/chunk.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import type { TrackingBackend } from "../../shared/wire/tracking.ts";
import { packageRoot } from "../base/package-root.ts";
import { createDashboardToken, createOperatorToken, createToken } from "../base/token.ts";
import { classRoom } from "../classroom/class-room.ts";
import { readRoomFiles } from "../classroom/trust-room.ts";
import { readPageFiles } from "../server/page-files.ts";
import { type Reach, straight } from "../server/reach.ts";
import { type RunServer, type ServerTls, startServer } from "../server/server.ts";
import { type SessionLimits, sessionLimits } from "../session/session-limits.ts";
import type { Identity } from "../tls/identity.ts";
import { FilmFiles } from "./film-files.ts";
import { FilmJob, type FilmOutcome, type JobEvent } from "./film-job.ts";
import { FilmSessions } from "./film-sessions.ts";
import type { FilmSource } from "./films.ts";

/** Workers that may join at a time, those of the operator not counted. */
export const MOST_FOLLOWERS = 256;
/** Sockets of one address, and its hellos a minute: a class room behind one router. */
export const FOLLOWERS_AN_ADDRESS = 64;
export const JOINS_A_MINUTE = 120;
const HEARTBEAT_MS = 10_000;
/** Between two words on how it goes. */
export const STATUS_EVERY_MS = 2_000;
/** Of the newest frames, by which their speed is told. */
const SPEED_WINDOW_MS = 30_000;

export interface TrackRunOptions {
  /** For people: what is followed, by what. */
  readonly name: string;
  /** An exported file of a tracker. */
  readonly model: Uint8Array;
  readonly options?: TrackOptions;
  /** What workers compute with, where somebody says so. */
  readonly backend?: TrackingBackend;
  readonly films: readonly FilmSource[];
  readonly host: string;
  readonly port: number;
  readonly tls?: Omit<ServerTls, "localPort" | "plain" | "identity"> & { readonly identity: Identity };
  readonly reach?: Reach;
  /** The link's; a random one unless given. */
  readonly token?: string;
  readonly clock: Clock;
  readonly auditShare: number;
  readonly draw: () => number;
  readonly onOutcome: (outcome: FilmOutcome) => Promise<void>;
  readonly onEvent: (event: TrackEvent) => void;
  /** How it goes, every few seconds. */
  readonly onStatus?: (status: RunStatus) => void;
  readonly limits?: SessionLimits;
}

export type TrackEvent =
  | JobEvent
  | { readonly type: "joined"; readonly worker: string; readonly name: string }
  | { readonly type: "left"; readonly worker: string; readonly message: string }
  | { readonly type: "notice"; readonly message: string };

export interface TrackRun {
  readonly server: RunServer;
  /** The volunteers' token, and that of this machine's own workers. */
  readonly token: string;
  /** Films that could not be followed, and why; once it is done. */
  readonly failed: () => readonly { readonly film: string; readonly message: string }[];
  /** Lends nothing more. */
  stop(): void;
  /** Settles when every film is over, or it was stopped, and everything is closed. */
  readonly done: Promise<void>;
}

const count = (n: number, what: string) => `${n} ${what}${n === 1 ? "" : "s"}`;

/** Frames a second of the last while. */
class Speed {
  readonly #clock: Clock;
  readonly #seen: { readonly at: number; readonly frames: number }[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param frames in all, so far */
  of(frames: number): number {
    const at = this.#clock.now();
    this.#seen.push({ at, frames });
    while (this.#seen.length > 2 && at - this.#seen[0].at > SPEED_WINDOW_MS) this.#seen.shift();
    const [first] = this.#seen;
    return at > first.at ? Math.max(0, (1000 * (frames - first.frames)) / (at - first.at)) : 0;
  }
}

function overText(films: number, failed: number): string {
  if (failed === 0) return "all films are followed";
  return `${films - failed} of ${count(films, "film")} are followed; ${count(failed, "film")} could not be`;
}

/** How a job is doing, in the words that pages and terminals have for runs. */
function statusOf(run: string, name: string, total: number, job: FilmJob, speed: number, over: boolean): RunStatus {
  const { films, over: settled, failed, frames, workers } = job.progress;
  const left = Math.max(0, total - frames);
  const waits = workers === 0 ? "waiting for a worker" : `${count(films - settled, "film")} to go`;
  const lost = failed.length > 0 ? `${count(failed.length, "film")} could not be followed` : undefined;
  return {
    run,
    name,
    state: over ? "done" : workers === 0 ? "waiting" : "evaluating",
    phase: "tracking",
    step: settled,
    steps: films,
    epoch: 0,
    collected: Math.min(frames, total),
    wanted: total,
    workers,
    samples: frames,
    samplesPerSecond: speed,
    etaSeconds: over || speed <= 0 ? null : left / speed,
    reason: over ? overText(films, failed.length) : [waits, ...(lost === undefined ? [] : [lost])].join("; "),
    loss: {},
    bytesPerWorker: null,
    loopDelayMs: null,
    batchScore: null,
    scores: {},
  };
}

/** @throws PORT_IN_USE, CONFIG_INVALID for a host that is not this machine's */
export async function startTracking(given: TrackRunOptions): Promise<TrackRun> {
  const { name, model, films, clock, reach = straight, limits = sessionLimits, onEvent, onStatus } = given;
  const run = `track-${randomBytes(4).toString("hex")}`;
  const tokens = {
    token: given.token ?? createToken(),
    operatorToken: createOperatorToken(),
    dashboardToken: createDashboardToken(),
  };
  const sha256 = createHash("sha256").update(model).digest("hex");
  const files = new FilmFiles();
  const job = new FilmJob({
    films: films.map((film) => ({ name: film.name, frames: film.frames.length, prepare: () => files.prepare(film) })),
    clock,
    auditShare: given.auditShare,
    draw: given.draw,
    onOutcome: given.onOutcome,
    onEvent,
  });
  const trust = { socketsPerAddress: FOLLOWERS_AN_ADDRESS, joinsPerMinute: JOINS_A_MINUTE };
  const sessions = new FilmSessions({
    ...tokens,
    welcome: { run, config: { maxWorkers: MOST_FOLLOWERS, trust } },
    clock,
    job,
    tracking: {
      run,
      name,
      heartbeatMs: HEARTBEAT_MS,
      model: { sha256, bytes: model.length },
      options: given.options ?? trackOptions,
      ...(given.backend === undefined ? {} : { backend: given.backend }),
    },
    limits,
    onJoined: (worker, { name: called, adapter }) =>
      onEvent({ type: "joined", worker, name: `${called}, ${adapter.description || adapter.vendor}` }),
    onLeft: (worker, _code, message) => onEvent({ type: "left", worker, message }),
  });
  const total = films.reduce((sum, { frames }) => sum + frames.length, 0);
  const speed = new Speed(clock);
  let over = false;
  let newest = statusOf(run, name, total, job, 0, false);
  const tellStatus = () => {
    newest = statusOf(run, name, total, job, speed.of(job.progress.frames), over);
    sessions.broadcast(newest);
    onStatus?.(newest);
  };
  let running: RunServer | undefined;
  const { authority } = given.tls?.identity ?? {};
  const room = classRoom({
    ...tokens,
    files: await readRoomFiles(),
    ...(authority === undefined ? {} : { authority }),
    link: () => running && new URL("./", running.url),
    status: () => newest,
  });
  const server = await startServer({
    beside: [room],
    host: given.host,
    port: given.port,
    source: {
      ...tokens,
      page: await readPageFiles(join(packageRoot(), "dist", "web")),
      status: () => newest,
      shard: (hash) => files.serve(hash),
      blob: (hash) => (hash === sha256 ? model : undefined),
      metrics: async () => ({ contentType: "text/plain; charset=utf-8", text: "" }),
      full: () => sessions.full,
    },
    sessions,
    messageLimit: MAX_CHUNK_MESSAGE_BYTES,
    closeMs: limits.closeMs,
    reach,
    onNotice: (message) => onEvent({ type: "notice", message }),
    ...(given.tls === undefined ? {} : { tls: { ...given.tls, localPort: 0, plain: room.plain } }),
  }).catch((error) => {
    job.stop();
    throw error;
  });
  running = server;
  const stopTelling = clock.every(STATUS_EVERY_MS, tellStatus);
  let stopped = false;
  const end = async () => {
    stopTelling();
    over = !stopped;
    tellStatus();
    if (stopped) sessions.goAway();
    else sessions.end(`${newest.reason[0].toUpperCase()}${newest.reason.slice(1)}. Thank you!`, newest);
    await server.close();
  };
  return {
    server,
    token: tokens.token,
    failed: () => job.progress.failed,
    stop: () => {
      stopped = job.progress.over < job.progress.films;
      job.stop();
    },
    done: job.done.finally(end),
  };
}
