// Vectors of the canary: the layers that a network has for it, and the answers to some seeds.

import { crc32c } from "../../../shared/base/crc32c.ts";
import { canaryAnswer, canaryLayers, canaryOperands, canarySums } from "../../../shared/model/canary.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import { phasesOf } from "../../../shared/run/program.ts";
import { bytesOf } from "../text.ts";
import { shapedBy } from "./run.ts";

const data = { shape: { h: 28, w: 28, c: 1 }, classes: 10 };
const large = { shape: { h: 32, w: 32, c: 3 }, classes: 10 };

const runs = [
  { name: "lenet", config: {}, data, seeds: [0, 1, 3735928559] },
  { name: "resnet-18", config: { model: { kind: "resnet" } }, data: large, seeds: [5] },
  { name: "wrn-22", config: { model: { kind: "wrn" } }, data: large, seeds: [5] },
] as const;

export function canary() {
  return runs.map(({ name, config: given, data: dataset, seeds }) => {
    const config = parseConfig(given);
    const { outline } = phasesOf(config);
    const layers = canaryLayers(buildNetworks(config, dataset, outline)[outline.primary].graph);
    return {
      name,
      config: shapedBy(config),
      dataset,
      layers: layers.map(({ shape }) => shape),
      answers: seeds.map((seed) => ({
        seed,
        layers: layers.map((layer, index) => {
          const { a, w } = canaryOperands(layer, index, seed);
          const sums = canarySums(layer, { a, w });
          return {
            a: [...a.subarray(0, 4)],
            w: [...w.subarray(0, 4)],
            sums: [...sums.subarray(0, 4)],
            crc32c: crc32c(bytesOf(Int32Array.from(sums))),
          };
        }),
        hash: canaryAnswer(layers, seed),
      })),
    };
  });
}
