// What is made of results: the rate that serves a method, intervals over seeds, differences seed by seed, and what each
// method is charged.

import { expect, test } from "vitest";
import type { CellResult } from "../../../coordinator/compare/cell-result.ts";
import { gridOf } from "../../../coordinator/compare/cells.ts";
import { comparisonOf, type SharedTeacher } from "../../../coordinator/compare/comparison.ts";
import { comparisonCsv } from "../../../coordinator/compare/csv.ts";
import { comparisonPage } from "../../../coordinator/compare/page.ts";
import { parsePlan } from "../../../coordinator/compare/plan.ts";
import { comparisonLines } from "../../../coordinator/program/compare-text.ts";
import { displayWidth } from "../../../shared/base/terminal-text.ts";

const plan = (fields: Record<string, unknown> = {}) =>
  parsePlan(
    {
      name: "two <methods>",
      base: {},
      teacher: { method: { kind: "rbcn" } },
      methods: [
        { name: "G", set: { "method.kind": "rbcn", "method.ablation": "R+G" } },
        { name: "B", set: { "method.kind": "bnn" } },
      ],
      seeds: [0, 1, 2],
      rates: [0.1, 1],
      reference: "B",
      ...fields,
    },
    "plan.yaml",
  );

const pairs = { float: 900, binary: 6400 };

function result(method: string, seed: number, rate: number, value: number | undefined): CellResult {
  const name = `${method}-s${seed}-r${rate}`;
  return {
    format: 1,
    cell: name,
    method,
    seed,
    rate,
    outcome: value === undefined ? "diverged" : "finished",
    ...(value === undefined
      ? { message: "gradients were not finite" }
      : { score: { name: "accuracy", value, better: "higher", text: `${100 * value} %` } }),
    curve: value === undefined ? [] : [{ step: 4, samples: 512, value }],
    steps: 4,
    seconds: 10,
    measured: { down: 100, up: 200, steps: 4 },
    charge: {
      phases: [
        {
          phase: "student",
          title: "1-bit student",
          network: "student",
          passes: 2,
          samples: 512,
          training: pairs,
          frozen: { float: 0, binary: 0 },
          frozenForwards: 0,
          total: pairs,
        },
      ],
      samples: 512,
      frozenForwards: method === "G" ? 512 : 0,
      total: pairs,
      inference: { float: 10, binary: 20 },
      fullInference: 30,
      bytes: { down: 1024, up: 2048, once: 0 },
      steps: 4,
    },
  };
}

const teacher: SharedTeacher = {
  sha256: "ab".repeat(32),
  total: { float: 6000, binary: 0 },
  samples: 600,
  seconds: 5,
};

const results = [
  ...[0.5, 0.6, 0.7].map((value, seed) => result("G", seed, 0.1, value)),
  // The better mean, of two runs: the third lost its numbers.
  ...[0.9, undefined, 0.9].map((value, seed) => result("G", seed, 1, value)),
  ...[0.4, 0.5, 0.5].map((value, seed) => result("B", seed, 0.1, value)),
  ...[0.6, 0.5, 0.7].map((value, seed) => result("B", seed, 1, value)),
];

async function compared(some = results, fields = {}) {
  return comparisonOf(await gridOf(plan(fields)), some, teacher, 1000);
}

test("a method's rate is the one of the best mean, and none at which a run diverged while another is steady", async () => {
  const [gan, bnn] = (await compared()).methods;
  expect([gan.rate, bnn.rate]).toEqual([0.1, 1]);
  expect(gan.ratesTried).toBe(2);
  expect(gan.rates.map(({ rate, finished, diverged }) => [rate, finished, diverged])).toEqual([
    [0.1, 3, 0],
    [1, 2, 1],
  ]);
  expect(gan.score?.mean).toBeCloseTo(0.6, 12);
});

test("differences are those of equal seeds, each method at its own rate", async () => {
  const [gan, bnn] = (await compared()).methods;
  // 0.5 − 0.6, 0.6 − 0.5, 0.7 − 0.7.
  expect(gan.difference?.mean).toBeCloseTo(0, 12);
  expect(gan.difference?.deviation).toBeCloseTo(0.1, 12);
  expect(bnn.difference).toBeNull();
});

test("a lower score is the better one where its name says so", async () => {
  const lower = results.map((one) => (one.score ? { ...one, score: { ...one.score, better: "lower" as const } } : one));
  expect((await compared(lower)).methods[1].rate).toBe(0.1);
});

