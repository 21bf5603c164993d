// The networks of the papers, narrow, under methods of every form of weight: one worker of either kind stays for all of
// them, makes a step of each and evaluates it.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readCommitLog, standingCommits } from "../../coordinator/checkpoint/commit-log.ts";
import { CoordinatorProcess } from "../fixtures/coordinator-process.ts";
import { inRotation } from "../fixtures/in-rotation.ts";
import { scratchFolder } from "../fixtures/test-run.ts";
import { succeeded } from "./run-process.ts";
import { WorkerProcess } from "./worker-process.ts";

/** A step for each phase, of images of 32 pixels. */
const base = {
  data: { trainSamples: 32, testSamples: 16, pad: 2 },
  batch: 32,
  microbatch: 16,
  epochs: 1,
  objective: { kind: "none" },
  checkpoint: { everySteps: 100 },
};

const narrow = {
  leNet: { kind: "lenet", widths: [4, 8, 16] },
  resNet18: { kind: "resnet", depth: 18, widths: [4, 4, 8, 8] },
  resNetImageNet: { kind: "resnet", depth: 18, widths: [4, 4, 8, 8], stem: "imagenet" },
  resNet34: { kind: "resnet", depth: 34, widths: [4, 4, 8, 8] },
  wrn22: { kind: "wrn", depth: 22, widths: [4, 4, 8, 8] },
  wrn40: { kind: "wrn", depth: 40, widths: [4, 4, 8, 8] },
} as const;

type Cell = readonly [network: keyof typeof narrow, method: Readonly<Record<string, unknown>>];

/**
 * Each method that no other test runs as built programs, once; every other one in turn, with `npm run test:long` all.
 */
const cells: Readonly<Record<"deno" | "browser", readonly Cell[]>> = {
  deno: [
    ["resNet18", { kind: "dorefa" }],
    ["wrn22", { kind: "lab", activations: "sign" }],
    ["resNet34", { kind: "inq", portions: [1], pretrain: 0 }],
    ["resNetImageNet", { kind: "rbcn-pruned", pretrain: 0 }],
    ["wrn40", { kind: "zhuang", stages: "direct" }],
    ["leNet", { kind: "full" }],
  ],
  browser: [
    ["leNet", { kind: "abc" }],
    ["wrn22", { kind: "xnorpp", pretrain: 0 }],
    ["resNet18", { kind: "polino", bits: 2 }],
  ],
};

test.each(Object.entries(cells) as [keyof typeof cells, readonly Cell[]][])(
  "one worker in %s makes a step and an evaluation of each network and method",
  async (runtime, all) => {
    const planned = inRotation(all, runtime === "deno" ? 1 : 0, 3);
    const folder = await scratchFolder();
    const [file, out] = [join(folder, "networks.plan.yaml"), join(folder, "out")];
    const methods = planned.map(([network, method], i) => ({
      name: `cell ${i}`,
      set: {
        model: narrow[network],
        method,
        ...(method.kind === "lab" ? { optimizer: { latent: { kind: "adam" } } } : {}),
      },
    }));
    // YAML has JSON in it.
    await writeFile(file, JSON.stringify({ name: "networks", base, methods }));
    const compare = new CoordinatorProcess(["compare", file, "--out", out, "--workers", "0", "--port", "0", "--json"]);
    new WorkerProcess(await compare.url(), runtime);
    await succeeded(compare);
    const lines = compare.lines().filter(({ event }) => event === "cell");
    expect(lines.map(({ outcome }) => outcome)).toEqual(planned.map(() => "finished"));
    for (const { cell } of lines) {
      const commits = standingCommits(await readCommitLog(join(out, "cells", String(cell))));
      expect(commits.filter(({ type }) => type === "step").length, String(cell)).toBeGreaterThan(0);
      const evaluated = commits.flatMap((commit) => (commit.type === "evaluate" ? [commit] : []));
      expect(evaluated.at(-1)?.value, String(cell)).toBeGreaterThanOrEqual(0);
    }
  },
  300_000,
);
