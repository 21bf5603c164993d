// Which events are worth a line: the first of each kind, and of each account or address, are; of what strangers do over
// and over there is a count each minute, and a sum at the end. The log and the terminal grow with time, not with them.

import type { Clock } from "../../shared/base/clock.ts";
import { fullBucket, isFull, type Rate, type TokenBucket, takeToken } from "../base/token-bucket.ts";
import type { RunEvent } from "../engine/run-event.ts";

type Kind = RunEvent["type"];

const perMinute = (lines: number) => lines / 60;
/** Lines of one kind, whoever makes them. */
export const KIND_LINES: Rate = { perSecond: perMinute(10), burst: 100 };
/** Lines of one kind that one account or address makes. */
export const SOURCE_LINES: Rate = { perSecond: perMinute(1), burst: 10 };
/** Audits, each of which costs whoever is audited a lease: enough for all of a small run. */
export const AUDIT_LINES: Rate = { perSecond: perMinute(10), burst: 2000 };
/** Between two words on what had no line. */
export const SUMMARY_EVERY_MS = 60_000;
/** Accounts and addresses, times kinds, that are counted apart; beyond them the kind's budget alone holds. */
export const SOURCES_COUNTED = 4096;

/** Lines of each kind; those of the run's own doing have no limit but its steps. */
const rates: Readonly<Record<Kind, Rate | undefined>> = {
  step: undefined,
  evaluation: undefined,
  checkpoint: undefined,
  resumed: undefined,
  undone: undefined,
  leads: undefined,
  follows: undefined,
  carried: undefined,
  repeated: undefined,
  totals: undefined,
  joined: KIND_LINES,
  calibrated: KIND_LINES,
  left: KIND_LINES,
  "worker-suspended": KIND_LINES,
  "worker-resumed": KIND_LINES,
  "turned-away": KIND_LINES,
  returned: KIND_LINES,
  refused: KIND_LINES,
  requeued: KIND_LINES,
  "backed-up": KIND_LINES,
  audited: AUDIT_LINES,
  rests: KIND_LINES,
  notice: KIND_LINES,
};

/** Characters of one text in a line that strangers cause. */
const LINE_CHARACTERS = 256;

export interface EventBudgetOptions {
  readonly clock: Pick<Clock, "now" | "every">;
  /** Takes the events that are worth a line, in their order. */
  readonly onLine: (event: RunEvent) => void;
}

export class EventBudget {
  readonly #options: EventBudgetOptions;
  readonly #stop: () => void;
  readonly #kinds = new Map<Kind, TokenBucket>();
  readonly #sources = new Map<string, TokenBucket>();
  readonly #accounts = new Map<string, string>();
  /** Events that had no line since the last word on them. */
  readonly #untold = new Map<Kind, number>();
  #untoldSince: number;
  readonly #totals = new Map<Kind, number>();

  constructor(options: EventBudgetOptions) {
    this.#options = options;
    this.#untoldSince = options.clock.now();
    this.#stop = options.clock.every(SUMMARY_EVERY_MS, () => this.#sum());
  }

  take(event: RunEvent): void {
    const { type } = event;
    this.#totals.set(type, (this.#totals.get(type) ?? 0) + 1);
    const source = this.#sourceOf(event);
    if (event.type === "left") this.#accounts.delete(event.worker);
    if (this.#isWorthALine(type, source))
      this.#options.onLine(rates[type] && type !== "notice" ? shortened(event) : event);
    else this.#untold.set(type, (this.#untold.get(type) ?? 0) + 1);
  }

  /** Tells what had no line, and how many events there were of each kind. */
  close(): void {
    this.#stop();
    this.#sum();
    this.#options.onLine({ type: "totals", events: Object.fromEntries(this.#totals) });
  }

  /** The account or address behind an event, where one is. */
  #sourceOf(event: RunEvent): string | undefined {
    switch (event.type) {
      case "joined":
        this.#accounts.set(event.worker, event.account);
        return event.account;
      case "turned-away":
        return event.address;
      case "rests":
        return event.account;
      default:
        return "worker" in event ? this.#accounts.get(event.worker) : undefined;
    }
  }

  #isWorthALine(type: Kind, source: string | undefined): boolean {
    const rate = rates[type];
    if (!rate) return true;
    const now = this.#options.clock.now();
    const key = `${type} ${source}`;
    const known = this.#sources.get(key);
    const counted = source !== undefined && (known !== undefined || this.#sources.size < SOURCES_COUNTED);
    const ofSource = counted ? takeToken(known ?? fullBucket(now, SOURCE_LINES), now, SOURCE_LINES) : undefined;
    if (ofSource?.kind === "empty") return false;
    const ofKind = takeToken(this.#kinds.get(type) ?? fullBucket(now, rate), now, rate);
    this.#kinds.set(type, ofKind.bucket);
    if (ofKind.kind === "empty") return false;
    if (ofSource) this.#sources.set(key, ofSource.bucket);
    return true;
  }

  #sum(): void {
    const { clock, onLine } = this.#options;
    const now = clock.now();
    const seconds = Math.round((now - this.#untoldSince) / 1000);
    for (const [of, times] of this.#untold) onLine({ type: "repeated", of, times, seconds });
    this.#untold.clear();
    this.#untoldSince = now;
    for (const [key, bucket] of this.#sources) if (isFull(bucket, now, SOURCE_LINES)) this.#sources.delete(key);
  }
}

/** The event with its texts, which may be strangers', no longer than a line has room for. */
function shortened<T>(value: T): T {
  if (typeof value === "string" && value.length > LINE_CHARACTERS) return `${value.slice(0, LINE_CHARACTERS)}…` as T;
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, shortened(one)])) as T;
}
