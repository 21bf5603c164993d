// Says in one line what a session event means, for a terminal or a console; most events need no line.

import { rangesInWords } from "../../shared/wire/lease-ranges.ts";
import type { TuningEvent } from "../tuning/tuning-event.ts";
import type { PauseReason, SessionEvent } from "./session-event.ts";

/** A function from each event of one session to its line, or undefined. It remembers what it said last. */
export function eventLines(): (event: SessionEvent) => string | undefined {
  let said = "";
  let adapter = "";
  let measurements = 0;
  return (event) => {
    switch (event.type) {
      case "adapter": {
        const again = adapter !== "";
        adapter = `${event.description}${event.software ? " (software)" : ""}`;
        return again ? `the GPU was lost and is back: ${adapter}` : undefined;
      }
      case "joined":
        return `joined ${event.name} as ${event.worker}, computing on ${adapter}`;
      case "contributed": {
        const { lease, samples, leases, samplesPerSecond } = event;
        if (lease.film !== undefined) {
          return `${lease.doing} done; ${samples} frames of ${leases === 1 ? "1 film" : `${leases} films`}, ${samplesPerSecond.toFixed(1)} frames/s`;
        }
        const what = `${lease.doing}, positions ${rangesInWords(lease.ranges)}`;
        return `lease ${lease.lease} done: ${what}; ${samples} samples in ${leases} leases, ${samplesPerSecond.toFixed(0)} samples/s`;
      }
      case "status": {
        const scores = Object.values(event.status.scores).map(
          ({ title, name, text }) => `${name} of the ${title}: ${text}`,
        );
        const line = scores.join(", ");
        if (line === said) return undefined;
        said = line;
        return line;
      }
      case "tuning":
        return tuningLine(event);
      case "duty": {
        const { asked, measured } = event;
        measurements = measured === undefined ? 0 : measurements + 1;
        if (measured !== undefined && measurements !== TELLING_MEASUREMENT) return undefined;
        if (asked === 1) return "the GPU computes as fast as it can";
        const wanted = `at most ${percent(asked)} of the time`;
        return measured === undefined
          ? `the GPU computes ${wanted}`
          : `the GPU computes ${percent(measured)} of the time, of ${wanted}`;
      }
      // Buttons and reconnecting say so.
      case "wish":
      case "identity":
      case "traffic":
      case "kept":
        return undefined;
      case "trouble":
        return `trouble ${event.code}: ${event.message}`;
      case "state":
        return stateLine(event.state);
      default:
        return event satisfies never;
    }
  };
}

/** Of the measured shares of the GPU's time one is told: by then it is that of several seconds. */
const TELLING_MEASUREMENT = 5;
const percent = (share: number) => `${Math.round(100 * share)} %`;
const passesOf = (count: number) => (count === 1 ? "1 convolution pass" : `${count} convolution passes`);

const pauseLines: Readonly<Record<PauseReason, string>> = {
  volunteer: "paused",
  battery: "paused: this machine runs on its battery",
  hidden: "paused: the page is not visible",
};

function tuningLine(event: TuningEvent): string | undefined {
  switch (event.stage) {
    case "measuring":
      return event.done === 0 ? `tuning kernels for this GPU: ${passesOf(event.passes)} not measured yet` : undefined;
    case "measured": {
      const left = event.left > 0 ? `; ${event.left} left for another time` : "";
      return `tuned ${passesOf(event.passes)}${left}${leftOut(event.refused)}`;
    }
    case "compiling":
      return compilingLine(event);
    case "improving":
      return improvingLine(event);
    case "checking":
      return `checking the kernels of ${passesOf(event.passes)} against plain ones`;
    case "checked":
      return `checked ${passesOf(event.passes)}${leftOut(event.refused) || ": all are right"}`;
    case "unkept":
      return `tuning: ${event.message}`;
    default:
      return event satisfies never;
  }
}

/** At the beginning, at the end, and a few in between. */
function compilingLine({ done, total }: Extract<TuningEvent, { stage: "compiling" }>): string | undefined {
  const every = Math.max(8, Math.ceil(total / 4));
  if (done > 0 && done < total && done % every !== 0) return undefined;
  return `preparing this GPU: ${done} of ${total} shaders compiled`;
}

/** At the beginning and at the end: it computes meanwhile, and says so by its leases. */
function improvingLine({ done, total }: Extract<TuningEvent, { stage: "improving" }>): string | undefined {
  if (done === total) return `computing with ${total === 1 ? "the faster kernel" : `all ${total} faster kernels`}`;
  return done === 0
    ? `computing; getting faster: ${total === 1 ? "1 kernel" : `${total} kernels`} to compile`
    : undefined;
}

function leftOut(refused: readonly string[]): string {
  return refused.length > 0 ? `; left out on this GPU: ${refused.join(", ")}` : "";
}

function stateLine(state: Extract<SessionEvent, { type: "state" }>["state"]): string | undefined {
  switch (state.kind) {
    case "connecting":
    case "joining":
    case "preparing":
    case "waiting":
    case "computing":
      return undefined;
    case "paused":
      return pauseLines[state.why];
    case "reconnecting":
      return `${state.code}: ${state.message}; trying again in ${(state.delayMs / 1000).toFixed(1)} s`;
    case "ended":
      return state.message;
    case "failed":
      return `error ${state.code}: ${state.message}`;
    default:
      return state satisfies never;
  }
}
