// Oracle cases of what a tracker does between two frames: the window, the finer grid, and the step from responses to a
// box.

import { z } from "zod";
import type { Box } from "../../../shared/tracking/box.ts";
import { hannRow, hannWindow } from "../../../shared/tracking/hann.ts";
import { boxOf, firstTarget, type TrackOptions, trackStep } from "../../../shared/tracking/track-step.ts";
import { upsampled } from "../../../shared/tracking/upsample.ts";
import { type Comparison, maxAbs } from "../compare.ts";
import type { OracleCase } from "../oracle-case.ts";
import { rounded, same, summed } from "../tolerance.ts";

const hannAttributes = z.object({ n: z.number() });

export function verifyHann(test: OracleCase): Comparison[] {
  const { n } = hannAttributes.parse(test.attributes);
  const window = test.has("out.window") ? [rounded("window", hannWindow(n), test)] : [];
  return [rounded("row", hannRow(n), test), ...window];
}

const upsampleAttributes = z.object({ n: z.number(), h: z.number(), w: z.number(), up: z.number() });

export function verifyUpsample(test: OracleCase): Comparison[] {
  const { n, h, w, up } = upsampleAttributes.parse(test.attributes);
  const maps = test.tensor("in.response").data;
  const cells = h * w;
  const results = Array.from({ length: n }, (_, i) => upsampled(maps.subarray(i * cells, (i + 1) * cells), h, w, up));
  const all = Float32Array.from(results.flatMap((map) => [...map]));
  return [summed("response", all, test, 16, maxAbs(maps))];
}

const stepAttributes = z.object({
  base: z.union([z.literal(0), z.literal(1)]),
  context: z.number(),
  exemplar: z.number(),
  instance: z.number(),
  scales: z.number(),
  scale_step: z.number(),
  scale_penalty: z.number(),
  scale_lr: z.number(),
  window_influence: z.number(),
  response: z.number(),
  up: z.number(),
  stride: z.number(),
  box: z.tuple([z.number(), z.number(), z.number(), z.number()]),
  steps: z.number(),
});

export function verifyTrackSteps(test: OracleCase): Comparison[] {
  const a = stepAttributes.parse(test.attributes);
  const options: TrackOptions = {
    context: a.context,
    exemplar: a.exemplar,
    instance: a.instance,
    scales: a.scales,
    scaleStep: a.scale_step,
    scalePenalty: a.scale_penalty,
    scaleRate: a.scale_lr,
    windowInfluence: a.window_influence,
    up: a.up,
    stride: a.stride,
  };
  const [x, y, w, h] = test.tensor("in.box").data;
  const responses = test.tensor("in.responses").data;
  const size = responses.length / a.steps;
  let target = firstTarget({ x, y, w, h } satisfies Box, a.base, options);
  const first = target;
  const told = { scale: [] as number[], peak: [] as number[], boxes: [] as number[], sides: [] as number[] };
  for (let i = 0; i < a.steps; i++) {
    const step = trackStep(target, responses.subarray(i * size, (i + 1) * size), first, options);
    target = step.target;
    const box = boxOf(target, a.base);
    told.scale.push(step.scale);
    told.peak.push(step.peak.row, step.peak.column);
    told.boxes.push(box.x, box.y, box.w, box.h);
    told.sides.push(target.exemplarSide, target.searchSide);
  }
  return [
    same("scale", told.scale, test),
    same("peak", told.peak, test),
    rounded("boxes", told.boxes, test),
    rounded("sides", told.sides, test),
  ];
}
