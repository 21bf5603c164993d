// The feed of the dashboard: looks at the run once a second while somebody looks on, and sends everybody the same bytes
// of what changed. Who reads too slowly misses changes, and gets the whole again. What workers do is taken down every
// few seconds, whoever looks.

import type { Clock } from "../../shared/base/clock.ts";
import { BitswarmError, type Refusal } from "../../shared/base/errors.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import type { RunEvent } from "../engine/run-event.ts";
import type { RunWatch } from "../engine/run-watch.ts";
import { eventText } from "./event-text.ts";
import {
  type Command,
  type EventLine,
  type FeedMessage,
  MOST_EVENTS,
  pageMessageSchema,
  type WholeView,
} from "./feed-message.ts";
import { stripOf } from "./strip.ts";
import { Timelines } from "./timelines.ts";
import { changeOf, factsOf, rowOf, stateOf, type View, type WorkerVitals } from "./view.ts";

/** Between two looks at least. */
export const LOOK_EVERY_MS = 1000;
/** Of a core that looking and encoding may take: with more workers it looks less often. */
export const MOST_SHARE = 0.01;
/** Between two looks at most, however many workers there are. */
export const LOOK_AT_LEAST_EVERY_MS = 15_000;
/** A word at least so often, so that a page knows that the line is up. */
export const BEAT_EVERY_MS = 10_000;
/** Those who look on at a time. */
export const MOST_VIEWERS = 64;
/** Bytes that wait for one of them: it gets no more before it has read these. */
export const MOST_WAITING_BYTES = 2 ** 20;
/** Who has read nothing of them for so long is gone. */
export const GONE_AFTER_MS = 60_000;

/** Where what is seen comes from. */
export interface FeedSource {
  status(): RunStatus;
  watch(): RunWatch;
  vitals(): readonly (WorkerVitals & { readonly worker: string })[];
  /**
   * Does what is asked for, of a token that may; answers in words. Without it nobody drives the run.
   * @throws BitswarmError why not
   */
  readonly command?: (command: Command, token: string) => Promise<string>;
}

/** A page's socket. */
export interface Viewer {
  send(bytes: Uint8Array): void;
  /** Bytes that wait to be read. */
  readonly waitingBytes: number;
  /** Cuts it. */
  drop(): void;
}

interface Seat {
  /** Missed a change, and gets the whole when it has read what waits. */
  behind: boolean;
  /** Since when something waits for it. */
  slowSince: number | undefined;
}

/** What the curves show. */
const historyEvents: readonly RunEvent["type"][] = ["step", "evaluation", "undone"];

const encode = (message: FeedMessage): Uint8Array => Buffer.from(JSON.stringify(message));

export interface FeedOptions {
  readonly source: FeedSource;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly time: () => number;
}

export class Feed {
  readonly #options: FeedOptions;
  readonly #seats = new Map<Viewer, Seat>();
  readonly #events: EventLine[] = [];
  #eventCount = 0;
  /** Number of the first event that was not sent. */
  #unsent = 0;
  #traffic: View["traffic"] = null;
  #history = 0;
  #view: View | undefined;
  /** The whole of that view, once somebody needed it. */
  #whole: Uint8Array | undefined;
  #beatAt = 0;
  #stop: (() => void) | undefined;
  readonly #timelines = new Timelines();
  /** When what workers do may be looked at again, on the clock. */
  #noteAt = Number.NEGATIVE_INFINITY;

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  get viewers(): number {
    return this.#seats.size;
  }

