// Rules of a tracker's two ONNX files: backbone and head give in onnxruntime what the words of the export's format say.

import { expect, test } from "vitest";
import { writeOnnxTracker } from "../../../../coordinator/export/onnx/onnx-tracker.ts";
import { weightKinds } from "../../../../coordinator/export/onnx/weights.ts";
import { rng } from "../../../../shared/base/rng.ts";
import { atSide, readExported } from "../../../../shared/export/read-exported.ts";
import { inputValues } from "../../../../shared/export/see-picture.ts";
import { nhwcToNchw } from "../../../../shared/model/axes.ts";
import { drawnTracker, EXEMPLAR } from "../../../fixtures/drawn-tracker.ts";
import { type OnnxFeed, runOnnxNamed } from "../../../fixtures/onnx-runtime.ts";
import { referenceFeatures, referenceResponse } from "../../../fixtures/reference-response.ts";

const SEARCH = 143;
const draw = rng(7, "crops");
const drawn = (side: number) => Uint8Array.from({ length: side * side * 3 }, () => draw.below(256));

/** Greatest difference, in parts of the greatest number. */
function distance(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const most = (values: readonly number[]) => values.reduce((x, y) => Math.max(x, Math.abs(y)), 0);
  expect(a.length).toBe(b.length);
  return most(Array.from(a, (one, i) => one - b[i]!)) / most(Array.from(b));
}

test.each([
  ["floats", {}],
  ["few bits", { method: { kind: "rbcn" } }],
] as const)(
  "X27 of a tracker of %s backbone and head give in onnxruntime its features and responses, of crops of any side",
  async (_title, options) => {
    const model = readExported(drawnTracker(options));
    const [target, searches] = [drawn(EXEMPLAR), [drawn(SEARCH), drawn(SEARCH)]];
    const feed = (crops: readonly Uint8Array[], side: number): OnnxFeed => {
      const { input } = atSide(model, side);
      const each = crops.map((crop) => nhwcToNchw(inputValues(input, crop), [1, 3, side, side]));
      return { dims: [crops.length, 3, side, side], values: Float32Array.from(each.flatMap((one) => [...one])) };
    };
    const [float, packed] = await Promise.all(
      weightKinds.map(async (weights) => {
        const { backbone, head } = writeOnnxTracker(model, weights);
        const [exemplar, search] = await runOnnxNamed(
          backbone,
          { crop: feed([target], EXEMPLAR) },
          { crop: feed(searches, SEARCH) },
        );
        const [response] = await runOnnxNamed(head, { exemplar: exemplar!, search: search! });
        return { exemplar: exemplar!, search: search!, response: response! };
      }),
    );
    expect(packed).toEqual(float);
    const { exemplar, search, response } = float!;
    const channels = model.shapes[model.output]!.c;
    expect([exemplar.dims, search.dims, response.dims]).toEqual([
      [1, channels, 6, 6],
      [2, channels, 8, 8],
      [2, 1, 3, 3],
    ]);
    expect(distance(exemplar.values, referenceFeatures(model, target, EXEMPLAR))).toBeLessThan(1e-5);
    const wanted = searches.flatMap((crop) => [
      ...referenceResponse(model, { crop: target, side: EXEMPLAR }, { crop, side: SEARCH }),
    ]);
    expect(distance(response.values, wanted)).toBeLessThan(1e-5);
  },
);
