// The results of a plan put together: each method at the rate that serves it best, how sure its mean is, what it cost,
// and how far it is from the reference on the same seeds.

import { type Pairs, sumOf, times } from "../../shared/run/compute.ts";
import type { CellResult } from "./cell-result.ts";
import type { Grid } from "./cells.ts";
import { asFloats } from "./charge.ts";
import { type Plan, ratesOf } from "./plan.ts";
import { CONFIDENCE, type Estimate, estimateOf, pairedDifference } from "./statistics.ts";

/** The shared teacher, once it is trained. */
export interface SharedTeacher {
  /** Of its file's bytes. */
  readonly sha256: string;
  readonly score?: { readonly name: string; readonly value: number; readonly text: string };
  /** Of its whole training. */
  readonly total: Pairs;
  readonly samples: number;
  readonly seconds: number;
}

export interface RateResult {
  readonly rate: number;
  readonly finished: number;
  readonly diverged: number;
  /** Of the scores of what finished; null where nothing did. */
  readonly score: Estimate | null;
}

export interface MethodCost {
  /** Of a cell: its own program's, and the shared teacher's divided by the cells that it teaches. */
  readonly own: Pairs;
  readonly teacherShare: Pairs;
  readonly total: Pairs;
  /** Of the total as floats, over what the base's network takes in full precision for the base's epochs. */
  readonly relative: number;
  /** The same with each 1-bit pair counted as one of floats. */
  readonly relativeUnweighted: number;
  readonly samples: number;
  readonly teacherSamples: number;
  readonly frozenForwards: number;
  readonly phases: CellResult["charge"]["phases"];
  readonly inference: Pairs;
  readonly fullInference: number;
  readonly bytes: CellResult["charge"]["bytes"];
  /** Means of what was measured. */
  readonly measured: { readonly down: number; readonly up: number } | null;
  readonly seconds: number;
}

export interface CurvePoint {
  readonly samples: number;
  readonly score: Estimate;
}

export interface MethodResult {
  readonly method: string;
  readonly cells: number;
  readonly done: number;
  /** The rate that was chosen, by the mean score; null before any is done. */
  readonly rate: number | null;
  readonly ratesTried: number;
  readonly rates: readonly RateResult[];
  /** At the chosen rate. */
  readonly score: Estimate | null;
  readonly scores: readonly { readonly seed: number; readonly value: number }[];
  /** From the reference, over the seeds that both have; null for the reference itself, and before there are any. */
  readonly difference: Estimate | null;
  readonly curve: readonly CurvePoint[];
  readonly cost: MethodCost | null;
}

export interface Comparison {
  readonly name: string;
  readonly confidence: number;
  readonly reference: string;
  readonly bitsAFloat: number;
  readonly seeds: readonly number[];
  readonly cells: number;
  readonly done: number;
  /** Name of the score, and which of two is the better one; none before a cell is done. */
  readonly score: { readonly name: string; readonly better: "higher" | "lower" } | null;
  /** The 1 of relative compute. */
  readonly fullPrecisionPairs: number;
  readonly teacher: SharedTeacher | null;
  readonly methods: readonly MethodResult[];
  readonly results: readonly CellResult[];
}

type Better = "higher" | "lower";

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

/** A rate at which a run diverged is no choice while another has none that did. */
function bestRate(rates: readonly RateResult[], better: Better): RateResult | undefined {
  const sign = better === "higher" ? 1 : -1;
  const able = rates.filter(({ score }) => score !== null);
  const steady = able.filter(({ diverged }) => diverged === 0);
  const among = steady.length > 0 ? steady : able;
  return among.reduce<RateResult | undefined>(
    (best, one) => (best && sign * (best.score?.mean ?? 0) >= sign * (one.score?.mean ?? 0) ? best : one),
    undefined,
  );
}

function rateResult(rate: number, results: readonly CellResult[]): RateResult {
  const own = results.filter((result) => result.rate === rate);
  const values = own.flatMap(({ score }) => (score ? [score.value] : []));
  return {
    rate,
    finished: values.length,
    diverged: own.filter(({ outcome }) => outcome === "diverged").length,
    score: values.length > 0 ? estimateOf(values) : null,
  };
}

