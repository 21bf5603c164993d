// Damaged inputs to every reader of a peer's bytes, 200,000 or with `npm run test:long` a million: each is read or
// refused with a code, and memory does not grow.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { often } from "../fixtures/in-rotation.ts";
import type { FuzzReport } from "./run.ts";
import { fuzzTargets } from "./targets.ts";

const INPUTS = often(200_000, 1_000_000);
const SEED = 1;
/** What a heap differs by from one collection to another. */
const NOISE_BYTES = 4 << 20;
const TIMEOUT_MS = 300_000;

test(
  `${INPUTS} damaged frames and messages are read or refused with a code, and memory does not grow`,
  async () => {
    const program = fileURLToPath(new URL("../../dist/test/fuzz/run.js", import.meta.url));
    const args = ["--expose-gc", program, String(INPUTS), String(SEED)];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    const reports = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as FuzzReport);
    expect(reports.map(({ target }) => target)).toEqual(fuzzTargets.map(({ name }) => name));
    expect(reports.reduce((sum, { inputs }) => sum + inputs, 0)).toBeGreaterThanOrEqual(INPUTS);
    for (const { target, accepted, grownBytes } of reports) {
      expect(accepted, `${target}: good inputs`).toBeGreaterThan(1000);
      expect(grownBytes, `${target}: growth`).toBeLessThan(NOISE_BYTES);
    }
    const codes = new Set(reports.flatMap(({ refused }) => Object.keys(refused)));
    expect(codes).toContain("FRAME_CORRUPT");
    expect(codes).toContain("FRAME_TRUNCATED");
    expect(codes).toContain("MESSAGE_INVALID");
    expect(codes).toContain("DATA_INVALID");
  },
  TIMEOUT_MS,
);
