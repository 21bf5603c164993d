// Rules of what is counted of a network's answers, and of what beside the run's own score.

import { expect, test } from "vitest";
import { likeliest } from "../../../coordinator/predict/likeliest.ts";
import { classFolders } from "../../../coordinator/predict/picture-folder.ts";
import { besideOwn, Tally } from "../../../coordinator/predict/tally.ts";

const logits = (...values: number[]) => Float32Array.from(values);

test("right is the largest logit, of equal ones the first; what is no number is no answer", () => {
  const tally = new Tally(7);
  tally.add(logits(1, 3, 2, 0, 0, 0, 0), 1);
  tally.add(logits(1, 3, 3, 0, 0, 0, 0), 1);
  tally.add(logits(1, 3, 3, 0, 0, 0, 0), 2);
  tally.add(logits(6, 5, 4, 3, 2, 1, 0), 5);
  tally.add(logits(Number.NaN, 0, 0, 0, 0, 0, 0), 0);
  const { classes, ...all } = tally.evaluation;
  expect(all).toEqual({ samples: 5, right: 2, amongFive: 3 });
  expect(classes.map(({ samples, right }) => [samples, right])).toEqual([
    [1, 0],
    [2, 2],
    [1, 0],
    [0, 0],
    [0, 0],
    [1, 0],
    [0, 0],
  ]);
});

test("probabilities are those of a softmax, the likeliest first, of equal ones the first", () => {
  const predicted = likeliest(logits(0, 1000, 0, 999), { classNames: ["a", "b", "c", "d"] }, 3);
  expect(predicted.map(({ index, name }) => [index, name])).toEqual([
    [1, "b"],
    [3, "d"],
    [0, "a"],
  ]);
  expect(predicted[0]!.probability).toBeCloseTo(1 / (1 + Math.exp(-1)), 6);
  expect(likeliest(logits(0, 0), {}, 9).map(({ name }) => name)).toEqual(["0", "1"]);
});

const score = { name: "accuracy", value: 0.823, step: 7 };
const dataset = { name: "d", sha256: "", trainSamples: 1, testSamples: 1000 };
const provenance = { run: "r", title: "t", step: 9, parameterHash: "", bitswarm: "", dataset, score };
const evaluation = { samples: 1000, right: 823, amongFive: 0, classes: [] };

test("a score is the run's own where the same samples came out right, and not where one more did", () => {
  const own = { value: 0.823, step: 7, samples: 1000 };
  expect(besideOwn({ provenance }, evaluation, "d")).toEqual({ kind: "same", ...own });
  expect(besideOwn({ provenance }, { ...evaluation, right: 824 }, "d")).toEqual({ kind: "differs", ...own });
  expect(besideOwn({ provenance }, evaluation, "e")).toEqual({ kind: "other-data", value: 0.823 });
  expect(besideOwn({ provenance }, { ...evaluation, samples: 999 }, "d")).toEqual({ kind: "other-data", value: 0.823 });
  const { score: _, ...without } = provenance;
  expect(besideOwn({ provenance: without }, evaluation, "d")).toEqual({ kind: "none" });
});

test("a folder is the class of its name, else of its number, beside each other too, else of its place", () => {
  const classNames = ["T-shirt/top", "Ankle boot", "Bag"];
  const labels = (folders: readonly string[], names: readonly string[] | undefined = classNames) =>
    classFolders(folders, { classes: 3, ...(names && { classNames: names }) }).found.map(({ label }) => label);
  expect(labels(["ankle_boot", "t-shirt top"])).toEqual([1, 0]);
  expect(labels(["02", "0"])).toEqual([2, 0]);
  expect(labels(["n01", "n02", "n03"])).toEqual([0, 1, 2]);
  expect(classFolders(["x", "y", "z"], { classes: 3 }).notice).toContain("in their order");
  expect(labels(["T-shirt-top"])).toEqual(labels(["T-shirt_top"]));
  expect(labels(["Bag", "0", "01"])).toEqual([2, 0, 1]);
  for (const folders of [["Bag", "Coat"], ["3"], ["x", "y"]]) {
    expect(() => labels(folders), folders.join()).toThrow(/none of the network's 3 classes: .*such as "T-shirt-top"/);
  }
  expect(() => labels(["0", "Coat"])).toThrow(/^1 of 2 folders is none of .*: "Coat"; .* or by its number, 0 to 2$/);
  expect(() => classFolders(["0", "Coat"], { classes: 3 })).toThrow(
    /: "Coat"; name each folder by its number, 0 to 2$/,
  );
  // Signs tell these classes apart.
  expect(labels(["a b", "a_b"], ["a b", "ab", "a/b"])).toEqual([0, 2]);
  expect(() => labels(["A-B"], ["a b", "ab", "c"])).toThrow(/1 of 1 folders is none/);
  expect(labels(["1", "2"], ["1", "2", "3"])).toEqual([0, 1]);
  expect(() => labels(["1", "0", "3"], ["1", "2", "3"])).toThrow(
    /"1" is the name of class 0 and the number of class 1/,
  );
});