/** Means over seeds at each evaluation that all of them have. */
function curveOf(results: readonly CellResult[]): CurvePoint[] {
  const [first, ...others] = results;
  if (!first) return [];
  return first.curve.flatMap(({ samples, value }) => {
    const more = others.map(({ curve }) => curve.find((point) => point.samples === samples)?.value);
    const values = [value, ...more].filter((one) => one !== undefined);
    return values.length === results.length ? [{ samples, score: estimateOf(values) }] : [];
  });
}

interface Surroundings {
  readonly plan: Plan;
  readonly fullPrecisionPairs: number;
  readonly teacher: SharedTeacher | null;
  /** Cells that the shared teacher teaches. */
  readonly taughtCells: number;
}

function costOf(results: readonly CellResult[], taught: boolean, around: Surroundings): MethodCost | null {
  // What diverged is charged what it did until then, which is no method's cost while another run was finished.
  const first = results.find(({ outcome }) => outcome === "finished") ?? results[0];
  if (!first) return null;
  const { plan, fullPrecisionPairs, teacher, taughtCells } = around;
  const { charge } = first;
  const share = taught && teacher ? 1 / taughtCells : 0;
  const teacherShare = times(teacher?.total ?? { float: 0, binary: 0 }, share);
  const total = sumOf(charge.total, teacherShare);
  const measured = results.flatMap((result) => (result.measured ? [result.measured] : []));
  return {
    own: charge.total,
    teacherShare,
    total,
    relative: asFloats(total, plan.bitsAFloat) / fullPrecisionPairs,
    relativeUnweighted: asFloats(total, 1) / fullPrecisionPairs,
    samples: charge.samples,
    teacherSamples: (teacher?.samples ?? 0) * share,
    frozenForwards: charge.frozenForwards,
    phases: charge.phases,
    inference: charge.inference,
    fullInference: charge.fullInference,
    bytes: charge.bytes,
    measured:
      measured.length === 0
        ? null
        : { down: mean(measured.map(({ down }) => down)), up: mean(measured.map(({ up }) => up)) },
    seconds: mean(results.map(({ seconds }) => seconds)),
  };
}

function scoresBySeed(results: readonly CellResult[]): ReadonlyMap<number, number> {
  return new Map(results.flatMap(({ seed, score }) => (score ? [[seed, score.value] as const] : [])));
}

/** @param results of the plan's cells that are done @param fullPrecisionPairs by charge.ts */
export function comparisonOf(
  { plan, cells }: Pick<Grid, "plan" | "cells">,
  results: readonly CellResult[],
  teacher: SharedTeacher | null,
  fullPrecisionPairs: number,
): Comparison {
  const score = results.find((result) => result.score)?.score;
  const better = score?.better ?? "higher";
  const taughtCells = cells.filter(({ taught }) => taught).length;
  const around: Surroundings = { plan, fullPrecisionPairs, teacher, taughtCells };
  const reference = plan.reference ?? plan.methods[0].name;
  const chosen = plan.methods.map((method) => {
    const own = cells.filter((cell) => cell.method === method.name);
    const done = results.filter((result) => result.method === method.name);
    const rates = [...new Set(own.map(({ rate }) => rate))].map((rate) => rateResult(rate, done));
    const best = bestRate(rates, better);
    const at = best ? done.filter(({ rate }) => rate === best.rate) : [];
    return { method, own, done, rates, best, at };
  });
  const referenceScores = scoresBySeed(chosen.find(({ method }) => method.name === reference)?.at ?? []);
  return {
    name: plan.name,
    confidence: CONFIDENCE,
    reference,
    bitsAFloat: plan.bitsAFloat,
    seeds: plan.seeds,
    cells: cells.length,
    done: results.length,
    score: score ? { name: score.name, better: score.better } : null,
    fullPrecisionPairs,
    teacher,
    methods: chosen.map(({ method, own, done, rates, best, at }): MethodResult => {
      const scores = scoresBySeed(at);
      const isReference = method.name === reference;
      return {
        method: method.name,
        cells: own.length,
        done: done.length,
        rate: best?.rate ?? null,
        ratesTried: ratesOf(plan, method).length,
        rates,
        score: best?.score ?? null,
        scores: [...scores].map(([seed, value]) => ({ seed, value })),
        difference: isReference ? null : (pairedDifference(scores, referenceScores) ?? null),
        curve: curveOf(at.filter((result) => result.score)),
        cost: costOf(
          at.length > 0 ? at : done,
          own.some(({ taught }) => taught),
          around,
        ),
      };
    }),
    results,
  };
}
