// The backbone of a tracker on the CPU: its responses are those of plain loops in float64, for crops of any side.

import { expect, test } from "vitest";
import { rng } from "../../../shared/base/rng.ts";
import { readExported } from "../../../shared/export/read-exported.ts";
import { load, loadBackbone } from "../../../worker/inference/index.ts";
import { drawnFile, methodGraph } from "../../fixtures/drawn-export.ts";
import { drawnTracker, EXEMPLAR } from "../../fixtures/drawn-tracker.ts";
import { referenceResponse } from "../../fixtures/reference-response.ts";

function drawnCrops(n: number, side: number, seed: string): Uint8Array<ArrayBuffer> {
  const draws = rng("crops", seed);
  return Uint8Array.from({ length: n * side * side * 3 }, () => draws.below(256));
}

/** A smaller search than a tracker's own: any side does. */
const SEARCH = 151;

test.each([
  ["floats", {}],
  ["few bits", { method: { kind: "rbcn" } }],
  ["bits that are scaled by output", { method: { kind: "bireal" } }],
  ["planes", { method: { kind: "abc" }, groups: 1 }],
] as const)("X50 a backbone of %s answers as plain loops do, one exemplar to two searches", async (_title, options) => {
  const file = drawnTracker(options);
  const model = readExported(file);
  const backbone = await loadBackbone(file, { backend: "wasm" });
  const exemplar = drawnCrops(1, EXEMPLAR, "exemplar");
  const searches = drawnCrops(2, SEARCH, "searches");
  const z = await backbone.embed(exemplar, 1, EXEMPLAR);
  const x = await backbone.embed(searches, 2, SEARCH);
  const { n, side, values } = await backbone.respond(z, x);
  expect([n, z.side, x.side, side]).toEqual([2, 6, 9, 4]);
  const each = searches.length / 2;
  const wanted = [0, 1].flatMap((i) => [
    ...referenceResponse(
      model,
      { crop: exemplar, side: EXEMPLAR },
      { crop: searches.subarray(i * each, (i + 1) * each), side: SEARCH },
    ),
  ]);
  const size = Math.max(...wanted.map(Math.abs));
  expect(size).toBeGreaterThan(0);
  expect(Math.max(...wanted.map((value, i) => Math.abs(value - values[i]!))) / size).toBeLessThan(1e-4);
  x.release();
  await expect(backbone.respond(z, x)).rejects.toMatchObject({ code: "DATA_INVALID" });
  backbone.dispose();
  await expect(backbone.embed(exemplar, 1, EXEMPLAR)).rejects.toMatchObject({ code: "COMPUTE_FAILED" });
});

test("X51 what a backbone cannot take is refused by what it is", async () => {
  const file = drawnTracker();
  const [backbone, other] = await Promise.all([0, 1].map(() => loadBackbone(file, { backend: "wasm" })));
  const crop = drawnCrops(1, EXEMPLAR, "crop");
  const refused = async (work: Promise<unknown>, code: string, message: RegExp) =>
    expect(work).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  await refused(
    backbone!.embed(crop, 2, EXEMPLAR),
    "DATA_INVALID",
    /2 crops of 127 × 127 are .* 96774 bytes; got 48387/,
  );
  await refused(backbone!.embed(crop, 0, EXEMPLAR), "DATA_INVALID", /from 1 to 64; got 0/);
  await refused(backbone!.embed(crop, 1, 12), "DATA_INVALID", /12 × 12 do not fit/);
  await refused(backbone!.embed(crop, 1, 1.5), "DATA_INVALID", /whole number from 1 on; got 1.5/);
  await refused(backbone!.embed(crop, 1, 2 ** 30), "DATA_INVALID", /do not fit the network/);
  const [z, x] = [await backbone!.embed(crop, 1, EXEMPLAR), await backbone!.embed(drawnCrops(2, 135, "x"), 2, 135)];
  await refused(other!.respond(z, z), "DATA_INVALID", /that this network's embed gave/);
  await refused(backbone!.respond(x, x), "DATA_INVALID", /one crop; got features of 2/);
  const large = await backbone!.embed(drawnCrops(1, 135, "z"), 1, 135);
  await refused(backbone!.respond(large, z), "DATA_INVALID", /as large as the exemplar; got maps of 6 and 7/);
  await refused(load(file), "MODEL_INVALID", /follows a target.*loadBackbone/);
  const classes = drawnFile(
    methodGraph({ kind: "full" }, { kind: "lenet", widths: [2, 2, 4] }, { h: 28, w: 28, c: 1 }),
  );
  await refused(loadBackbone(classes), "MODEL_INVALID", /names classes.*give the file to load/);
  const wild = await loadBackbone(drawnTracker({ scale: 1e38 }), { backend: "wasm" });
  const own = await wild.embed(crop, 1, EXEMPLAR);
  await refused(wild.respond(own, own), "COMPUTE_FAILED", /no number/);
  for (const one of [backbone!, other!, wild]) one.dispose();
});
