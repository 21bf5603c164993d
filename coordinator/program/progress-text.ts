// A run's progress in words for a terminal: pure functions from the status and the events to lines.

import { bytesText } from "../../shared/base/bytes-text.ts";
import { cut, displayWidth, filled } from "../../shared/base/terminal-text.ts";
import { rangesInWords } from "../../shared/wire/lease-ranges.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import { printable } from "../base/printable.ts";
import type { RunEvent } from "../engine/run-event.ts";
import type { Style } from "./paint.ts";

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

/** Each with its value. */
function lossParts({ loss, batchScore }: Pick<RunStatus, "loss" | "batchScore">): string[] {
  const values = Object.entries(loss).map(([name, value]) => `${name} ${value.toPrecision(3)}`);
  if (batchScore) values.push(`batch ${batchScore.name} ${batchScore.text}`);
  return values.length === 0 ? ["no step yet"] : values;
}

/** Of the time in which somebody worked; nothing was measured where it is 0. */
function speedText({ samplesPerSecond }: Pick<RunStatus, "samplesPerSecond">): string {
  if (samplesPerSecond <= 0) return "– samples/s";
  return `${samplesPerSecond < 1 ? samplesPerSecond.toPrecision(1) : Math.round(samplesPerSecond)} samples/s`;
}

/** What each volunteer fetches, by how its network's weights travel. */
export function downlinkText({ bitsPerWeight, wholeBytes, updateBytes }: NonNullable<RunStatus["downlink"]>): string {
  const bits = Number(bitsPerWeight.toPrecision(3));
  const update = updateBytes === null ? "at most that" : bytesText(updateBytes);
  return `a volunteer fetches ${bytesText(wholeBytes)} on joining (${bits} bit${bits === 1 ? "" : "s"} a weight), ${update} a step`;
}

/** What a step costs a worker's line and the coordinator's event loop; nothing before the first. */
export function costText({ bytesPerWorker, loopDelayMs }: RunStatus): string | undefined {
  if (!bytesPerWorker) return undefined;
  const { down, up } = bytesPerWorker;
  const delay = loopDelayMs ? `; event loop late by ${loopDelayMs.max} ms at most` : "";
  return `last step: ${bytesText(down)} down and ${bytesText(up)} up a worker${delay}`;
}

/** When it ends, and what of that is a guess; not a word of it before something was measured. */
function etaParts({ etaSeconds, eta }: Pick<RunStatus, "etaSeconds" | "eta">): string[] {
  if (etaSeconds === null) return ["ETA –"];
  const { evaluations = 0, guessed = [] } = eta ?? {};
  const about = guessed.length > 0 ? "about " : "";
  const within = evaluations > 0 ? ` with ${count(evaluations, "evaluation")}` : "";
  const titles = guessed.map((title) => printable(title)).join(", ");
  return [`ETA ${about}${duration(etaSeconds)}${within}`, ...(titles === "" ? [] : [`(not measured yet: ${titles})`])];
}

/** A share as a bar of so many columns. */
export function bar(share: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return "█".repeat(full) + "░".repeat(width - full);
}

/** A status may be another machine's, by a link that somebody gave away. */
function shownTexts({ name, phase, reason }: RunStatus) {
  const most = 1000;
  return { name: printable(name, most), phase: printable(phase, most), reason: printable(reason, most) };
}

/** Before what a line goes on with. */
const INDENT = "      ";
/** Columns of the bar, and of what stands beside it at least. */
const BAR = { least: 4, most: 30, beside: 57 } as const;

/** The block that a terminal redraws; each line is narrower than `columns`, and broken between its parts. */
export function statusBlock(status: RunStatus, columns: number): string[] {
  const { step, steps, workers } = status;
  const { name, phase, reason } = shownTexts(status);
  const share = steps === 0 ? 1 : step / steps;
  const stopping = status.state === "stopping" ? "stopping, " : "";
  const width = columns - 1;
  const drawn = bar(share, Math.min(BAR.most, Math.max(BAR.least, columns - BAR.beside)));
  const lines = (parts: readonly string[], separator = "  ") => filled(parts, width, separator, INDENT);
  const speed = `${speedText(status)}  ${count(workers, "worker")}`;
  const whole = `${speed}  ${reason}`;
  return [
    `${name}: ${stopping}${phase}`,
    ...lines([`${drawn} step ${step}/${steps}`, percent(share), ...etaParts(status)]),
    ...lines(["loss", ...lossParts(status)]),
    ...(displayWidth(whole) <= width ? [whole] : [speed, ...filled(reason.split(" "), width, " ", INDENT)]),
  ].map((line) => cut(line, width));
}