  /**
   * Takes down what happened; costs next to nothing while nobody looks on.
   * @param time milliseconds since 1970; now unless given
   */
  event(event: RunEvent, time = this.#options.time()): void {
    if (event.type === "step") this.#traffic = { down: event.bytes.down, up: event.bytes.up };
    if (historyEvents.includes(event.type)) this.#history++;
    const text = eventText(event);
    if (text === undefined) return;
    this.#events.push({ id: this.#eventCount++, time, kind: event.type, text });
    if (this.#events.length > 2 * MOST_EVENTS) this.#events.splice(0, MOST_EVENTS);
  }

  /** There is more to see in the run's history, which somebody else writes. */
  historyGrew(): void {
    this.#history++;
  }

  /** Takes down what workers do, where nobody looks on: to be called once a second or so, and paced as looks are. */
  note(): void {
    const { source, clock, time } = this.#options;
    const began = clock.now();
    if (this.#seats.size > 0 || began < this.#noteAt || !this.#timelines.due(time())) return;
    const vitals = new Map(source.vitals().map((one) => [one.worker, one]));
    const { workers } = source.watch();
    this.#timelines.note(
      time(),
      workers.map((one) => [one.worker, stateOf(one, vitals.get(one.worker))]),
    );
    this.#noteAt = clock.now() + pause(clock.now() - began);
  }

  /** @throws RATE_LIMITED where too many look on already */
  join(viewer: Viewer): void {
    if (this.#seats.size >= MOST_VIEWERS) {
      const what = `${MOST_VIEWERS} pages look on already, which is the limit: close one`;
      throw new BitswarmError("RATE_LIMITED", what);
    }
    if (this.#seats.size === 0) this.#look();
    this.#seats.set(viewer, { behind: false, slowSince: undefined });
    viewer.send(this.#wholeBytes());
    if (!this.#stop) this.#plan(LOOK_EVERY_MS);
  }

  leave(viewer: Viewer): void {
    this.#seats.delete(viewer);
    if (this.#seats.size > 0) return;
    this.#stop?.();
    this.#stop = undefined;
    this.#view = undefined;
    this.#whole = undefined;
  }

  /**
   * Does what a page asks for, and answers it.
   * @param mayAct whether a token is the operator's @throws what it throws, MESSAGE_INVALID for what is no such message
   */
  hear(viewer: Viewer, bytes: string, mayAct: (token: string) => boolean): void {
    const message = pageMessageSchema.safeParse(parsed(bytes));
    if (!message.success) throw new BitswarmError("MESSAGE_INVALID", "a dashboard says commands, and this is none");
    const { id, token, command } = message.data;
    const { command: obey } = this.#options.source;
    const refused = ({ code, message: why }: Refusal) =>
      viewer.send(encode({ type: "refused", id, code, message: why }));
    if (!mayAct(token)) {
      const what = "the token is not the operator's: it stands in the file operator-token of the run's folder";
      refused({ code: "TOKEN_INVALID", message: what });
      return;
    }
    if (!obey) {
      refused({ code: "RUN_UNREACHABLE", message: "nobody drives the run now: what is shown is on its disk" });
      return;
    }
    obey(command, token).then(
      (done) => {
        // It may have left meanwhile.
        if (this.#seats.has(viewer)) viewer.send(encode({ type: "done", id, message: done }));
        this.tell();
      },
      (error) => {
        if (!(error instanceof BitswarmError)) throw error;
        if (this.#seats.has(viewer)) refused(error);
      },
    );
  }

  /** Looks now, and sends what changed. */
  tell(): void {
    if (this.#seats.size === 0) return;
    const { clock, time } = this.#options;
    const before = this.#view;
    const events = this.#events.filter(({ id }) => id >= this.#unsent);
    this.#look();
    const { at } = this.#view as View;
    const change = before && changeOf(before, this.#view as View, events);
    const beat = time() - this.#beatAt >= BEAT_EVERY_MS;
    const bytes = change ? encode(change) : beat ? encode({ type: "change", at }) : undefined;
    if (bytes) this.#beatAt = time();
    const now = clock.now();
    for (const [viewer, seat] of this.#seats) this.#sendTo(viewer, seat, bytes, now);
  }

  #sendTo(viewer: Viewer, seat: Seat, bytes: Uint8Array | undefined, now: number): void {
    const waiting = viewer.waitingBytes;
    seat.slowSince = waiting > 0 ? (seat.slowSince ?? now) : undefined;
    if (seat.slowSince !== undefined && now - seat.slowSince >= GONE_AFTER_MS) {
      this.leave(viewer);
      viewer.drop();
      return;
    }
    if (seat.behind ? waiting > 0 : waiting > MOST_WAITING_BYTES) {
      seat.behind = true;
      return;
    }
    if (seat.behind) viewer.send(this.#wholeBytes());
    else if (bytes) viewer.send(bytes);
    seat.behind = false;
  }

  #plan(ms: number): void {
    const { clock } = this.#options;
    this.#stop = clock.after(ms, () => {
      const began = clock.now();
      this.tell();
      if (this.#seats.size === 0) return;
      this.#plan(pause(clock.now() - began));
    });
  }

  #look(): void {
    const { source, time } = this.#options;
    const { pass, workers, paused, stopped = false, checkpointStep, checkpointWanted } = source.watch();
    const known = this.#view?.facts;
    const vitals = new Map(source.vitals().map((one) => [one.worker, one]));
    this.#view = {
      at: time(),
      status: source.status(),
      operations: { paused, stopped, checkpointStep, checkpointWanted },
      pass: stripOf(pass),
      history: this.#history,
      traffic: this.#traffic,
      facts: new Map(workers.map((one) => [one.worker, known?.get(one.worker) ?? factsOf(one)])),
      rows: new Map(workers.map((one) => [one.worker, rowOf(one, vitals.get(one.worker))])),
    };
    this.#timelines.note(
      time(),
      workers.map((one) => [one.worker, stateOf(one, vitals.get(one.worker))]),
    );
    this.#whole = undefined;
    this.#unsent = this.#eventCount;
  }

  #wholeBytes(): Uint8Array {
    this.#whole ??= encode(this.#wholeOf(this.#view as View));
    return this.#whole;
  }

  #wholeOf({ facts, rows, ...rest }: View): WholeView {
    const events = this.#events.filter(({ id }) => id < this.#unsent).slice(-MOST_EVENTS);
    const driven = this.#options.source.command !== undefined;
    const { cells: past } = this.#timelines;
    return { type: "whole", driven, ...rest, facts: [...facts.values()], rows: [...rows.values()], past, events };
  }
}

/** How long to wait after a look that took so long. */
export function pause(tookMs: number): number {
  return Math.min(LOOK_AT_LEAST_EVERY_MS, Math.max(LOOK_EVERY_MS, tookMs / MOST_SHARE));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
