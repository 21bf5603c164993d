// Who mistypes a name is told the one that was meant: fields at any depth, kinds, values, variables of the environment.

import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { expect, test } from "vitest";
import { readScenario } from "../../../coordinator/simulate/scenario.ts";
import { ownVariables, unknownVariables } from "../../../shared/base/environment.ts";
import { didYouMean, editDistance, nearest } from "../../../shared/base/nearest.ts";
import { models } from "../../../shared/model/networks/models.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { readYaml, setField } from "../../../shared/run/config-text.ts";
import { sources } from "../../rooms.ts";

function told(config: Record<string, unknown>): string {
  try {
    parseConfig(config);
    return "nothing";
  } catch (error) {
    return (error as Error).message;
  }
}

/** As `--set` would have it. */
function toldOf(...assignments: readonly string[]): string {
  const config: Record<string, unknown> = {};
  for (const assignment of assignments) setField(config, assignment);
  return told(config);
}

test.each([
  ["epoch=3", "  epoch: there is no such field, did you mean epochs? got 3"],
  ["optimizer.learning_rate=0.1", "did you mean optimizer.learningRate? got 0.1"],
  ["Batch=64", "did you mean batch? got 64"],
  ["chekpoint.everySteps=5", 'did you mean checkpoint? got {"everySteps":5}'],
  ["data.trainsamples=5", "did you mean data.trainSamples? got 5"],
  ["data.train=5", "did you mean data.trainSamples? got 5"],
  ["labels=coarse", 'did you mean data.labels? got "coarse"'],
  ["everySteps=5", "did you mean checkpoint.everySteps? got 5"],
  ["warmupSteps=5", "did you mean optimizer.schedule.warmupSteps? got 5"],
  ["learningRate=1", "did you mean teacher.learningRate or adversarial.learningRate or optimizer.learningRate? got 1"],
  ["model.width=[1,2,3]", "did you mean model.widths? got [1,2,3]"],
])("--set %s", (assignment, message) => {
  expect(toldOf(assignment)).toContain(message);
});

test("a field that is near to none has those beside it listed, once", () => {
  expect(toldOf("data.zzz=1")).toMatch(/data\.zzz: there is no such field, beside it are kind, root, .*; got 1$/);
  expect(toldOf("epoch=3")).not.toContain("beside it are");
});

test.each([
  ["model.kind=resnt", 'must be one of lenet, resnet, wrn, siamfc; got "resnt"; did you mean resnet?'],
  ["model.kind=resnet18", "did you mean resnet?"],
  ["data.kind=cifar10", "did you mean cifar-10?"],
  ["optimizer.schedule.kind=cosin", "did you mean cosine?"],
  ["codec=exct", "did you mean exact?"],
  ["trust.clip=nrom", "did you mean norm?"],
  ["model.kind=zebra", 'must be one of lenet, resnet, wrn, siamfc; got "zebra"'],
  ["model.widths=1,2,3", 'got "1,2,3"; a list is written [1,2,3]'],
])("--set %s", (assignment, message) => {
  expect(toldOf(assignment).endsWith(message) || toldOf(assignment).includes(`; ${message}`)).toBe(true);
});

test("a file of YAML is told the same", () => {
  expect(told(readYaml("optimiser:\n  momentum: 0.5\n", "run.yaml"))).toContain("did you mean optimizer?");
});

test("a scenario of the simulation too, with what was given", async () => {
  await expect(readScenario(undefined, ["volunteer=3"])).rejects.toThrow(
    /volunteer: .* did you mean volunteers\? got 3/,
  );
});

test("a kind that a table does not have", () => {
  expect(() => models.get("lennet")).toThrow(/there is no model of kind "lennet"; .*; did you mean lenet\?/);
  expect(() => models.get("zebra")).toThrow(/known are lenet, resnet, resnet-torchvision, wrn, siamfc$/);
});

test("a variable of the environment that means nothing is named", () => {
  expect(unknownVariables({ BITSWARM_DTA: "x", bitswarm_token: "t", BITSWARM_ZZZZZZZZZZ: "", PATH: "/bin" })).toEqual([
    "the environment's BITSWARM_DTA means nothing here; did you mean BITSWARM_DATA?",
    "the environment's bitswarm_token means nothing here; did you mean BITSWARM_TOKEN?",
    "the environment's BITSWARM_ZZZZZZZZZZ means nothing here",
  ]);
  expect(unknownVariables(Object.fromEntries(ownVariables.map((name) => [name, "x"])))).toEqual([]);
});

test("every variable that the programs read is known to be ours", () => {
  const root = fileURLToPath(new URL("../../..", import.meta.url));
  const named = ["coordinator", "worker", "shared"].flatMap((wing) =>
    sources(root, wing).flatMap(
      (file) => readFileSync(path.join(root, file), "utf8").match(/\bBITSWARM_[A-Z_]+\b/g) ?? [],
    ),
  );
  expect([...new Set(named)].filter((name) => !ownVariables.includes(name) && name !== "BITSWARM_")).toEqual([]);
});

const word = fc.string({ unit: fc.constantFrom(..."abcd"), maxLength: 8 });

test("the distance of words is 0 between equal ones, the same both ways, and 1 for one change", () => {
  fc.assert(
    fc.property(word, word, (a, b) => {
      expect(editDistance(a, b)).toBe(editDistance(b, a));
      expect(editDistance(a, b) === 0).toBe(a === b);
      expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length));
      expect(editDistance(a, b)).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
    }),
  );
  fc.assert(
    fc.property(word, fc.nat(), (a, at) => {
      const i = at % (a.length + 1);
      expect(editDistance(a, `${a.slice(0, i)}z${a.slice(i)}`)).toBe(1);
    }),
  );
  expect(editDistance("norm", "nrom")).toBe(1);
  expect(editDistance("kitten", "sitting")).toBe(3);
});

test("a word that is far from all is near to none, however long a stranger's text is", () => {
  expect(nearest("zebra", ["lenet", "resnet"])).toBeUndefined();
  expect(nearest("", ["lenet"])).toBeUndefined();
  expect(didYouMean("x".repeat(1_000_000), ["lenet"])).toBe("");
});
