// What the page knows of the run, brought up to date by each message of the feed: workers with what they did in the
// last minutes, events, and where the run stands.

import {
  type EventLine,
  type FeedMessage,
  MOST_EVENTS,
  type PastCells,
  TIMELINE_CELL_MS,
  TIMELINE_MS,
  type WholeView,
  type WorkerFacts,
  type WorkerRow,
  type WorkerState,
  workerStates,
} from "../feed-message.ts";

/** From then on the worker did this. */
export interface Stretch {
  readonly state: WorkerState;
  readonly from: number;
}

export interface Worker extends WorkerFacts {
  readonly state: WorkerState;
  readonly draining: boolean;
  readonly samplesPerSecond: number | null;
  readonly held: number;
  readonly samples: number;
  readonly rttMs: number | null;
  /** Audits in a row that confirmed it; null where there were none. */
  readonly confirmed: number | null;
  readonly against: number;
  /** Bytes that its socket carried, to it and from it. */
  readonly down: number;
  readonly up: number;
  /** The oldest first. */
  readonly stretches: readonly Stretch[];
}

type Standing = Pick<WholeView, "at" | "status" | "operations" | "pass" | "history" | "traffic" | "driven">;

/** Everything that the page shows of a run, but for its curves. */
export interface Board extends Standing {
  readonly workers: ReadonlyMap<string, Worker>;
  /** The oldest first. */
  readonly events: readonly EventLine[];
}

function withRow(facts: WorkerFacts, row: WorkerRow, at: number, before: readonly Stretch[]): Worker {
  const [, place, draining, samplesPerSecond, held, samples, rttMs, confirmed, against, down, up] = row;
  const state = workerStates[place] ?? "preparing";
  const last = before.at(-1);
  const stretches = last?.state === state ? before : [...trimmed(before, at), { state, from: at }];
  const dynamic = {
    state,
    draining: draining === 1,
    samplesPerSecond,
    held,
    samples,
    rttMs,
    confirmed,
    against,
    down,
    up,
  };
  return { ...facts, ...dynamic, stretches };
}

/** What a worker did between two moments, by what was taken down of it meanwhile. */
function stretchesOf([, first, digits]: PastCells[number], since: number, at: number): readonly Stretch[] {
  const stretches: Stretch[] = [];
  [...digits].forEach((digit, i) => {
    const from = (first + i) * TIMELINE_CELL_MS;
    const state = workerStates[Number(digit)];
    if (state === undefined || from <= since || from >= at || stretches.at(-1)?.state === state) return;
    stretches.push({ state, from });
  });
  return stretches;
}

/** Without what was over before the timeline begins. */
function trimmed(stretches: readonly Stretch[], at: number): readonly Stretch[] {
  const first = stretches.findIndex((_, i) => (stretches[i + 1]?.from ?? at) > at - TIMELINE_MS);
  return first <= 0 ? stretches : stretches.slice(first);
}

function factsOf({ worker, account, name, runtime, adapter, software, own }: WorkerFacts): WorkerFacts {
  return { worker, account, name, runtime, adapter, software, own };
}

/** The board after a message; the same where it is nothing to show. */
export function nextBoard(board: Board | undefined, message: FeedMessage): Board | undefined {
  switch (message.type) {
    case "whole": {
      const { type: _, facts, rows, past, ...rest } = message;
      const known = new Map(facts.map((one) => [one.worker, one]));
      const cells = new Map(past.map((one) => [one[0], one]));
      const workers = new Map<string, Worker>();
      for (const row of rows) {
        const told = known.get(row[0]);
        // After a lost line what was seen before goes on.
        const seen = board?.workers.get(row[0])?.stretches ?? [];
        const line = cells.get(row[0]);
        const since = seen.length > 0 ? (board?.at ?? 0) : 0;
        const before = line ? [...seen, ...stretchesOf(line, since, rest.at)] : seen;
        if (told) workers.set(row[0], withRow(told, row, rest.at, before));
      }
      return { ...rest, workers };
    }
    case "change": {
      if (!board) return board;
      const { type: _, facts = [], left = [], rows = [], events = [], ...rest } = message;
      const workers = new Map(board.workers);
      const known = new Map(facts.map((one) => [one.worker, one]));
      for (const worker of left) workers.delete(worker);
      for (const row of rows) {
        const before = workers.get(row[0]);
        const told = known.get(row[0]) ?? (before && factsOf(before));
        if (told) workers.set(row[0], withRow(told, row, rest.at, before?.stretches ?? []));
      }
      const all = events.length > 0 ? [...board.events, ...events].slice(-MOST_EVENTS) : board.events;
      return { ...board, ...defined(rest), workers, events: all };
    }
    case "done":
    case "refused":
      return board;
    default:
      return message satisfies never;
  }
}

