// The films of `track` that nobody has followed yet, on the network: each one's files are written as it comes.

import path from "node:path";
import type { trackOptions } from "../../shared/tracking/track-step.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import type { TrackingBackend } from "../../shared/wire/tracking.ts";
import { systemClock } from "../base/clock.ts";
import { printable } from "../base/printable.ts";
import type { Reach } from "../server/reach.ts";
import { type FilmSource, type Films, failureLine } from "../tracking/films.ts";
import type { Followed } from "../tracking/job-folder.ts";
import { framesPerSecond, writeResult } from "../tracking/result-files.ts";
import { startTracking, type TrackEvent } from "../tracking/track-run.ts";
import type { ScoreProtocol } from "../tracking/track-score.ts";
import { classRoomLines } from "./class-room-text.ts";
import { startLocalWorkers } from "./local-workers.ts";
import { linkLines } from "./run-text.ts";
import type { Door } from "./serve-door.ts";
import { onStop, type ServeOptions } from "./serve-options.ts";
import { filmJson, filmLine, type TrackTerminal } from "./track-text.ts";

const WORKERS_LOG = "workers.log";
/** Between two lines on how it goes. */
const STATUS_LINE_MS = 10_000;

export interface Failure {
  readonly film: string;
  readonly message: string;
}

export interface Following {
  readonly model: Uint8Array;
  readonly name: string;
  readonly options: typeof trackOptions;
  readonly out: string;
  readonly flags: ServeOptions & { readonly audit: number; readonly backend?: TrackingBackend };
  readonly door: Door;
  readonly reach: Reach;
  readonly token: string | undefined;
}

/** Follows films on the network, and writes each one's files as it comes. */
export async function followFilms(
  missing: readonly FilmSource[],
  films: Films,
  protocol: ScoreProtocol | undefined,
  given: Following,
  terminal: TrackTerminal,
  stopping: AbortSignal,
): Promise<{ readonly followed: readonly Followed[]; readonly failed: readonly Failure[] }> {
  const { model, name, options, out, flags, door, reach, token } = given;
  const { line, print } = terminal;
  const followed: Followed[] = [];
  const failed: Failure[] = [];
  let toldMs = systemClock.now();
  const onEvent = (event: TrackEvent) => {
    switch (event.type) {
      case "failed":
        failed.push({ film: event.film, message: event.message });
        line(printable(failureLine(event.film, event.message)));
        print({ event: "failed", film: event.film, message: event.message });
        return;
      case "returned":
        return line(`${printable(event.film)} starts anew: ${printable(event.detail)}`);
      case "disputed":
        return line(`a volunteer followed ${printable(event.film)} elsewhere than others did, and is not asked again`);
      case "joined":
        return line(`${event.worker} joined: ${printable(event.name)}`);
      case "left":
        return line(`${event.worker} left: ${printable(event.message)}`);
      case "notice":
        return line(event.message);
      case "lent":
        print({ event: "lent", film: event.film, worker: event.worker });
        return;
      default:
        event satisfies never;
    }
  };
  const onStatus = ({ reason, samples, wanted, samplesPerSecond }: RunStatus) => {
    if (systemClock.now() - toldMs < STATUS_LINE_MS) return;
    toldMs = systemClock.now();
    line(`${samples} of ${wanted} frames, ${samplesPerSecond.toFixed(1)} a second; ${reason}`);
  };
  const run = await startTracking({
    name,
    model,
    options,
    ...(flags.backend === undefined ? {} : { backend: flags.backend }),
    films: missing,
    host: door.host,
    port: flags.port,
    ...(door.tls === undefined ? {} : { tls: door.tls }),
    reach,
    ...(token === undefined ? {} : { token }),
    clock: systemClock,
    auditShare: flags.audit,
    draw: Math.random,
    onOutcome: async ({ index, frames, worker, checked }) => {
      const film = missing[index];
      await writeResult(out, films.layout, film.name, frames);
      const seconds = frames.map((frame) => frame.seconds);
      const one = { film, results: { repetitions: [frames.map(({ box }) => box)], seconds } };
      followed.push(one);
      line(filmLine(one, protocol, `, by ${worker}`));
      const fps = framesPerSecond(seconds) ?? null;
      print({
        event: "film",
        film: film.name,
        frames: frames.length,
        fps,
        worker,
        checked,
        ...filmJson(one, protocol),
      });
    },
    onEvent,
    onStatus,
  });
  const shownHost = reach.publicUrl?.hostname ?? door.host;
  for (const text of linkLines(name, out, run.server.url, shownHost, flags.workers, terminal.screen.columns))
    line(text);
  if (door.tls) {
    const { authority } = door.tls.identity;
    for (const text of classRoomLines(run.server, run.token, authority, terminal.screen)) line(text);
  }
  print({ event: "link", url: run.server.url });
  onStop(stopping, () => run.stop());
  const workers =
    flags.workers > 0
      ? startLocalWorkers({
          url: run.server.localUrl,
          count: flags.workers,
          runtime: flags.runtime,
          logPath: path.join(out, WORKERS_LOG),
          onEarlyEnd: line,
        })
      : undefined;
  try {
    await run.done;
  } finally {
    await workers?.stop();
  }
  return { followed, failed };
}
