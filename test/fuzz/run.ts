// The fuzzer as a program: `node --expose-gc run.js INPUTS SEED` prints a JSON line a target; an input that crashes a
// reader is printed with the number that makes it again, and ends the program with 1.

import { BitswarmError } from "../../shared/base/errors.ts";
import { rng } from "../../shared/base/rng.ts";
import { type FuzzTarget, fuzzTargets } from "./targets.ts";

export interface FuzzReport {
  readonly target: string;
  readonly inputs: number;
  readonly accepted: number;
  /** By code. */
  readonly refused: Readonly<Record<string, number>>;
  /** Of the heap, after garbage collection, from a tenth of the inputs to the end. */
  readonly grownBytes: number;
}

/** Inputs that share a stream of draws: a crash is made again from its block. */
const BLOCK = 1000;

function heapBytes(): number {
  if (!globalThis.gc) throw new Error("run with --expose-gc");
  globalThis.gc();
  return process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
}

function fuzz(target: FuzzTarget, inputs: number, seed: number): FuzzReport {
  const { name, input, read } = target;
  const refused: Record<string, number> = {};
  let accepted = 0;
  let before = 0;
  for (let i = 0, draws = rng(seed, name, 0); i < inputs; i++) {
    if (i % BLOCK === 0) draws = rng(seed, name, i / BLOCK);
    if (i === Math.floor(inputs / 10)) before = heapBytes();
    const bytes = input(draws);
    try {
      read(bytes);
      accepted++;
    } catch (error) {
      if (!(error instanceof BitswarmError)) {
        const hex = Buffer.from(bytes).toString("hex");
        throw new Error(`${name}, seed ${seed}, input ${i}: ${String(error)}\n${hex}`);
      }
      refused[error.code] = (refused[error.code] ?? 0) + 1;
    }
  }
  return { target: name, inputs, accepted, refused, grownBytes: heapBytes() - before };
}

// A refusal is the common case here; where it came from is told by its code.
Error.stackTraceLimit = 0;
const [inputs, seed] = process.argv.slice(2).map(Number);
for (const target of fuzzTargets) {
  process.stdout.write(`${JSON.stringify(fuzz(target, Math.ceil(inputs * target.share), seed))}\n`);
}