test("a taught method is charged its share of the teacher, and compute is told relative to full precision", async () => {
  const [gan, bnn] = (await compared()).methods;
  // Six of the cells are taught.
  expect(gan.cost?.teacherShare).toEqual({ float: 1000, binary: 0 });
  expect(gan.cost?.teacherSamples).toBe(100);
  expect(gan.cost?.relative).toBeCloseTo((1000 + 900 + 6400 / 64) / 1000, 12);
  expect(bnn.cost?.teacherShare).toEqual({ float: 0, binary: 0 });
  expect(bnn.cost?.relative).toBeCloseTo(1, 12);
  expect(bnn.cost?.relativeUnweighted).toBeCloseTo(7.3, 12);
  const each = (await compared(results, { bitsAFloat: 1 })).methods[1];
  expect(each.cost?.relative).toBeCloseTo(7.3, 12);
});

test("before anything is done a comparison says so, and of one run there is no interval", async () => {
  const none = await compared([]);
  expect(none.methods.map(({ score, rate, cost }) => [score, rate, cost])).toEqual([
    [null, null, null],
    [null, null, null],
  ]);
  const one = await compared([results[0]]);
  expect(one.methods[0].score).toMatchObject({ n: 1, half: null });
  for (const text of [comparisonPage(none), comparisonPage(one)]) expect(text).toContain("of 12 cells are done");
  expect(comparisonLines(one).join("\n")).toContain("50.00");
});

test("in a window of 80 columns the table is no wider, and has every column", async () => {
  const comparison = await compared();
  const long = { ...comparison, methods: comparison.methods.map((one) => ({ ...one, method: `${one.method}, long` })) };
  for (const columns of [80, 60]) {
    const lines = comparisonLines(long, columns);
    expect(lines.filter((line) => displayWidth(line) >= columns)).toEqual([]);
    const heads = lines.filter((line) => line.startsWith("  method"));
    expect(heads.length).toBeGreaterThan(1);
    expect(heads.join(" ")).toMatch(/accuracy %.* runs.* from B.* rate.* compute.* down\/step.* up\/step/);
    expect(lines.filter((line) => line.startsWith("  G, long")).length).toBe(heads.length);
  }
  expect(comparisonLines(long, 200).filter((line) => line.startsWith("  method")).length).toBe(1);
});

test("the table of a terminal has means, intervals, differences and compute", async () => {
  const lines = comparisonLines(await compared(), 120);
  expect(lines.find((line) => line.includes(" G "))).toMatch(
    /60\.00 ± 24\.84 .*3.*\+?[−+]?0\.00 ± 24\.84 .*0\.1 of 2 .*2\.00 ×/,
  );
});

test("the CSV has a line a cell, and takes no name for a formula", async () => {
  const comparison = await compared([result("G", 0, 0.1, 0.5)]);
  const [head, line, end] = comparisonCsv(comparison).split("\r\n");
  expect(head.split(",").length).toBe(line.split(",").length);
  expect(line).toMatch(/^G-s0-r0\.1,G,0,0\.1,finished,true,accuracy,0\.5,/);
  expect(end).toBe("");
  const evil = { ...comparison, results: [{ ...comparison.results[0], cell: '=1+"2"' }] };
  expect(comparisonCsv(evil).split("\r\n")[1]).toMatch(/^"'=1\+""2""",/);
});

test("the page says of what its bytes are, and keeps a number with its unit on a line", async () => {
  const text = comparisonPage(await compared());
  expect(text).not.toContain("at most");
  for (const head of ["parameters, whole", "gradients of a lease", "measured up"])
    expect(text).toContain(`>${head}</th>`);
  expect(text).toContain(">1.0\u00a0KiB<");
  expect(text).toContain(">60.00 ±\u00a024.84<");
});

test("a diverged run is charged as far as it came, and gives no method its cost beside one that was finished", async () => {
  const early = result("B", 0, 0.1, undefined);
  const charge = { ...early.charge, samples: 64, steps: 1, total: { float: 90, binary: 640 } };
  const lost = { ...early, steps: 1, charge };
  const alone = (await compared([lost])).methods[1].cost;
  expect([alone?.samples, alone?.total]).toEqual([64, { float: 90, binary: 640 }]);
  const both = (await compared([lost, result("B", 1, 0.1, 0.5)])).methods[1].cost;
  expect(both?.samples).toBe(512);
});

test("the page escapes what it is given, and forbids itself scripts and everything that is fetched", async () => {
  const text = comparisonPage(await compared());
  expect(text).toContain("<h1>two &lt;methods&gt;</h1>");
  expect(text).toContain("default-src 'none'");
  expect(text).not.toMatch(/<script|<link|<img|url\(|\sstyle=|\son\w+=|https?:/i);
});
