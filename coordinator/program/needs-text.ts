// What a run needs, in lines for whoever starts it.

import { bytesText } from "../../shared/base/bytes-text.ts";
import { phaseNamed } from "../../shared/model/phases.ts";
import { downlinkBytes } from "../../shared/wire/downlink-bytes.ts";
import { type Crew, type Need, needOf, type PlannedRun, type RunWork } from "../run/run-needs.ts";
import { downlinkText } from "./progress-text.ts";

/** Days that are told where nobody names some. */
const usualDays = [1, 7, 30] as const;

const whole = (value: number) => Math.round(value).toLocaleString("en-US");

/** Two digits, or a whole number: "0.35", "240". */
function figure(value: number): string {
  return value >= 10 ? whole(value) : value.toPrecision(2);
}

const line = (bits: number) => `${figure(bits / 1e6)} Mbit/s`;

function crewText({ volunteers, speed, tooMany }: Crew): string {
  return `${whole(volunteers)}${tooMany ? "*" : ""} of ${speed}`;
}

function needText({ days, imagesPerSecond, sends, takes, crews }: Need): string {
  const middle = crews[Math.floor(crews.length / 2)];
  return `  in ${days === 1 ? "a day" : `${days} days`}: ${figure(imagesPerSecond)} images/s, so ${crews.map(crewText).join(", or ")}; the coordinator sends ${line(sends)} and takes ${line(takes)}, each volunteer of ${middle.speed} takes ${line(middle.down)} and sends ${line(middle.up)}`;
}

/** What each volunteer of the run's first phase fetches. */
export function downlinkLine({ config, networks, program }: Pick<PlannedRun, "config" | "networks" | "program">) {
  const phase = phaseNamed(program, program.passes[0]!.phase);
  return `In the phase ${phase.title} ${downlinkText({ ...downlinkBytes(networks, config, phase), updateBytes: null })}.`;
}

/** @param days of the wish; some usual ones unless given */
export function needsLines(work: RunWork, days?: number): readonly string[] {
  const { images, evaluated, passes, steps, passBytes, upBytes, downBytes, onceBytes, mostAtOnce } = work;
  const needs = (days === undefined ? usualDays : [days]).map((one) => needOf(work, one));
  const starred = needs.some(({ crews }) => crews.some(({ tooMany }) => tooMany));
  return [
    `What it needs: ${whole(images)} images through a network (${passes} passes, ${whole(steps)} steps${evaluated > 0 ? `, ${whole(evaluated)} in evaluations` : ""}). A pass is ${bytesText(passBytes)} of images, a lease's answer ${bytesText(upBytes)}, a step's parameters at most ${bytesText(downBytes)}${onceBytes > 0 ? `, the teacher ${bytesText(onceBytes)} once` : ""}.`,
    "Volunteers by the images/s that each computes, and what goes over the lines if nobody keeps images (who keeps them takes less):",
    ...needs.map(needText),
    ...(starred
      ? [
          `  * a step has ${whole(mostAtOnce)} leases at most (batch / microbatch): no more compute at a time. Raise batch, with the learning rate, or set sync.kind=local`,
        ]
      : []),
  ];
}
