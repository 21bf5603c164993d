// What a run computes stays what it is: hashes of the parameters that earlier builds ended with, by what ran them. A
// change of structure changes none.

import { join } from "node:path";
import { expect, test } from "vitest";
import { scratchFolder } from "../fixtures/test-run.ts";
import { hashes, linesOf, start, succeeded } from "./run-process.ts";
import { WorkerProcess } from "./worker-process.ts";

/** Twenty steps of the teacher, twenty of the student with all its losses, twenty of the BN phase. */
const leNet = {
  "model.widths": [4, 8, 16],
  "data.trainSamples": 1280,
  "data.testSamples": 128,
  batch: 64,
  microbatch: 16,
  "teacher.epochs": 1,
  epochs: 1,
  bnPhase: 1,
  "adversarial.warmupEpochs": 0,
} as const;

/** Shortcuts, strides and 1×1 convolutions: four steps of each phase. */
const resNet = {
  ...leNet,
  "model.kind": "resnet",
  "model.widths": [4, 8],
  "model.blocks": [1, 1],
  "data.trainSamples": 128,
  "data.pad": 2,
  "data.augment": "crop-flip",
  batch: 32,
} as const;

/** Hash after the last step of the teacher, the student and the BN phase. */
type Hashes = readonly [teacher: string, student: string, bn: string];

/** By the adapter that a Deno worker reports: the bits are those of one kind of device. */
const known: Readonly<Record<string, Readonly<Record<"leNet" | "resNet", Hashes>>>> = {
  "llvmpipe (LLVM 15.0.6, 256 bits) (software)": {
    leNet: [
      "1dcfe2aec0f08237d6716b02dbd39fa711057a3c92adeb12c249ffe97d0872a1",
      "8e19d575dc6a2acfc78722171c78f4343455171d7decf4a7c0a10d5680734b21",
      "d17b3febe17c7b1af29660a21c963d3b183373000a4c02390c13666c24f0ce39",
    ],
    resNet: [
      "83961cc42c4f8be7988887565594b5a4cd59e0f9a48c6121a4f0389ab78ff8b9",
      "2ae34e8922e1fdddb1adb8cbe5ae86e089a4494cab9598f849b7446142fe74fc",
      "94f017d1ae5d854bf5fe6a572f645e28d880f6a16e158f1414d9a3f60810fa4e",
    ],
  },
};

/** A run's hashes at the end of its three phases of so many steps, and the adapter of its worker. */
async function phaseEnds(fields: Readonly<Record<string, unknown>>, steps: number) {
  const run = start(join(await scratchFolder(), "run"), fields);
  const worker = new WorkerProcess(await run.url(), "deno");
  const { stderr } = await succeeded(run);
  await worker.exited;
  const after = hashes(linesOf(run));
  expect(Object.keys(after)).toHaveLength(3 * steps);
  const ends: Hashes = [after[steps], after[2 * steps], after[3 * steps]];
  return { ends, adapter: /joined: .*?, deno, (.*)/.exec(stderr)?.[1] ?? "unknown" };
}

test.each([
  ["leNet", leNet, 20],
  ["resNet", resNet, 4],
] as const)(
  "one Deno worker with the codec exact ends each phase of %s with the parameters of earlier builds",
  async (name, fields, steps) => {
    const { ends, adapter } = await phaseEnds(fields, steps);
    if (!known[adapter]) console.warn(`No earlier build ran ${name} on ${adapter}. This one ends with`, ends);
    // Where no hash is known, a second run still has to end as the first.
    expect(ends).toEqual(known[adapter]?.[name] ?? (await phaseEnds(fields, steps)).ends);
  },
  300_000,
);