/** What the run does, in a word: one that is paused trains nothing, whoever is there. */
export function stateText({ status, operations }: Pick<Board, "status" | "operations">): string {
  if (status.state === "done") return `over, after step ${status.step}`;
  if (operations.stopped) return `stopped after step ${status.step}`;
  return operations.paused === "yes" && status.state === "waiting" ? "paused" : status.state;
}

/** Where what is shown comes from, while it comes. */
export function sourceText({ status, operations, driven }: Pick<Board, "status" | "operations" | "driven">): string {
  if (status.state === "done") return driven ? "Over: nothing changes any more" : "Over: read from the run's folder";
  if (driven) return "Live";
  return operations.stopped ? "Stopped: read from the run's folder" : "Read from the run's folder, as it grows";
}

/** Where what is shown is from, while the coordinator does not answer. */
export function awayText(status: Board["status"] | undefined): string {
  if (status?.state === "done") return "The run is over, and its coordinator has ended; what you see is how it ended.";
  return "The coordinator is away; what you see is from before.";
}

/** What is offered to whoever would act on the run: nothing where there is nobody to act, or nothing to act on. */
export function actionsOf(
  { status, driven }: Pick<Board, "status" | "driven">,
  unlocked: boolean,
): "over" | "read" | "buttons" | "unlock" {
  if (status.state === "done") return "over";
  if (!driven) return "read";
  return unlocked ? "buttons" : "unlock";
}

/** Below the coordinator's address, where what is trained can be tried; undefined where it cannot. */
export function demoLink({ demo }: Board["status"], token: string): string | undefined {
  return demo ? `demo?token=${encodeURIComponent(token)}` : undefined;
}

/** Without the fields that say nothing. */
function defined<T extends object>(value: T): { [K in keyof T]-?: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]-?: Exclude<T[K], undefined> };
}

/** The share of the last minutes that a worker spent in each state, the largest first. */
export function sharesOf(stretches: readonly Stretch[], at: number): readonly (readonly [WorkerState, number])[] {
  const begin = Math.max(at - TIMELINE_MS, stretches[0]?.from ?? at);
  const all = at - begin;
  if (all <= 0) return stretches.length > 0 ? [[stretches[stretches.length - 1].state, 1]] : [];
  const spent = new Map<WorkerState, number>();
  stretches.forEach(({ state, from }, i) => {
    const ms = (stretches[i + 1]?.from ?? at) - Math.max(from, begin);
    if (ms > 0) spent.set(state, (spent.get(state) ?? 0) + ms / all);
  });
  return [...spent].sort((a, b) => b[1] - a[1]);
}

/** A worker's last minutes in words. */
export function sharesText(stretches: readonly Stretch[], at: number): string {
  const shares = sharesOf(stretches, at).filter(([, share]) => share >= 0.005);
  return shares.map(([state, share]) => `${state} ${Math.round(100 * share)} %`).join(", ") || "just came";
}

/** How many workers do what. */
export function countsOf(workers: Iterable<Pick<Worker, "state">>): ReadonlyMap<WorkerState, number> {
  const counts = new Map<WorkerState, number>();
  for (const { state } of workers) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
}

export const sortKeys = [
  "worker",
  "name",
  "state",
  "samplesPerSecond",
  "samples",
  "down",
  "up",
  "rttMs",
  "adapter",
] as const;
export type SortKey = (typeof sortKeys)[number];

const collator = new Intl.Collator("en", { numeric: true });

/** The workers that a filter leaves, in the order of a column; who has no number there comes last. */
export function shownWorkers(
  workers: Iterable<Worker>,
  { filter, key, down }: { readonly filter: string; readonly key: SortKey; readonly down: boolean },
): Worker[] {
  const wanted = filter.trim().toLowerCase();
  const matches = ({ worker, name, adapter, state, account }: Worker) =>
    wanted === "" || [worker, name, adapter, state, account].some((text) => text.toLowerCase().includes(wanted));
  const sign = down ? -1 : 1;
  return [...workers].filter(matches).sort((a, b) => {
    const [x, y] = [a[key], b[key]];
    if (x === null || y === null) return x === y ? collator.compare(a.worker, b.worker) : x === null ? 1 : -1;
    const order = typeof x === "number" && typeof y === "number" ? x - y : collator.compare(String(x), String(y));
    return order === 0 ? collator.compare(a.worker, b.worker) : sign * order;
  });
}

/** Events of these kinds with this text, the newest first. */
export function shownEvents(events: readonly EventLine[], kind: string, filter: string): readonly EventLine[] {
  const wanted = filter.trim().toLowerCase();
  return events
    .filter((event) => (kind === "" || event.kind === kind) && event.text.toLowerCase().includes(wanted))
    .reverse();
}
