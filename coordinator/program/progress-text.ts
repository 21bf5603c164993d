// A run's progress in words for a terminal: pure functions from the status and the events to lines.

import type { RunStatus } from "../../shared/wire/protocol.ts";
import { printable } from "../base/printable.ts";
import type { RunEvent } from "../engine/run-event.ts";

/** `3 min 12 s`, `1 h 5 min`, `8 s`. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

function lossText({ loss, batchScore }: Pick<RunStatus, "loss" | "batchScore">): string {
  const values = Object.entries(loss).map(([name, value]) => `${name} ${value.toPrecision(3)}`);
  if (batchScore) values.push(`batch ${batchScore.name} ${batchScore.text}`);
  return values.length === 0 ? "no step yet" : values.join("  ");
}

/** `9.1 kB`, `1.56 MB`. */
function bytesText(bytes: number): string {
  return bytes < 1e6 ? `${(bytes / 1e3).toPrecision(3)} kB` : `${(bytes / 1e6).toPrecision(3)} MB`;
}

/** What a step costs a worker's line and the coordinator's event loop; nothing before the first. */
export function costText({ bytesPerWorker, loopDelayMs }: RunStatus): string | undefined {
  if (!bytesPerWorker) return undefined;
  const { down, up } = bytesPerWorker;
  const delay = loopDelayMs ? `; event loop late by ${loopDelayMs.max} ms at most` : "";
  return `last step: ${bytesText(down)} down and ${bytesText(up)} up a worker${delay}`;
}

function etaText({ etaSeconds }: RunStatus): string {
  return etaSeconds === null ? "ETA unknown" : `ETA ${duration(etaSeconds)}`;
}

function bar(share: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return "█".repeat(full) + "░".repeat(width - full);
}

/** A status may be another machine's, by a link that somebody gave away. */
function shownTexts({ name, phase, reason }: RunStatus) {
  const most = 1000;
  return { name: printable(name, most), phase: printable(phase, most), reason: printable(reason, most) };
}

/** The block that a terminal redraws; each line fits `columns`. */
export function statusBlock(status: RunStatus, columns: number): string[] {
  const { step, steps, workers, samplesPerSecond } = status;
  const { name, phase, reason } = shownTexts(status);
  const share = steps === 0 ? 1 : step / steps;
  const stopping = status.state === "stopping" ? "stopping, " : "";
  return [
    `${name}: ${stopping}${phase}`,
    `${bar(share, Math.min(30, Math.max(10, columns - 50)))} step ${step}/${steps}  ${percent(share)}  ${etaText(status)}`,
    `loss  ${lossText(status)}`,
    `${Math.round(samplesPerSecond)} samples/s  ${count(workers, "worker")}  ${reason}`,
  ].map((line) => (line.length < columns ? line : `${line.slice(0, Math.max(0, columns - 2))}…`));
}

/** The same in one line, for logs. */
export function statusLine(status: RunStatus): string {
  const { step, steps, workers, samplesPerSecond, loss } = status;
  const { phase, reason } = shownTexts(status);
  const total = loss.total === undefined ? "" : `  loss ${loss.total.toPrecision(3)}`;
  const speed = `${Math.round(samplesPerSecond)} samples/s`;
  return `step ${step}/${steps}  ${phase}${total}  ${speed}  ${count(workers, "worker")}  ${etaText(status)}  ${reason}`;
}

/** What a code's message, which says what to do next, may take of a line. */
const REASON_CHARACTERS = 300;

/** What events are called where there are more of them than lines; nothing for those that the terminal never shows. */
const manyOf: Readonly<Partial<Record<string, string>>> = {
  joined: "workers that joined",
  left: "workers that left",
  "worker-suspended": "connections that were lost",
  "worker-resumed": "workers that came back",
  returned: "leases that were given back",
  refused: "contributions that were refused",
  requeued: "ranges that are leased again",
  rests: "accounts that rest",
  notice: "notices",
};

/** The line of an event; nothing for those that the status shows, and for connections that came to nothing. */
export function eventLine(event: RunEvent): string | undefined {
  switch (event.type) {
    case "step":
    case "turned-away":
    case "calibrated":
    case "audited":
    // With many volunteers there are some in every step; events.ndjson has them.
    case "backed-up":
    case "carried":
    case "totals":
      return undefined;
    case "repeated": {
      const what = manyOf[event.of];
      return what && `and ${event.times} more in the last ${duration(event.seconds)}: ${what}`;
    }
    case "evaluation":
      return `evaluation after step ${event.step}: the ${event.network} gets ${event.score.sentence}`;
    case "checkpoint":
      return `checkpoint of step ${event.step}: ${event.path}`;
    case "resumed":
      return `resumed from step ${event.step}: ${event.path}`;
    case "joined": {
      const { description, vendor, software } = event.adapter;
      const adapter = printable(description || vendor || "an unnamed adapter");
      const who = `${printable(event.name || "no name")}, ${event.runtime}, ${adapter}`;
      return `${event.worker} joined: ${who}${software ? " (software)" : ""}`;
    }
    case "left":
      return `${event.worker} left (${event.code}: ${printable(event.message, REASON_CHARACTERS)})`;
    case "worker-suspended":
      return `${event.worker} lost its connection (${event.code}: ${printable(event.message, REASON_CHARACTERS)}); its lease waits for it`;
    case "worker-resumed":
      return `${event.worker} is back`;
    case "returned":
      return `${event.worker} gave its lease back (${event.reason}${event.detail ? `: ${printable(event.detail, REASON_CHARACTERS)}` : ""})`;
    case "refused":
      return `${event.worker}: contribution refused, ${event.code}: ${printable(event.message, REASON_CHARACTERS)}`;
    case "requeued":
      return `[${event.from}, ${event.to}) of ${event.worker} is leased again (${event.cause})`;
    case "rests":
      return `account ${event.account.slice(0, 8)} computes otherwise than others: it rests for ${duration(event.ms / 1000)}`;
    case "notice":
      return event.message;
    default:
      return event satisfies never;
  }
}
