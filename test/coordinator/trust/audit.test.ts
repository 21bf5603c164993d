// An audit's verdict from its answers, and which answers are the same work.

import { expect, test } from "vitest";
import { compareWork } from "../../../coordinator/sum/comparison.ts";
import type { TensorSpan } from "../../../coordinator/sum/gradient-norms.ts";
import { type Answer, auditVerdict, THREE_DECIDE_FROM } from "../../../coordinator/trust/audit.ts";
import { rng } from "../../../shared/base/rng.ts";

/** Answers in short: an account, and what it says. */
function answers(...pairs: readonly (readonly [string, string])[]): readonly Answer[] {
  return pairs.map(([account, work], i) => ({
    account,
    same: pairs.slice(0, i).flatMap(([other, theirs]) => (theirs === work ? [other] : [])),
  }));
}
/** Of few accounts, and of enough for three to decide. */
const few = THREE_DECIDE_FROM - 1;
const many = THREE_DECIDE_FROM;
const differ = [
  ["a", "x"],
  ["b", "y"],
] as const;

test.each([few, many])(
  "of %i accounts one answer is compared with another's, and two that agree are right",
  (accounts) => {
    expect(auditVerdict(answers(["a", "x"]), "a", accounts)).toEqual({ kind: "open", redo: false });
    const right = { kind: "decided", right: ["a", "b"], wrong: [], redo: false };
    expect(auditVerdict(answers(["a", "x"], ["b", "x"]), "a", accounts)).toEqual(right);
  },
);

test("of few accounts, where two differ, a third decides; where all three differ nobody is blamed, and the work is done again", () => {
  expect(auditVerdict(answers(...differ), "a", few)).toEqual({ kind: "open", redo: false });
  const against = { right: ["b", "c"], wrong: ["a"], redo: true };
  expect(auditVerdict(answers(...differ, ["c", "y"]), "a", few)).toMatchObject(against);
  const by = { right: ["a", "c"], wrong: ["b"], redo: false };
  expect(auditVerdict(answers(...differ, ["c", "x"]), "a", few)).toMatchObject(by);
  const nobody = { kind: "decided", right: [], wrong: [], redo: true };
  expect(auditVerdict(answers(...differ, ["c", "z"]), "a", few)).toEqual(nobody);
});

test("of more, where two differ, three that agree decide; two against what is in the sum have it done again meanwhile", () => {
  const two = [...differ, ["c", "y"]] as const;
  expect(auditVerdict(answers(...two), "a", many)).toEqual({ kind: "open", redo: true });
  expect(auditVerdict(answers(...two), "b", many)).toEqual({ kind: "open", redo: false });
  expect(auditVerdict(answers(...two, ["d", "x"]), "a", many)).toEqual({ kind: "open", redo: false });
  const right = { kind: "decided", right: ["b", "c", "d"], wrong: ["a"], redo: true };
  expect(auditVerdict(answers(...two, ["d", "y"]), "a", many)).toEqual(right);
  const outvoted = { kind: "decided", right: ["a", "d", "e"], wrong: ["b", "c"], redo: false };
  expect(auditVerdict(answers(...two, ["d", "x"], ["e", "x"]), "a", many)).toEqual(outvoted);
  const nobody = { kind: "decided", right: [], wrong: [], redo: true };
  expect(auditVerdict(answers(...two, ["d", "x"], ["e", "z"]), "a", many)).toEqual(nobody);
  // Two against two decide nothing.
  expect(auditVerdict(answers(...two, ["d", "x"]), "a", few)).toEqual(nobody);
});

const spans: TensorSpan[] = [
  { group: "gradient", offset: 0, size: 200, unit: 2 ** -10, signs: false },
  { group: "statistic", offset: 200, size: 10, unit: 2 ** -20, signs: false },
  { group: "metric", offset: 210, size: 5, unit: 1, signs: false },
];
const usual = { name: "a", largest: Infinity, magnitude: true };
const round = { spans, peaks: [usual, { ...usual, name: "b" }] };
const draws = rng(1, "audit test");
const honest = Float64Array.from({ length: 215 }, (_, i) => Math.round(1000 * draws.normal()) + (i >= 200 ? 5000 : 0));
const peaksOf = (...values: number[]) => new Uint32Array(Float32Array.from(values).buffer);
const work = (units: Float64Array, deviceClass = "gpu", peaks = peaksOf(3, 5e-5)) => ({ units, deviceClass, peaks });
const noisy = (share: number) => {
  const noise = rng(2, "audit noise");
  return honest.map((value) => Math.round(value + 1000 * share * noise.normal()));
};

