// The field that is drawn on, white on black: by pointer, or with the arrow keys and space.

import { h } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

/** Pixels of the field's side, whatever size it is shown in. */
export const PAD_SIDE = 280;
const PEN = 22;
/** An arrow key's step. */
const STEP = 10;

interface Point {
  readonly x: number;
  readonly y: number;
}

const arrows: Readonly<Record<string, Point>> = {
  ArrowLeft: { x: -STEP, y: 0 },
  ArrowRight: { x: STEP, y: 0 },
  ArrowUp: { x: 0, y: -STEP },
  ArrowDown: { x: 0, y: STEP },
};

function inside(value: number): number {
  return Math.min(PAD_SIDE, Math.max(0, value));
}

export interface DrawingPadProps {
  /** Called with the field whenever something was drawn, and when it was cleared. */
  readonly onChange: (canvas: HTMLCanvasElement) => void;
}

export function DrawingPad({ onChange }: DrawingPadProps) {
  const field = useRef<HTMLCanvasElement>(null);
  const last = useRef<Point>(undefined);
  const [cursor, setCursor] = useState<Point & { readonly down: boolean }>();

  const clear = () => {
    const context = field.current?.getContext("2d", { willReadFrequently: true });
    if (!field.current || !context) return;
    context.fillStyle = "#000";
    context.fillRect(0, 0, PAD_SIDE, PAD_SIDE);
    onChange(field.current);
  };
  useEffect(clear, []);

  const line = (from: Point, to: Point) => {
    const context = field.current?.getContext("2d", { willReadFrequently: true });
    if (!field.current || !context) return;
    context.strokeStyle = "#fff";
    context.lineWidth = PEN;
    context.lineCap = "round";
    context.lineJoin = "round";
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x, to.y);
    context.stroke();
    onChange(field.current);
  };
  const pointOf = (event: PointerEvent): Point => {
    const { left, top, width, height } = (event.currentTarget as HTMLElement).getBoundingClientRect();
    return { x: ((event.clientX - left) / width) * PAD_SIDE, y: ((event.clientY - top) / height) * PAD_SIDE };
  };
  const begin = (event: PointerEvent) => {
    if (event.button !== 0) return;
    const point = pointOf(event);
    (event.currentTarget as HTMLElement).setPointerCapture(event.pointerId);
    last.current = point;
    setCursor(undefined);
    line(point, point);
  };
  const move = (event: PointerEvent) => {
    if (last.current === undefined) return;
    const point = pointOf(event);
    line(last.current, point);
    last.current = point;
  };
  const end = () => {
    last.current = undefined;
  };
  const key = (event: KeyboardEvent) => {
    const at = cursor ?? { x: PAD_SIDE / 2, y: PAD_SIDE / 2, down: false };
    const arrow = arrows[event.key];
    if (arrow === undefined && event.key !== " ") return;
    event.preventDefault();
    if (arrow === undefined) {
      if (!at.down) line(at, at);
      setCursor({ ...at, down: !at.down });
      return;
    }
    const to = { x: inside(at.x + arrow.x), y: inside(at.y + arrow.y), down: at.down };
    if (at.down) line(at, to);
    setCursor(to);
  };

  return h(
    "div",
    { class: "drawing" },
    h(
      "div",
      { class: "field" },
      h("canvas", {
        id: "pad",
        ref: field,
        width: PAD_SIDE,
        height: PAD_SIDE,
        tabIndex: 0,
        role: "application",
        "aria-label": "Field to draw on",
        "aria-describedby": "pad-help",
        onPointerDown: begin,
        onPointerMove: move,
        onPointerUp: end,
        onPointerCancel: end,
        onKeyDown: key,
        onBlur: () => setCursor(undefined),
      }),
      cursor === undefined
        ? null
        : h("span", {
            class: cursor.down ? "cursor down" : "cursor",
            style: { left: `${(100 * cursor.x) / PAD_SIDE}%`, top: `${(100 * cursor.y) / PAD_SIDE}%` },
          }),
    ),
    h(
      "p",
      { id: "pad-help", class: "quiet" },
      "Draw with mouse, pen or finger; or with the arrow keys, where space sets the pen down and lifts it.",
    ),
    h("button", { id: "clear", type: "button", onClick: clear }, "Clear"),
  );
}
