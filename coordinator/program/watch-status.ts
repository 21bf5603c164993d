// `bitswarm status --watch`: asks again and again, until the run has come to its end.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import type { ProgressStream } from "./paint.ts";
import { Progress } from "./progress.ts";
import { statusLine } from "./progress-text.ts";
import { readStatus, type StoppedStatus, statusText } from "./status-command.ts";

/** Between two looks. */
export const WATCH_EVERY_MS = 2000;

export interface WatchOptions {
  /** A run's link or its folder. */
  readonly target: string;
  readonly stream: ProgressStream;
  /** A line of JSON for each status that differs from the one before. */
  readonly json?: boolean;
  /** Milliseconds on a monotonic clock. */
  readonly now: () => number;
  /** Resolves after so long, or when the watch shall end. */
  readonly pause: (ms: number) => Promise<void>;
  /** Ends the watch: nobody reads any more. */
  readonly signal: AbortSignal;
}

type Seen = RunStatus | StoppedStatus;

/** Whether nothing more will come of the run. */
function isOver(status: Seen): boolean {
  return status.state === "stopped" ? status.finished : status.state === "done";
}

/** What one look found; nothing where nobody answers, which a coordinator that is started again may end. */
async function look(target: string, known: boolean): Promise<Seen | undefined> {
  try {
    return await readStatus(target);
  } catch (error) {
    if (known && error instanceof BitswarmError && error.code === "RUN_UNREACHABLE") return undefined;
    throw error;
  }
}

/** Shows what was found, each kind of news once. */
class Watch {
  readonly #options: WatchOptions;
  readonly #progress: Progress;
  #last: Seen | undefined;
  #told = "";

  constructor(options: WatchOptions) {
    this.#options = options;
    this.#progress = new Progress(options.stream, options.now);
  }

  get last(): Seen | undefined {
    return this.#last;
  }

  show(status: Seen): void {
    const before = this.#last;
    this.#last = status;
    const { json = false, stream } = this.#options;
    if (json) {
      const text = JSON.stringify(status);
      this.#once(text, () => stream.write(`${text}\n`));
    } else if (status.state === "stopped") {
      // One that ends or begins answers to nobody for a moment; one that was stopped may be gone on with.
      const stays = before === undefined || before.state === "stopped";
      if (stays) this.#once(`stopped at ${status.step}`, () => this.#leave(status));
    } else {
      this.#told = "";
      this.#progress.show(
        () => this.#text(status).split("\n"),
        () => statusLine(status),
      );
    }
  }

  /** Nobody answers at a link that answered before. */
  silent(): void {
    if (this.#options.json) return;
    const text = `no coordinator answers any more; asked again every ${WATCH_EVERY_MS / 1000} s, Ctrl-C ends this`;
    this.#once(text, () => this.#progress.sentence(text));
  }

  /** The last that was found stays. */
  end(): void {
    const { last } = this;
    if (!last || this.#options.json) return;
    if (last.state !== "stopped" && last.state !== "done") {
      this.#progress.close();
      this.#progress.sentence("the coordinator is gone after its last step; what it said last:");
    }
    this.#leave(last);
  }

  #once(what: string, tell: () => void): void {
    if (what === this.#told) return;
    this.#told = what;
    tell();
  }

  #leave(status: Seen): void {
    this.#progress.close();
    for (const line of this.#text(status).split("\n")) this.#progress.line(line);
  }

  #text(status: Seen): string {
    return statusText(status, this.#options.target, this.#progress.columns);
  }
}

/**
 * Shows a run's status as it changes. Ends with the run, or by the signal.
 * @throws what readStatus throws at the first look, and later what is no coordinator that is away
 */
export async function watchStatus(options: WatchOptions): Promise<void> {
  const { target, pause, signal } = options;
  const watch = new Watch(options);
  while (!signal.aborted) {
    const found = await look(target, watch.last !== undefined);
    if (found) watch.show(found);
    else if (committedAll(watch.last)) break;
    else watch.silent();
    if (found && isOver(found)) break;
    await pause(WATCH_EVERY_MS);
  }
  if (!signal.aborted) watch.end();
}

/** A coordinator goes when its run is over, mostly before anybody could ask once more. */
function committedAll(last: Seen | undefined): boolean {
  return last !== undefined && last.step >= last.steps;
}
