// A network run once over a batch by the code that records whole plans: its output and every gradient, by name.

import type { Packing } from "../../../kernels/layers/pack-lanes.ts";
import type { Graph } from "../../../shared/model/graph.ts";
import { networkManifest } from "../../../shared/model/manifest.ts";
import { contributionLayout } from "../../../shared/wire/contribution.ts";
import { blobLayout, encodeBlob, type Parameters } from "../../../shared/wire/parameter-blob.ts";
import { PipelineCache } from "../../../worker/pipeline-cache.ts";
import { recordBackward } from "../../../worker/plan/backward.ts";
import { outputOf, recordForward } from "../../../worker/plan/forward.ts";
import type { memoryModes } from "../../../worker/plan/kept-values.ts";
import { LaunchList, type Ref } from "../../../worker/plan/launch-list.ts";
import { outputElements } from "../../../worker/plan/network-buffers.ts";
import { NodeGradients } from "../../../worker/plan/node-gradients.ts";
import { arenaRefs, blobRefs } from "../../../worker/plan/plan.ts";
import { testDevice } from "../../fixtures/device.ts";
import { everything } from "../../fixtures/phases.ts";
import { type Executed, execute, roundData } from "../../verify/execute.ts";

/** What a pass is over. */
export interface PassData {
  readonly n: number;
  readonly values: Parameters;
  readonly images: Float32Array;
  /** ∂L/∂y. */
  readonly seed: Float32Array;
  /** Who packs signs; `words` unless given. */
  readonly packing?: Packing;
}

/** One pass over the images, forward and, unless it evaluates, backward: what it gave, by name. */
export async function onePass(
  of: Graph,
  memory: (typeof memoryModes)[number] | "evaluate",
  { n, values, images, seed, packing = "words" }: PassData,
): Promise<{ readonly results: ReadonlyMap<string, Float32Array>; readonly list: LaunchList }> {
  const manifest = networkManifest(of);
  const [layout, blob] = [contributionLayout(manifest, everything), blobLayout(manifest)];
  const arena = arenaRefs(layout);
  const list = new LaunchList(undefined, packing);
  const external = (buffer: "sample.input" | "sample.seed", bytes: number): Ref => ({
    kind: "external",
    buffer,
    offset: 0,
    bytes,
  });
  const trains = memory !== "evaluate";
  const net = {
    parameter: blobRefs("parameters", blob),
    ...(trains && { statistic: (name: string) => arena(name)! }),
  };
  const trace = recordForward(list, of, n, () => external("sample.input", images.byteLength), net);
  const wanted = new Map([["y", outputOf(trace, of.output)]]);
  list.keep(outputOf(trace, of.output));
  if (trains) {
    const gradients = new NodeGradients(list, outputElements(of, n));
    gradients.add(of.output, external("sample.seed", seed.byteLength));
    recordBackward(list, of, n, net, trace, gradients, { gradient: arena, inputGradient: true, memory });
    for (const { name } of layout.tensors) wanted.set(name, arena(name)!);
    const dx = gradients.get(0)!;
    list.keep(dx);
    wanted.set("dx", dx);
  }
  const executed: Executed = await execute(new PipelineCache(await testDevice()), list, {
    ...roundData(manifest),
    parameters: encodeBlob(manifest, blob, values),
    "sample.input": images,
    "sample.seed": seed,
  });
  const results = new Map<string, Float32Array>();
  for (const [name, ref] of wanted) results.set(name, await executed.read(ref));
  executed.destroy();
  return { results, list };
}
