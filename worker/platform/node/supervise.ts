// Keeps a number of workers going whatever they run on: starts each, starts it again when it dies, ends when all have
// ended.
import { setTimeout as sleep } from "node:timers/promises";
import { BitswarmError, type ErrorCode } from "../../../shared/base/errors.ts";
import { decideRestart } from "./restart.ts";

/** What a launcher tells the program that called it. `slot` counts from 1. */
export type WorkerEvent =
  | { readonly event: "joined"; readonly runtime: Runtime; readonly slot: number; readonly worker: string }
  | { readonly event: "ended"; readonly runtime: Runtime; readonly slot: number };

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
  /** How long to wait before the first restart of a worker that died; twice as long before the next. Default 1000. */
  readonly restartAfterMs?: number | undefined;
  /** Receives what the workers print, and what is done about them, line by line. */
  readonly onLine?: ((line: string) => void) | undefined;
  readonly onEvent?: ((event: WorkerEvent) => void) | undefined;
}

export interface LaunchedWorkers {
  /** The processes that run now: one a worker in Deno, one for all in a browser (its children not counted). */
  readonly pids: readonly number[];
  /**
   * Resolves when the run is over for every worker or `stop` was called; rejects with a BitswarmError when one gave up.
   */
  readonly exited: Promise<void>;
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
  /** One life of the worker in `slot`. Resolves, with everything it owns released, soon after `signal` aborts. */
  runWorker(slot: number, signal: AbortSignal): Promise<WorkerEnd>;
  /** Releases what the workers share, once none of them lives. */
  release(): Promise<void>;
}

export function superviseWorkers(supervision: Supervision): Pick<LaunchedWorkers, "exited" | "stop"> {
  const { runtime, options } = supervision;
  const stopping = new AbortController();
  const say = (slot: number, text: string) => options.onLine?.(`[${runtime} ${slot}] ${text}`);

  async function keepGoing(slot: number): Promise<void> {
    let restarts = 0;
    while (!stopping.signal.aborted) {
      const startedAtMs = performance.now();
      const end = await supervision.runWorker(slot, stopping.signal);
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
          if (stopping.signal.aborted) return;
          const decision = decideRestart(restarts, performance.now() - startedAtMs, options.restartAfterMs);
          restarts = decision.restarts;
          if (!decision.restart) {
            say(slot, `${end.reason}; given up after ${restarts} restarts`);
            const message = `${runtime} worker ${slot} gave up after ${restarts} restarts in a row, at last because ${end.reason}`;
            throw new BitswarmError(end.code, message);
          }
          say(slot, `${end.reason}; restart ${restarts} in ${decision.delayMs / 1000} s`);
          await sleep(decision.delayMs, undefined, { signal: stopping.signal }).catch(() => undefined);
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
    async stop() {
      stopping.abort();
      await exited.catch(() => undefined);
    },
  };
}

/** The name of the worker in `slot`, where one was given. */
export function workerName(options: WorkersOptions, slot: number): string | undefined {
  return options.name !== undefined && options.count > 1 ? `${options.name}-${slot}` : options.name;
}
