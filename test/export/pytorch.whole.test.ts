// PyTorch, by the loader that SPEC.md names, computes of each method's file what the processor computes here, on real
// images.

import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { openHeldOut } from "../../coordinator/predict/held-out.ts";
import { Ledger } from "../../coordinator/round/ledger.ts";
import { rng } from "../../shared/base/rng.ts";
import { readExported } from "../../shared/export/read-exported.ts";
import { inputTable, inputValues } from "../../shared/export/see-picture.ts";
import { load, loadBackbone } from "../../worker/inference/index.ts";
import { drawnTracker, EXEMPLAR, INSTANCE } from "../fixtures/drawn-tracker.ts";
import { everyMethod, tinyMethodConfig } from "../fixtures/every-method.ts";
import { exportOf } from "../fixtures/tiny-export.ts";
import { advance, tinyState, withFolder } from "../fixtures/tiny-run.ts";

const N = 8;
/**
 * Images whose logits may differ: float32 that is summed in another order can take a value beside 0 to the other side,
 * where its sign, or its level, is all that the next layer sees.
 */
const MOST_OTHERWISE = 1;

const LOADER = fileURLToPath(new URL("load_bitswarm.py", import.meta.url));
const run = promisify(execFile);

/** The first Python that has PyTorch. */
async function pythonWithTorch(): Promise<string | undefined> {
  for (const python of ["python3", "/usr/bin/python3"]) {
    const has = await run(python, ["-c", "import numpy, torch"]).then(
      () => true,
      () => false,
    );
    if (has) return python;
  }
  return undefined;
}
const python = await pythonWithTorch();

/** A method's network whose every parameter was trained, by drawn gradients. */
function trained(method: (typeof everyMethod)[number][1]): Uint8Array<ArrayBuffer> {
  const state = tinyState(tinyMethodConfig(method));
  const ledger = new Ledger();
  while (state.step < state.program.steps) advance(state, ledger);
  return exportOf(state);
}

/** The first test images of Fashion-MNIST, as the network takes them. */
async function images(file: Uint8Array): Promise<Float32Array<ArrayBuffer>> {
  const model = readExported(file);
  const seen: Float32Array[] = [];
  for await (const { pixels } of (await openHeldOut(model, { data: "fashion-mnist", samples: N })).read()) {
    seen.push(inputValues(model.input, pixels));
  }
  return Float32Array.from(seen.flatMap((values) => [...values]));
}

/** The images whose logits differ by more than a 1e-4 of the largest, or whose prediction does. */
function otherwise(ours: readonly (readonly number[])[], theirs: readonly (readonly number[])[]): readonly number[] {
  expect(theirs.map(({ length }) => length)).toEqual(ours.map(({ length }) => length));
  const predicted = (logits: readonly number[]) => logits.indexOf(Math.max(...logits));
  return ours.flatMap((logits, n) => {
    const largest = Math.max(...logits.map(Math.abs));
    const near = logits.every((value, at) => Math.abs(value - theirs[n]![at]!) <= 1e-4 * largest);
    return near && predicted(logits) === predicted(theirs[n]!) ? [] : [n];
  });
}

test.skipIf(python === undefined)(
  python === undefined
    ? "torch not found, not run: PyTorch reads what is exported"
    : "X10 PyTorch reads what is exported of every method: the logits and the predictions of real images",
  () =>
    withFolder(async (folder) => {
      const files = everyMethod.map(([, method]) => trained(method));
      const pictures = await images(files[0]!);
      const paths = files.map((_, i) => join(folder, `${i}.safetensors`));
      await Promise.all(paths.map((path, i) => writeFile(path, files[i]!)));
      const input = join(folder, "images");
      await writeFile(input, new Uint8Array(pictures.buffer));
      const { stdout } = await run(python as string, [LOADER, input, ...paths], { maxBuffer: 2 ** 24 });
      const answers = stdout.trim().split("\n");
      expect(answers).toHaveLength(files.length);
      for (const [i, [title]] of everyMethod.entries()) {
        const model = await load(files[i]!, { backend: "wasm" });
        const logits = [...(await model.logits(pictures))];
        const classes = logits.length / N;
        const ours = Array.from({ length: N }, (_, n) => logits.slice(n * classes, (n + 1) * classes));
        expect(new Set(logits).size, title).toBeGreaterThan(N);
        expect(otherwise(ours, JSON.parse(answers[i]!)).length, title).toBeLessThanOrEqual(MOST_OTHERWISE);
        model.dispose();
      }
    }),
);

test.skipIf(python === undefined)(
  "X10 PyTorch comes to the responses of a tracker's file, of floats and of few bits",
  () =>
    withFolder(async (folder) => {
      const files = ["full", "rbcn"].map((kind) => drawnTracker({ method: { kind } }));
      const paths = files.map((_, i) => join(folder, `${i}.safetensors`));
      await Promise.all(paths.map((path, i) => writeFile(path, files[i]!)));
      const draws = rng("crops", "pytorch");
      const [exemplar, searches] = [EXEMPLAR ** 2 * 3, 2 * INSTANCE ** 2 * 3].map((length) =>
        Uint8Array.from({ length }, () => draws.below(256)),
      );
      const table = inputTable(readExported(files[0]!).input);
      const values = [exemplar!, searches!].flatMap((crops) =>
        [...crops].map((value, at) => table[3 * value + (at % 3)]!),
      );
      const input = join(folder, "crops");
      await writeFile(input, new Uint8Array(Float32Array.from(values).buffer));
      const { stdout } = await run(python as string, [LOADER, input, ...paths], { maxBuffer: 2 ** 24 });
      const answers = stdout.trim().split("\n");
      for (const [i, file] of files.entries()) {
        const backbone = await loadBackbone(file, { backend: "wasm" });
        const [z, x] = [await backbone.embed(exemplar!, 1, EXEMPLAR), await backbone.embed(searches!, 2, INSTANCE)];
        const ours = [...(await backbone.respond(z, x)).values];
        const theirs = (JSON.parse(answers[i]!) as unknown[]).flat(3) as number[];
        expect(theirs).toHaveLength(ours.length);
        const largest = Math.max(...ours.map(Math.abs));
        // Signs beside 0 may fall to either side, and there are thousands of them in a map.
        const worst = Math.max(...ours.map((value, at) => Math.abs(value - theirs[at]!)));
        expect(worst / largest).toBeLessThan(1e-3);
        backbone.dispose();
      }
    }),
);
