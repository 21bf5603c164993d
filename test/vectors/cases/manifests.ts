// Vectors of networks: what parameters they have, in which order, where they lie in a blob and in a contribution.

import { parseConfig } from "../../../shared/run/config.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import { phasesOf } from "../../../shared/run/program.ts";
import { phaseLayout } from "../../../shared/wire/contribution.ts";
import { parameterSets, setLayout, setManifest } from "../../../shared/wire/parameter-set.ts";
import { shapedBy } from "./run.ts";

const grey = { shape: { h: 28, w: 28, c: 1 }, classes: 10 };
const colour = { shape: { h: 32, w: 32, c: 3 }, classes: 100 };

const runs: readonly { name: string; config: Record<string, unknown>; dataset: typeof grey }[] = [
  { name: "lenet rbcn", config: {}, dataset: grey },
  { name: "lenet rbcn local", config: { sync: { kind: "local" } }, dataset: grey },
  {
    name: "wrn-10 xnor, paper's order",
    config: { method: { kind: "xnor", blockOrder: "paper" }, model: { kind: "wrn", depth: 10 } },
    dataset: colour,
  },
  {
    name: "resnet rbcn, imagenet's stem",
    config: {
      model: { kind: "resnet", widths: [8, 16], blocks: [1, 1], stem: "imagenet" },
      method: { kind: "rbcn", rectify: "filter" },
    },
    dataset: { shape: { h: 64, w: 64, c: 3 }, classes: 7 },
  },
  {
    name: "resnet rbcn, taught by torchvision's",
    config: {
      model: { kind: "resnet", widths: [4, 6], blocks: [1, 2] },
      teacher: { file: "teacher.safetensors", model: { widths: [4, 6], blocks: [1, 2], stem: "cifar" } },
    },
    dataset: { shape: { h: 16, w: 16, c: 3 }, classes: 7 },
  },
];

export function manifests() {
  return runs.map(({ name, config: given, dataset }) => {
    const config = parseConfig(given);
    const { outline } = phasesOf(config);
    const networks = buildNetworks(config, dataset, outline);
    return {
      name,
      config: shapedBy(config),
      dataset,
      sets: parameterSets(networks).map((set) => {
        const layout = setLayout(networks, config, set);
        const tensors = setManifest(networks, set).entries.map(({ name: tensor, role, shape }) => {
          const { encoding, offset } = layout.tensors.get(tensor)!;
          return [tensor, role, shape, encoding, offset];
        });
        return { set, bytes: layout.bytes, tensors };
      }),
      phases: outline.phases.map((phase) => {
        const { tensors, size, metrics } = phaseLayout(networks, phase, config.sync.kind);
        return {
          phase: phase.name,
          elements: size,
          metrics,
          tensors: tensors.map((one) => [one.name, one.kind, one.size, one.wide, one.offset]),
        };
      }),
    };
  });
}
