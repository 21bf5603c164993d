// The planes of a quantised map as an oracle case writes them, whoever packs them.

import { nhwcToNchw } from "../../shared/model/axes.ts";
import { activationPlanes, type Graph } from "../../shared/model/graph.ts";
import { networkManifest } from "../../shared/model/manifest.ts";
import { signWords } from "../../shared/model/window.ts";
import { blobLayout, encodeBlob, type Parameters } from "../../shared/wire/parameter-blob.ts";
import { LaunchList } from "../../worker/plan/launch-list.ts";
import { blobRefs } from "../../worker/plan/plan.ts";
import { planesTensor, recordQuantise } from "../../worker/plan/quantised.ts";
import { type Comparison, compare } from "./compare.ts";
import { execute } from "./execute.ts";
import type { OracleCase } from "./oracle-case.ts";
import type { Rig } from "./rig.ts";

/**
 * Codes or planes of the graph's quantised map, where the case has them under this prefix.
 * @param x the graph's input, f32 NHWC
 */
export async function planeComparisons(
  rig: Rig,
  test: OracleCase,
  graph: Graph,
  n: number,
  parameters: Parameters,
  x: Float32Array,
  prefix: "out." | "out.activation_",
): Promise<Comparison[]> {
  const kinds = (["codes", "planes"] as const).filter((kind) => test.has(`${prefix}${kind}`));
  if (kinds.length === 0) return [];
  const id = graph.nodes.findIndex(({ op }) => op === "quantise");
  const node = graph.nodes[id];
  if (node?.op !== "quantise") throw new RangeError(`the case has ${prefix}${kinds[0]}, the graph quantises no map`);
  const { h, w, c } = graph.shapes[id];
  const manifest = networkManifest(graph);
  const blob = blobLayout(manifest);
  const planes = activationPlanes(node.rule);
  const results: Comparison[] = [];
  for (const packing of ["words", "lanes"] as const) {
    const list = new LaunchList(rig.choose, packing);
    const input = { kind: "external", buffer: "sample.input", offset: 0, bytes: x.byteLength } as const;
    const bits = planesTensor(list, graph, n, id, node);
    recordQuantise(list, graph, n, id, node, { parameter: blobRefs("parameters", blob) }, input, { bits });
    list.keep(bits);
    const executed = await execute(rig.cache, list, {
      parameters: encodeBlob(manifest, blob, parameters),
      "sample.input": x,
    });
    const words = new Uint32Array((await executed.read(bits)).buffer);
    executed.destroy();
    const set = Array.from({ length: planes }, (_, plane) =>
      nhwcToNchw(planeBits(words, plane, n * h * w, c), [n, c, h, w]),
    );
    for (const kind of kinds) {
      const oracle = test.tensor(`${prefix}${kind}`);
      const values = kind === "codes" ? codesOf(set) : set.flatMap((plane) => Array.from(plane, (bit) => 1 - 2 * bit));
      const flat = { ...oracle, shape: [oracle.data.length] };
      results.push(compare(`${prefix.slice("out.".length)}${kind} by ${packing}`, values, flat, 0));
    }
  }
  return results;
}

/** 0 and 1 of a plane, [rows][channels]. */
function planeBits(words: Uint32Array, plane: number, rows: number, channels: number): Float32Array {
  const across = signWords(channels);
  return Float32Array.from({ length: rows * channels }, (_, i) => {
    const [row, channel] = [Math.floor(i / channels), i % channels];
    return (words[(plane * rows + row) * across + (channel >>> 5)] >>> (channel & 31)) & 1;
  });
}

function codesOf(set: readonly Float32Array[]): Float32Array {
  return set[0].map((_, i) => set.reduce((code, plane, j) => code + plane[i] * 2 ** j, 0));
}
