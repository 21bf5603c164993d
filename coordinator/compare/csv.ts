// A comparison as a table for other programs: a line a cell (RFC 4180).

import { sumOf } from "../../shared/run/compute.ts";
import { type CsvValue, csvLine } from "../base/csv-line.ts";
import { asFloats } from "./charge.ts";
import type { Comparison } from "./comparison.ts";

const columns = [
  "cell",
  "method",
  "seed",
  "rate",
  "outcome",
  "chosen_rate",
  "score_name",
  "score",
  "steps",
  "samples",
  "frozen_forwards",
  "float_pairs",
  "binary_pairs",
  "teacher_float_pairs_share",
  "relative_compute",
  "inference_float_pairs",
  "inference_binary_pairs",
  "bytes_down_a_step",
  "bytes_up_a_step",
  "bytes_once",
  "measured_down_a_step",
  "measured_up_a_step",
  "seconds",
  "params_hash",
] as const;

export function comparisonCsv({
  methods,
  results,
  bitsAFloat,
  fullPrecisionPairs,
}: Pick<Comparison, "methods" | "results" | "bitsAFloat" | "fullPrecisionPairs">): string {
  const lines = results.map((result) => {
    const method = methods.find((one) => one.method === result.method);
    const { charge, measured } = result;
    const total = sumOf(charge.total, method?.cost?.teacherShare ?? { float: 0, binary: 0 });
    const values: Record<(typeof columns)[number], CsvValue> = {
      cell: result.cell,
      method: result.method,
      seed: result.seed,
      rate: result.rate,
      outcome: result.outcome,
      chosen_rate: method?.rate === result.rate,
      score_name: result.score?.name,
      score: result.score?.value,
      steps: result.steps,
      samples: charge.samples,
      frozen_forwards: charge.frozenForwards,
      float_pairs: charge.total.float,
      binary_pairs: charge.total.binary,
      teacher_float_pairs_share: method?.cost?.teacherShare.float,
      relative_compute: asFloats(total, bitsAFloat) / fullPrecisionPairs,
      inference_float_pairs: charge.inference.float,
      inference_binary_pairs: charge.inference.binary,
      bytes_down_a_step: charge.bytes.down,
      bytes_up_a_step: charge.bytes.up,
      bytes_once: charge.bytes.once,
      measured_down_a_step: measured?.down,
      measured_up_a_step: measured?.up,
      seconds: result.seconds,
      params_hash: result.paramsHash,
    };
    return csvLine(columns.map((column) => values[column]));
  });
  return `${[columns.join(","), ...lines].join("\r\n")}\r\n`;
}