test("equal work, and work that another GPU rounds otherwise, is the same", () => {
  expect(compareWork(work(honest), work(honest), round)).toEqual({ kind: "same" });
  expect(compareWork(work(honest), work(noisy(0.01)), round)).toEqual({ kind: "same" });
});

test("a difference that one class of devices cannot make, two classes may", () => {
  const rounded = noisy(0.1);
  expect(compareWork(work(honest), work(rounded), round)).toMatchObject({ kind: "different", group: "gradient" });
  expect(compareWork(work(honest), work(rounded, "another"), round)).toEqual({ kind: "same" });
});

test.each([
  ["zeros", honest.map(() => 0)],
  ["the sign flipped", honest.map((value) => -value)],
  ["twice as much", honest.map((value) => 2 * value)],
  ["another range's gradient", noisy(2)],
  ["a metric of its own", honest.map((value, i) => (i === 211 ? 0 : value))],
  ["statistics of its own", honest.map((value, i) => (i >= 200 && i < 210 ? 3 * value : value))],
])("%s is different, whatever the devices", (_, lie) => {
  for (const deviceClass of ["gpu", "another"]) {
    expect(compareWork(work(honest), work(lie, deviceClass), round).kind).toBe("different");
  }
});

test("two answers of nothing are the same", () => {
  const zeros = new Float64Array(215);
  expect(compareWork(work(zeros), work(zeros), round)).toEqual({ kind: "same" });
});

test("a peak far above the other answer's is different, one of rounding alone is not", () => {
  const forged = (...peaks: number[]) => compareWork(work(honest), work(honest, "gpu", peaksOf(...peaks)), round);
  expect(forged(4, 5e-5)).toEqual({ kind: "same" });
  expect(forged(1e38, 5e-5)).toEqual({ kind: "unlike-peaks", tensor: "a" });
  expect(forged(3, 1)).toEqual({ kind: "unlike-peaks", tensor: "b" });
  expect(forged(3, 4e-4)).toEqual({ kind: "same" });
  const means = { spans, peaks: [{ ...usual, magnitude: false }] };
  expect(compareWork(work(honest), work(honest, "gpu", peaksOf(1e38)), means)).toEqual({ kind: "same" });
});

test("signs agree in part, as error feedback has it; those that do not are another matter than numbers that differ", () => {
  const signs: TensorSpan[] = [{ group: "gradient", offset: 0, size: 4096, unit: 2 ** -10, signs: true }];
  const own = Float64Array.from({ length: 4096 }, () => (draws.uniform() < 0.5 ? 32 : -32));
  const equalIn = (share: number) => own.map((value) => (draws.uniform() < share ? value : -value));
  const compared = (units: Float64Array) => compareWork(work(own), work(units), { spans: signs, peaks: [] });
  expect(compared(own)).toEqual({ kind: "same" });
  expect(compared(equalIn(0.6))).toEqual({ kind: "same" });
  for (const share of [0, 0.4, 0.47]) expect(compared(equalIn(share))).toMatchObject({ kind: "unlike-signs" });
});

test("the operator's own word decides, whoever else agrees on another", () => {
  const own = (account: string) => account.startsWith("own");
  const against = { kind: "decided", right: ["own"], wrong: ["a", "b", "c"], redo: true };
  const three = [["a", "x"] as const, ["b", "x"] as const, ["c", "x"] as const];
  for (const accounts of [2, few, many])
    expect(auditVerdict(answers(...three, ["own", "y"]), "a", accounts, own)).toEqual(against);
  const two = { kind: "decided", right: ["own"], wrong: ["a"], redo: true };
  expect(auditVerdict(answers(["a", "x"], ["own", "y"]), "a", 2, own)).toEqual(two);
  expect(auditVerdict(answers(["own", "y"], ["a", "x"]), "own", 2, own)).toEqual({ ...two, redo: false });
  const right = { kind: "decided", right: ["a", "own"], wrong: [], redo: false };
  expect(auditVerdict(answers(["a", "x"], ["own", "x"]), "a", 2, own)).toEqual(right);
  // It has none where two of them differ.
  const open = { kind: "open", redo: false };
  expect(auditVerdict(answers(["own1", "x"], ["own2", "y"]), "own1", 2, own)).toEqual(open);
});
