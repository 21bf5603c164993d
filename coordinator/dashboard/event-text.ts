// What an event is to somebody who looks on, in words: no folder of this machine, and no address of a visitor.

import { rangesInWords } from "../../shared/wire/lease-ranges.ts";
import { printable } from "../base/printable.ts";
import type { RunEvent } from "../engine/run-event.ts";

/** Characters of a reason. */
const REASON = 240;

const accounts = (all: readonly string[]) => all.map((account) => account.slice(0, 8)).join(", ");

/** Undefined for steps, which the curves show, and for what a coordinator says when it ends. */
export function eventText(event: RunEvent): string | undefined {
  switch (event.type) {
    case "step":
    case "totals":
      return undefined;
    case "evaluation":
      return `after step ${event.step} the ${event.network} gets ${event.score.sentence}`;
    case "checkpoint":
      return `checkpoint of step ${event.step}`;
    case "resumed":
      return `resumed from step ${event.step}`;
    case "undone":
      return `steps ${event.to + 1} to ${event.step} are undone and computed again without ${accounts(event.accounts)}: ${printable(event.message, REASON)}`;
    case "joined": {
      const { description, vendor, software } = event.adapter;
      const device = printable(description || vendor || "an unnamed adapter");
      const who = `${printable(event.name || "no name")}, ${event.runtime}, ${device}`;
      return `${event.worker} joined: ${who}${software ? " (software)" : ""}`;
    }
    case "calibrated":
      return `${event.worker}'s sums are right, after ${Math.round(event.elapsedMs)} ms`;
    case "left":
      return `${event.worker} left (${event.code}: ${printable(event.message, REASON)})`;
    case "worker-suspended":
      return `${event.worker} lost its connection (${event.code}: ${printable(event.message, REASON)}); its lease waits for it`;
    case "worker-resumed":
      return `${event.worker} is back`;
    case "turned-away":
      return `somebody was turned away (${event.code}: ${printable(event.message, REASON)})`;
    case "returned": {
      const detail = event.detail ? `: ${printable(event.detail, REASON)}` : "";
      return `${event.worker} gave its lease back (${event.reason}${detail})`;
    }
    case "refused":
      return `${event.worker}: contribution refused, ${event.code}: ${printable(event.message, REASON)}`;
    case "requeued":
      return `positions ${rangesInWords(event.ranges)} of ${event.worker} are leased again (${event.cause})`;
    case "backed-up":
      return `${event.worker} computes positions ${rangesInWords(event.ranges)}, too, which ${event.of} has not answered`;
    case "carried":
      return `${event.samples} samples of step ${event.step} were late and go to the next`;
    case "audited": {
      const wrong = event.wrong.length > 0 ? `, against ${accounts(event.wrong)}` : "";
      return `an audit of positions ${rangesInWords(event.ranges)} confirmed ${accounts(event.right) || "nobody"}${wrong}`;
    }
    case "rests":
      return `account ${accounts([event.account])} computes otherwise than others: it rests for ${Math.round(event.ms / 1000)} s`;
    case "repeated":
      return `and ${event.times} more in the last ${event.seconds} s: ${event.of}`;
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
