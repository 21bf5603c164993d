// The curves of a run and of those that lie beside it in the same folder, as the page asks for them: read from the
// folders, encoded and packed once for all who look on.

import { lstat, readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import { COMMIT_LOG } from "../checkpoint/commit-log.ts";
import { HISTORY_FILE, tables } from "../history/history-line.ts";
import { MOST_SERIES } from "../history/history-view.ts";
import { RunHistory } from "../history/run-history.ts";
import { isRunDirectory, RUN_FILE } from "../run/run-directory.ts";
import type { HistoryAnswer, RunList } from "./feed-message.ts";

/** Runs of a folder that are listed: those that were worked on last. */
export const MOST_LISTED = 200;
/** Histories that are held in memory at a time, and answers that are. */
const MOST_OPEN = 8;
const MOST_ANSWERS = 64;
/** A history is looked at for more no more often. */
const REFRESH_EVERY_MS = 500;
/** Evaluations of an answer: the newest. */
const MOST_EVALUATIONS = 2000;
/** Characters of a series' name. */
const MOST_NAME = 256;

const steps = z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
/** What is asked for, as a query has it. */
export const historyRequestSchema = z.object({
  /** A run of the same folder; the run itself unless given. */
  run: z.string().min(1).max(255).optional(),
  table: z.enum(tables).default("steps"),
  series: z.array(z.string().max(MOST_NAME)).max(MOST_SERIES).default([]),
  from: steps.optional(),
  to: steps.optional(),
  points: steps.optional(),
});
export type HistoryRequest = z.output<typeof historyRequestSchema>;

/** An answer's JSON, plain and packed. */
export interface HistoryBytes {
  readonly plain: Buffer<ArrayBuffer>;
  readonly packed: Buffer<ArrayBuffer>;
}

const pack = promisify(gzip);

interface Open {
  readonly history: RunHistory;
  refreshedAt: number;
  /** Another number with each growth. */
  growth: number;
}

/** The newest of the last are kept: what is asked for goes to the end. */
function keep<T>(map: Map<string, T>, key: string, value: T, most: number): T {
  map.delete(key);
  map.set(key, value);
  const [oldest] = map.keys();
  if (map.size > most && oldest !== undefined) map.delete(oldest);
  return value;
}

/** Where curves come from. */
export interface HistorySource {
  list(): Promise<RunList>;
  /** @throws CONFIG_INVALID for a run that is not there, RUN_UNREACHABLE where another node has it */
  answer(request: HistoryRequest): Promise<HistoryBytes>;
  /** Whether there is more than when it was last asked. */
  grew(): Promise<boolean>;
}

export class Histories implements HistorySource {
  /** Of the run. */
  readonly #path: string;
  readonly #now: () => number;
  readonly #open = new Map<string, Promise<Open>>();
  readonly #answers = new Map<string, Promise<HistoryBytes>>();

  /** @param now milliseconds */
  constructor(path: string, now: () => number) {
    this.#path = path;
    this.#now = now;
  }

  /** The runs in the same folder, those that were worked on last first. */
  async list(): Promise<RunList> {
    const folder = dirname(this.#path);
    const names = await readdir(folder).catch(() => []);
    const found = await Promise.all(
      names.map(async (run) => {
        const path = join(folder, run);
        if (!(await isRunDirectory(path))) return [];
        const files = [HISTORY_FILE, COMMIT_LOG, RUN_FILE].map((file) => lstat(join(path, file)).catch(() => null));
        const changedAt = Math.max(0, ...(await Promise.all(files)).map((facts) => facts?.mtimeMs ?? 0));
        return [{ run, own: path === this.#path, changedAt: Math.round(changedAt) }];
      }),
    );
    const runs = found.flat().sort((a, b) => b.changedAt - a.changedAt);
    return { runs: runs.slice(0, MOST_LISTED) };
  }

  /** @throws CONFIG_INVALID for a run that is not in the folder, and what reading it throws */
  async answer(request: HistoryRequest): Promise<HistoryBytes> {
    const { run = basename(this.#path), ...rest } = request;
    const open = await this.#opened(run);
    const { generation } = open.history;
    const key = JSON.stringify([run, generation, open.growth, rest]);
    const known = this.#answers.get(key);
    return keep(this.#answers, key, known ?? this.#encoded(open.history, request), MOST_ANSWERS);
  }

  /** Whether the run's own history has grown since it was last asked. */
  async grew(): Promise<boolean> {
    const run = basename(this.#path);
    const before = (await this.#open.get(run))?.growth;
    return (await this.#opened(run)).growth !== before;
  }

  async #opened(run: string): Promise<Open> {
    const known = this.#open.get(run);
    const opening = keep(this.#open, run, known ?? this.#begin(run), MOST_OPEN);
    opening.catch(() => this.#open.delete(run));
    const open = await opening;
    if (this.#now() - open.refreshedAt >= REFRESH_EVERY_MS) {
      open.refreshedAt = this.#now();
      if (await open.history.refresh()) open.growth++;
    }
    return open;
  }

  async #begin(run: string): Promise<Open> {
    const path = join(dirname(this.#path), run);
    // What is asked for is a name in the folder, never a way out of it.
    const beside = run !== "." && run !== ".." && basename(run) === run;
    if (!beside || !(await isRunDirectory(path))) {
      throw new BitswarmError(
        "CONFIG_INVALID",
        `${JSON.stringify(run)} is no run of ${dirname(this.#path)}: /dashboard/runs lists them`,
      );
    }
    return { history: await RunHistory.open(path), refreshedAt: this.#now(), growth: 0 };
  }

  async #encoded(history: RunHistory, { table, series, from, to, points }: HistoryRequest): Promise<HistoryBytes> {
    const view = history.view(table, {
      series,
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
      ...(points === undefined ? {} : { points }),
    });
    const answer: HistoryAnswer = {
      generation: history.generation,
      names: { steps: [...history.series("steps")], layers: [...history.series("layers")] },
      passes: history.passes.map(({ phase, epoch, after }) => ({ phase, epoch, after })),
      evaluations: history.evaluations
        .slice(-MOST_EVALUATIONS)
        .map(({ step, time, network, score, value }) => ({ step, time, network, score, value })),
      stepsPerPoint: view.stepsPerPoint,
      steps: [...view.steps],
      times: [...view.times],
      series: view.series as HistoryAnswer["series"],
    };
    const plain = Buffer.from(JSON.stringify(answer));
    return { plain, packed: Buffer.from(await pack(plain)) };
  }
}
