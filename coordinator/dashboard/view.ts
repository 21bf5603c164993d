// What there is to see of a run at a moment, and what of it is another than the moment before: pure functions, which a
// thousand workers go through once a second.

import { printable } from "../base/printable.ts";
import type { WorkerWatch } from "../engine/run-watch.ts";
import {
  type EventLine,
  type ViewChange,
  type WholeView,
  type WorkerFacts,
  type WorkerRow,
  type WorkerState,
  workerStates,
} from "./feed-message.ts";

/** What a socket says of a worker. */
export interface WorkerVitals {
  readonly connected: boolean;
  /** Undefined before the first pong. */
  readonly rttMs: number | undefined;
  /** Of contributions that have come in part. */
  readonly uploadBytes: number;
  /** What its socket carried since it joined. */
  readonly bytes: { readonly down: number; readonly up: number };
}

/** Digits of an account that are shown: enough to tell a run's apart. */
const ACCOUNT_DIGITS = 12;
/** Characters of a stranger's text. */
const TEXT_CHARACTERS = 80;

export function stateOf({ activity, overdue, leases }: WorkerWatch, vitals: WorkerVitals | undefined): WorkerState {
  if (activity === "away" || vitals?.connected === false) return "away";
  // With a second lease in hand its device computes while the answer to the first is on the way.
  const uploads = (vitals?.uploadBytes ?? 0) > 0 && leases <= 1;
  if (uploads) return "uploading";
  return overdue ? "stalled" : activity;
}

export function factsOf({ worker, account, name, runtime, adapter, own }: WorkerWatch): WorkerFacts {
  const { vendor, architecture, description, software } = adapter;
  const device = description || [vendor, architecture].filter(Boolean).join(" ");
  return {
    worker,
    account: account.slice(0, ACCOUNT_DIGITS),
    name: printable(name, TEXT_CHARACTERS),
    runtime,
    adapter: printable(device, TEXT_CHARACTERS),
    software,
    own,
  };
}

/** Three digits are what a person reads. */
const short = (value: number) => Number(value.toPrecision(3));

export function rowOf(watch: WorkerWatch, vitals: WorkerVitals | undefined): WorkerRow {
  const { worker, draining, samplesPerSecond, held, samples, audits } = watch;
  return [
    worker,
    workerStates.indexOf(stateOf(watch, vitals)),
    draining ? 1 : 0,
    samplesPerSecond === null ? null : short(samplesPerSecond),
    held,
    samples,
    vitals?.rttMs === undefined ? null : Math.round(vitals.rttMs),
    audits?.confirmed ?? null,
    audits?.against ?? 0,
    short(vitals?.bytes.down ?? 0),
    short(vitals?.bytes.up ?? 0),
  ];
}

/** All that is shown of a run, as it was sent last. */
export interface View extends Omit<WholeView, "type" | "driven" | "facts" | "rows" | "past" | "events"> {
  /** By worker. */
  readonly facts: ReadonlyMap<string, WorkerFacts>;
  readonly rows: ReadonlyMap<string, WorkerRow>;
}

function sameRow(a: WorkerRow, b: WorkerRow): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

/** @param events that came since; @returns undefined where nothing changed */
export function changeOf(before: View, now: View, events: readonly EventLine[]): ViewChange | undefined {
  const facts: WorkerFacts[] = [];
  const rows: WorkerRow[] = [];
  for (const [worker, row] of now.rows) {
    const known = before.rows.get(worker);
    if (known && sameRow(known, row)) continue;
    rows.push(row);
    const told = known ? undefined : now.facts.get(worker);
    if (told) facts.push(told);
  }
  const left = [...before.rows.keys()].filter((worker) => !now.rows.has(worker));
  const change = {
    ...(same(before.status, now.status) ? {} : { status: now.status }),
    ...(same(before.operations, now.operations) ? {} : { operations: now.operations }),
    ...(same(before.pass, now.pass) ? {} : { pass: now.pass }),
    ...(same(before.history, now.history) ? {} : { history: now.history }),
    ...(same(before.traffic, now.traffic) ? {} : { traffic: now.traffic }),
    ...(facts.length > 0 ? { facts } : {}),
    ...(left.length > 0 ? { left } : {}),
    ...(rows.length > 0 ? { rows } : {}),
    ...(events.length > 0 ? { events: [...events] } : {}),
  };
  return Object.keys(change).length > 0 ? { type: "change", at: now.at, ...change } : undefined;
}
