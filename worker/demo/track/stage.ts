// The picture, the boxes in it, and the box that is being chosen: by pointer, or with the arrow keys.

import { h } from "preact";
import { useRef } from "preact/hooks";
import type { Box } from "../../../shared/tracking/box.ts";
import { draggedBox, firstBox, keyedBox, type Point, pointIn, type Size } from "./aim.ts";

/** Line and dashes of a network's box, in the order of the networks; and of the box that is being chosen. */
export const lines = [
  { colour: "#4cc2ff", dash: [] },
  { colour: "#ffb347", dash: [10, 6] },
] as const;
const AIM = { colour: "#ffffff", dash: [4, 4] } as const;

interface Line {
  readonly colour: string;
  readonly dash: readonly number[];
}

/** With a dark border, so that it is seen on any picture. */
function drawBox(
  context: CanvasRenderingContext2D,
  { x, y, w, h: height }: Box,
  { colour, dash }: Line,
  width: number,
) {
  context.setLineDash([]);
  context.lineWidth = width + 2;
  context.strokeStyle = "rgb(0 0 0 / 65%)";
  context.strokeRect(x, y, w, height);
  context.setLineDash([...dash]);
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.strokeRect(x, y, w, height);
}

/** @param boxes in the order of the networks */
export function drawStage(
  canvas: HTMLCanvasElement,
  picture: OffscreenCanvas,
  { width, height }: Size,
  boxes: readonly (Box | undefined)[],
  aim: Box | undefined,
): void {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  if (!context) return;
  context.drawImage(picture, 0, 0);
  const line = Math.max(2, Math.round(Math.min(width, height) / 160));
  boxes.forEach((box, i) => {
    if (box) drawBox(context, box, lines[i % lines.length]!, line);
  });
  if (aim) drawBox(context, aim, AIM, line);
}

export interface StageProps {
  readonly size: Size | undefined;
  readonly aim: Box | undefined;
  /** Whether a box is drawn already: Escape takes it away. */
  readonly onCanvas: (canvas: HTMLCanvasElement | null) => void;
  readonly onAim: (box: Box | undefined) => void;
  readonly onFollow: () => void;
  readonly onReset: () => void;
  readonly label: string;
}

export function Stage({ size, aim, onCanvas, onAim, onFollow, onReset, label }: StageProps) {
  const from = useRef<Point>(undefined);
  const pointOf = (event: PointerEvent, picture: Size) =>
    pointIn(event, (event.currentTarget as HTMLElement).getBoundingClientRect(), picture);
  const begin = (event: PointerEvent) => {
    if (event.button !== 0 || !size) return;
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    from.current = pointOf(event, size);
    onAim(draggedBox(from.current, from.current));
  };
  const move = (event: PointerEvent) => {
    if (from.current && size) onAim(draggedBox(from.current, pointOf(event, size)));
  };
  const end = () => {
    if (!from.current) return;
    from.current = undefined;
    onFollow();
  };
  const cancel = () => {
    from.current = undefined;
    onAim(undefined);
  };
  const key = (event: KeyboardEvent) => {
    if (!size) return;
    if (event.key === "Escape") {
      if (aim) onAim(undefined);
      else onReset();
      return;
    }
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (aim) onFollow();
      else onAim(firstBox(size));
      return;
    }
    const next = keyedBox(aim ?? firstBox(size), event.key, event.shiftKey, size);
    if (!next) return;
    event.preventDefault();
    onAim(next);
  };
  return h("canvas", {
    id: "stage",
    ref: onCanvas,
    width: 640,
    height: 360,
    tabIndex: 0,
    role: "application",
    "aria-label": label,
    "aria-describedby": "stage-help",
    onPointerDown: begin,
    onPointerMove: move,
    onPointerUp: end,
    onPointerCancel: cancel,
    onKeyDown: key,
  });
}
