// Keeps a number of workers going whatever they run on: starts each, starts it again when it dies, ends when all have
// ended.
import { setTimeout as sleep } from "node:timers/promises";
import { BitswarmError, type ErrorCode } from "../../../shared/base/errors.ts";
import { decideRestart } from "./restart.ts";
import type { Given } from "./worker-report.ts";

/** What a launcher tells the program that called it. `slot` counts from 1. */
export type WorkerEvent =
  | { readonly event: "joined"; readonly runtime: Runtime; readonly slot: number; readonly worker: string }
  /** Whenever more was accepted. */
  | ({ readonly event: "given"; readonly runtime: Runtime; readonly slot: number } & Given)
  | { readonly event: "ended"; readonly runtime: Runtime; readonly slot: number };

/** Whose line it is: a worker's own words, or what is done about it. */
export interface LineFrom {
  readonly slot: number;
  readonly by: "worker" | "launcher";
  /** The line without its mark. */
  readonly text: string;
}

export type Runtime = "browser" | "deno";

export interface WorkersOptions {
  /** The coordinator's link, `http://HOST:PORT/?token=TOKEN`. */
  readonly url: string;
  readonly count: number;
  /** Shown on the dashboard; several workers get `NAME-1`, `NAME-2`, … */
  readonly name?: string | undefined;
  /** Work in software even if there is a GPU, or try a GPU even if none was seen. Default: whether one is seen. */
  readonly software?: boolean | undefined;
  /** Measure kernels for this machine's adapter, and remember them. Default true. */
  readonly tune?: boolean | undefined;
  /** How much of the time the GPU may compute for each worker, 0.1 to 1. Default 1. */
  readonly share?: number | undefined;
  /** The most that is kept of what was fetched, in MiB. Default: 4096, or a quarter of what a browser grants. */
  readonly cacheMiB?: number | undefined;
  /** `host` or `host:port` of what else may have the run's data; without it they come through the coordinator. */
  readonly dataHosts?: readonly string[] | undefined;
  /** How long to wait before the first restart of a worker that died; twice as long before the next. Default 1000. */
  readonly restartAfterMs?: number | undefined;
  /** Receives what the workers print, and what is done about them, line by line. */
  readonly onLine?: ((line: string, from?: LineFrom) => void) | undefined;
  readonly onEvent?: ((event: WorkerEvent) => void) | undefined;
}

export interface LaunchedWorkers {
  /** The processes that run now: one a worker in Deno, one for all in a browser (its children not counted). */
  readonly pids: readonly number[];
  /**
   * Resolves when the run is over for every worker or `stop` was called; rejects with a BitswarmError when one gave up.
   */
  readonly exited: Promise<void>;
  /** Has every worker answer the leases that it holds, and leave. */
  finish(): void;
  /** Ends every worker and waits until their processes are gone. */
  stop(): Promise<void>;
}

/** How one life of a worker came to its end. */
export type WorkerEnd =
  | { readonly kind: "ended" }
  | { readonly kind: "stopped" }
  /** Trying again would end the same way: a wrong token, no adapter. */
  | { readonly kind: "failed"; readonly error: BitswarmError }
  | { readonly kind: "died"; readonly reason: string; readonly code: ErrorCode };

export interface Supervision {
  readonly runtime: Runtime;
  readonly options: WorkersOptions;
  /**
   * One life of the worker in `slot`. Resolves, with everything it owns released, soon after `signal` aborts; once
   * `finish` aborts, with the worker's last answer.
   */
  runWorker(slot: number, signal: AbortSignal, finish: AbortSignal): Promise<WorkerEnd>;
  /** Releases what the workers share, once none of them lives. */
  release(): Promise<void>;
}

export function superviseWorkers(supervision: Supervision): Pick<LaunchedWorkers, "exited" | "finish" | "stop"> {
  const { runtime, options } = supervision;
  const stopping = new AbortController();
  const finishing = new AbortController();
  const noMore = AbortSignal.any([stopping.signal, finishing.signal]);
  const say = (slot: number, text: string) => sayOf(options, runtime, slot, text, "launcher");

  async function keepGoing(slot: number): Promise<void> {
    let restarts = 0;
    while (!noMore.aborted) {
      const startedAtMs = performance.now();
      const end = await supervision.runWorker(slot, stopping.signal, finishing.signal);
      switch (end.kind) {
        case "ended":
          options.onEvent?.({ event: "ended", runtime, slot });
          return;
        case "stopped":
          return;
        case "failed":
          // One worker's end is reported at once by `exited`; among several it would be known only when the others have
          // ended.
          if (options.count > 1) say(slot, `error ${end.error.code}: ${end.error.message}`);
          throw end.error;
        case "died": {
          // Who was to finish is not started again for that: what it held goes to others.
          if (noMore.aborted) return;
          const decision = decideRestart(restarts, performance.now() - startedAtMs, options.restartAfterMs);
          restarts = decision.restarts;
          if (!decision.restart) {
            say(slot, `${end.reason}; given up after ${restarts} restarts`);
            const message = `${runtime} worker ${slot} gave up after ${restarts} restarts in a row, at last because ${end.reason}`;
            throw new BitswarmError(end.code, message);
          }
          say(slot, `${end.reason}; restart ${restarts} in ${decision.delayMs / 1000} s`);
          await sleep(decision.delayMs, undefined, { signal: noMore }).catch(() => undefined);
          break;
        }
        default:
          end satisfies never;
      }
    }
  }

  async function runAll(): Promise<void> {
    const slots = Array.from({ length: options.count }, (_, index) => index + 1);
    // The others go on when one gives up; it is reported at the end.
    const results = await Promise.allSettled(slots.map(keepGoing));
    await supervision.release();
    const failure = results.find((result) => result.status === "rejected");
    if (failure && !stopping.signal.aborted) throw failure.reason;
  }

  const exited = runAll();
  exited.catch(() => undefined);
  return {
    exited,
    finish: () => finishing.abort(),
    async stop() {
      stopping.abort();
      await exited.catch(() => undefined);
    },
  };
}

/** Hands a line on to whoever called, marked with where it comes from. */
export function sayOf(
  { onLine }: WorkersOptions,
  runtime: Runtime,
  slot: number,
  text: string,
  by: LineFrom["by"] = "worker",
): void {
  onLine?.(`[${runtime} ${slot}] ${text}`, { slot, by, text });
}

/** The name of the worker in `slot`, where one was given. */
export function workerName(options: WorkersOptions, slot: number): string | undefined {
  return options.name !== undefined && options.count > 1 ? `${options.name}-${slot}` : options.name;
}
