// What the page says, in words.

import type { Box } from "../../../shared/tracking/box.ts";
import type { Phase } from "./phase.ts";

/** What to do, or what happens. */
export function phaseText(phase: Phase, lost: boolean, camera: boolean): string {
  switch (phase) {
    case "empty":
      return camera ? "Waiting for the camera's picture." : "Choose a film, or the camera.";
    case "aiming":
      return "Drag a box around what is to be followed.";
    case "following":
      return lost ? "The target may be lost: drag a new box around it." : "Following.";
    case "paused":
      return "Paused.";
    case "over":
      return "The film is over: drag a box to follow something in it again.";
    default:
      return phase satisfies never;
  }
}

export function paceText(perSecond: number | undefined, rate: number): string {
  if (perSecond === undefined) return "";
  const speed = rate < 1 ? `; the film plays at 1/${Math.round(1 / rate)} of its speed to keep up` : "";
  return `${perSecond < 10 ? perSecond.toFixed(1) : Math.round(perSecond)} frames a second${speed}`;
}

export function sureText(share: number | undefined, lost: boolean): string {
  if (share === undefined) return "–";
  return lost ? `${Math.round(100 * share)} %: it may have lost the target` : `${Math.round(100 * share)} %`;
}

/** Sizes that a tracker looks at, the smallest first. */
export function scaleName(scale: number, scales: number): string {
  const middle = (scales - 1) / 2;
  return scale < middle ? "smaller" : scale > middle ? "larger" : "same size";
}

/** In pixels of the frame. */
export function boxText(box: Box | undefined): string {
  if (box === undefined) return "–";
  const [x, y, w, h] = [box.x, box.y, box.w, box.h].map(Math.round);
  return `${w} × ${h} pixels at ${x}, ${y}`;
}