/** The same in one line, for logs. */
export function statusLine(status: RunStatus): string {
  const { step, steps, workers, loss } = status;
  const { phase, reason } = shownTexts(status);
  const total = loss.total === undefined ? "" : `  loss ${loss.total.toPrecision(3)}`;
  const speed = speedText(status);
  return `step ${step}/${steps}  ${phase}${total}  ${speed}  ${count(workers, "worker")}  ${etaParts(status)[0]}  ${reason}`;
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

/** Accounts that a line names. */
const NAMED_ACCOUNTS = 3;

/** What a session says that was left in order. */
const GOODBYE = "goodbye";

/** One line, whatever the worker had in hand. */
function leftLine({ worker, code, message }: Extract<RunEvent, { type: "left" }>): string {
  const why = printable(message, REASON_CHARACTERS);
  if (code === "LEFT") return message === GOODBYE ? `${worker} left` : `${worker} left: ${why}`;
  if (code === "GONE") return `${worker} is gone: ${why}`;
  return `${worker} left (${code}: ${why})`;
}

/** The line of an event; nothing for those that the status shows, and for connections that came to nothing. */
export function eventLine(event: RunEvent): string | undefined {
  switch (event.type) {
    case "step":
    case "turned-away":
    case "calibrated":
    case "audited":
    // With many volunteers there are some in every step; events.ndjson has some, and their number.
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
    case "undone": {
      const { step, to, accounts } = event;
      const named = accounts.slice(0, NAMED_ACCOUNTS).map((account) => account.slice(0, 8));
      const more = accounts.length > named.length ? ` and ${accounts.length - named.length} more` : "";
      return `steps ${to + 1} to ${step} are undone: gradients were not finite after work of ${named.join(", ")}${more}, who rest; it is left out and computed again`;
    }
    case "resumed":
      return `resumed from step ${event.step}: ${event.path}`;
    case "joined": {
      const { description, vendor, software } = event.adapter;
      const adapter = printable(description || vendor || "an unnamed adapter");
      const who = `${printable(event.name || "no name")}, ${event.runtime}, ${adapter}`;
      return `${event.worker} joined: ${who}${software ? " (software)" : ""}`;
    }
    case "left":
      return leftLine(event);
    case "worker-suspended":
      return `${event.worker} lost its connection (${event.code}: ${printable(event.message, REASON_CHARACTERS)}); its lease waits for it`;
    case "worker-resumed":
      return `${event.worker} is back`;
    case "returned":
      // That it leaves is the next line.
      if (event.reason === "leave") return undefined;
      return `${event.worker} gave its lease back (${event.reason}${event.detail ? `: ${printable(event.detail, REASON_CHARACTERS)}` : ""})`;
    case "refused":
      return `${event.worker}: contribution refused, ${event.code}: ${printable(event.message, REASON_CHARACTERS)}`;
    case "requeued":
      // Of what else takes a lease away there is a line already.
      if (event.cause !== "expired") return undefined;
      return `positions ${rangesInWords(event.ranges)} of ${event.worker} are leased again (${event.cause})`;
    case "rests":
      return `account ${event.account.slice(0, 8)} computes otherwise than others: it rests for ${duration(event.ms / 1000)}`;
    case "leads":
      return `${event.id} leads from step ${event.step} on (epoch ${event.epoch})`;
    case "follows":
      return `${event.id} stands by at step ${event.step}: ${event.leader ?? "nobody yet"} leads`;
    case "notice":
      return event.message;
    default:
      return event satisfies never;
  }
}

/** How an event's line stands out: what is nobody's doing does not, what costs work does. */
export function eventStyle({ type }: RunEvent): Style | undefined {
  switch (type) {
    case "joined":
    case "left":
    case "checkpoint":
    case "worker-suspended":
    case "worker-resumed":
    case "returned":
    case "repeated":
      return "dim";
    case "refused":
    case "requeued":
    case "rests":
      return "yellow";
    case "undone":
      return "red";
    default:
      return undefined;
  }
}
