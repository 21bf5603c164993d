// What is drawn small: a worker's last minutes, and the pass at hand as a strip. Each says in words what it shows.

import { h } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { type PassView, TIMELINE_MS } from "../feed-message.ts";
import { type Stretch, sharesText } from "./board.ts";
import type { Theme } from "./theme.ts";

function useDrawing(draw: (context: CanvasRenderingContext2D, width: number, height: number) => void) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const target = canvas.current;
    const context = target?.getContext("2d");
    if (!target || !context) return;
    const { clientWidth: width, clientHeight: height } = target;
    const scale = devicePixelRatio;
    target.width = Math.round(width * scale);
    target.height = Math.round(height * scale);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    draw(context, width, height);
  });
  return canvas;
}

export interface TimelineProps {
  readonly stretches: readonly Stretch[];
  readonly at: number;
  readonly theme: Theme;
}

export function Timeline({ stretches, at, theme }: TimelineProps) {
  const canvas = useDrawing((context, width, height) => {
    const place = (time: number) => Math.max(0, (1 - (at - time) / TIMELINE_MS) * width);
    stretches.forEach(({ state, from }, i) => {
      const end = place(stretches[i + 1]?.from ?? at);
      const begin = place(from);
      context.fillStyle = theme.colour(`state-${state}`);
      context.fillRect(begin, 0, Math.max(0, end - begin), height);
    });
  });
  return h("canvas", { class: "timeline", ref: canvas, role: "img", "aria-label": sharesText(stretches, at) });
}

const mean = (cells: readonly number[]) => cells.reduce((sum, one) => sum + one, 0) / Math.max(1, cells.length) / 255;
const percent = (share: number) => `${Math.round(1000 * share) / 10}\u00a0%`;

/** The strip in words. */
export function passText({ title, samples, committed, collected, leased }: PassView): string {
  const all = samples.toLocaleString("en");
  const parts = [
    `${percent(mean(committed))} committed`,
    `${percent(mean(collected))} collected in this step`,
    `${percent(mean(leased))} out at workers`,
  ];
  return `${title}, ${all} samples: ${parts.join(", ")}`;
}

export function Strip({ pass, theme }: { readonly pass: PassView; readonly theme: Theme }) {
  const canvas = useDrawing((context, width, height) => {
    const { committed, collected, leased } = pass;
    const each = width / Math.max(1, committed.length);
    context.clearRect(0, 0, width, height);
    committed.forEach((done, i) => {
      const [left, right] = [Math.floor(i * each), Math.ceil((i + 1) * each)];
      let top = height;
      for (const [share, name] of [
        [done, "strip-committed"],
        [collected[i], "strip-collected"],
        [leased[i], "strip-leased"],
      ] as const) {
        const tall = Math.min(top, (share / 255) * height);
        context.fillStyle = theme.colour(name);
        context.fillRect(left, top - tall, right - left, tall);
        top -= tall;
      }
    });
  });
  return h("canvas", { class: "strip", ref: canvas, role: "img", "aria-label": passText(pass) });
}
