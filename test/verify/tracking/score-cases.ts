// Oracle cases of how a tracker is scored: overlaps, curves and shares in every protocol, and GOT-10k's means.

import { z } from "zod";
import type { Box } from "../../../shared/tracking/box.ts";
import { got10kScore } from "../../../shared/tracking/got10k-metrics.ts";
import { protocols, sequenceScore } from "../../../shared/tracking/metrics.ts";
import { centreError, hasNaN, overlapOf } from "../../../shared/tracking/overlap.ts";
import type { Comparison } from "../compare.ts";
import type { OracleCase } from "../oracle-case.ts";
import { rounded } from "../tolerance.ts";

function boxesOf(test: OracleCase, name: string): readonly Box[] {
  const { data } = test.tensor(name);
  return Array.from({ length: data.length / 4 }, (_, i) => ({
    x: data[4 * i],
    y: data[4 * i + 1],
    w: data[4 * i + 2],
    h: data[4 * i + 3],
  }));
}

export function verifyMetrics(test: OracleCase): Comparison[] {
  const [truth, results] = [boxesOf(test, "in.gt"), boxesOf(test, "in.boxes")];
  const answered = [truth[0], ...results.slice(1)];
  // The oracle writes -1 for what is no number.
  const overlaps = truth.map((box, i) => (hasNaN(box) ? -1 : overlapOf(box, answered[i])));
  const errors = truth.map((box, i) => {
    const error = centreError(box, answered[i]);
    return Number.isNaN(error) ? -1 : error;
  });
  const ofProtocols = protocols
    .filter((protocol) => test.has(`out.${protocol}.auc`))
    .flatMap((protocol) => {
      const score = sequenceScore(truth, results, protocol);
      return [
        rounded(`${protocol}.success`, score.success, test),
        rounded(`${protocol}.precision`, score.precision, test),
        rounded(`${protocol}.norm_precision`, score.normalised, test),
        rounded(`${protocol}.auc`, [score.auc], test),
        rounded(`${protocol}.p20`, [score.p20], test),
        rounded(`${protocol}.norm_p20`, [score.normalisedP20], test),
        rounded(`${protocol}.sr50`, [score.sr50], test),
      ];
    });
  return [rounded("iou", overlaps, test), rounded("center_error", errors, test), ...ofProtocols];
}

const got10kAttributes = z.object({
  sequences: z.array(z.object({ class: z.string(), resolution: z.tuple([z.number(), z.number()]) })),
});

export function verifyGot10kMetrics(test: OracleCase): Comparison[] {
  const { sequences } = got10kAttributes.parse(test.attributes);
  const score = got10kScore(
    sequences.map(({ class: objectClass, resolution: [width, height] }, i) => ({
      truth: boxesOf(test, `in.gt.${i}`),
      results: boxesOf(test, `in.boxes.${i}`),
      cover: [...test.tensor(`in.cover.${i}`).data],
      width,
      height,
      objectClass,
    })),
  );
  return [
    rounded("ao", [score.ao], test),
    rounded("sr50", [score.sr50], test),
    rounded("sr75", [score.sr75], test),
    rounded("success", score.success, test),
    rounded(
      "sequences",
      score.sequences.flatMap(({ ao, sr50, sr75 }) => [ao, sr50, sr75]),
      test,
    ),
    rounded("mao", [score.mao], test),
    rounded("msr50", [score.msr50], test),
    rounded("msr75", [score.msr75], test),
  ];
}
