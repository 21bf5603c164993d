// Discriminators that share a dispatch compute what each computes alone, to the bit, and write all that they owe.

import { expect, test } from "vitest";
import { copy } from "../../../kernels/steps/copy.ts";
import { GUARANTEED_TRAITS } from "../../../kernels/text/adapter-traits.ts";
import { quadsFor } from "../../../kernels/text/quads.ts";
import { criticsOf, type Graph, GraphBuilder } from "../../../shared/model/graph.ts";
import { discriminatorManifest, type Manifest } from "../../../shared/model/manifest.ts";
import { contributionLayout } from "../../../shared/wire/contribution.ts";
import { blobLayout, encodeBlob } from "../../../shared/wire/parameter-blob.ts";
import { PipelineCache } from "../../../worker/pipeline-cache.ts";
import { discriminatorGroups } from "../../../worker/plan/discriminator-groups.ts";
import { type Adversarial, pooledMaps, recordAdversarial } from "../../../worker/plan/discriminators.ts";
import { LaunchList, type Ref } from "../../../worker/plan/launch-list.ts";
import { arenaRefs, blobRefs } from "../../../worker/plan/plan.ts";
import { testDevice } from "../../fixtures/device.ts";
import { everything } from "../../fixtures/phases.ts";
import { uniform } from "../../kernels/data.ts";
import { execute, roundData } from "../../verify/execute.ts";

const N = 5;

/** A graph of 1×1 maps of the given widths, all compared. */
function mapsOf(widths: readonly number[], critic: (map: number) => string = (map) => `map${map}`): Graph {
  const g = new GraphBuilder({ h: 1, w: 1, c: 1 });
  widths.forEach((out, i) => {
    const map = g.add({ op: "conv", name: `map${i}`, input: 0, out, kernel: 1, stride: 1, padding: 0 });
    g.compare(`map${i}`, map, critic(i));
  });
  return g.build(0);
}

/** The tensors in an order in which no two discriminators lie at a constant distance. */
function scattered({ entries }: Manifest): Manifest {
  return {
    entries: entries
      .map((entry, i) => ({ entry, key: Math.imul(i + 1, 0x9e3779b1) >>> 0 }))
      .sort((a, b) => a.key - b.key)
      .map(({ entry }) => entry),
  };
}

function tensorsOf(manifest: Manifest) {
  const arena = arenaRefs(contributionLayout(manifest, everything));
  return { parameter: blobRefs("parameters", blobLayout(manifest)), gradient: (name: string) => arena(name) as Ref };
}

interface Recorded extends Adversarial {
  readonly list: LaunchList;
}

/**
 * Teacher's maps from `sample.real`, the student's from `sample.fake`: [maps][N][c] with each map at a multiple of 64
 * elements.
 */
function record(
  graph: Graph,
  manifest: Manifest,
  lambda: number,
  inPlace: boolean,
  { quads = false, small = false, n = N }: { readonly quads?: boolean; readonly small?: boolean; readonly n?: number },
): Recorded {
  const list = new LaunchList(undefined, undefined, () => small);
  const tensors = tensorsOf(manifest);
  let offset = 0;
  const inputs = graph.maps.map(({ node }) => {
    const size = n * graph.shapes[node].c;
    const at = offset;
    offset += Math.ceil(size / 64) * 64;
    const ref = (buffer: "sample.real" | "sample.fake"): Ref => ({
      kind: "external",
      buffer,
      offset: 4 * at,
      bytes: 4 * size,
    });
    return { real: ref("sample.real"), fake: ref("sample.fake"), size };
  });
  const pooled = inPlace ? pooledMaps(list, graph, n, tensors) : undefined;
  inputs.forEach(({ real, fake, size }, i) => {
    if (!pooled) return;
    list.run(copy({ size }), { x: real, y: pooled.real[i] });
    list.run(copy({ size }), { x: fake, y: pooled.fake[i] });
  });
  const real = pooled?.real ?? inputs.map((input) => input.real);
  const fake = pooled?.fake ?? inputs.map((input) => input.fake);
  const adversarial = recordAdversarial(list, graph, real, fake, { n, lambda, reduce: "mean", quads, ...tensors });
  for (const ref of [adversarial.metrics, ...adversarial.dPooled]) if (ref) list.keep(ref);
  return { ...adversarial, list };
}

const cache = new PipelineCache(await testDevice());

/** Every result by name, as raw bits; the arena is full of NaN before. */
async function results(
  graph: Graph,
  manifest: Manifest,
  lambda: number,
  inPlace: boolean,
  how: Parameters<typeof record>[4] = {},
) {
  const { list, metrics, dPooled } = record(graph, manifest, lambda, inPlace, how);
  const layout = contributionLayout(manifest, everything);
  const names = discriminatorManifest(graph).entries;
  const parameters = new Map(
    names.map(({ name, shape }, i) => [
      name,
      uniform(
        shape.reduce((a, b) => a * b, 1),
        i + 1,
      ).map((v) => v / 4),
    ]),
  );
  const executed = await execute(cache, list, {
    ...roundData(manifest),
    gradient: new Float32Array(layout.size).fill(Number.NaN),
    parameters: encodeBlob(manifest, blobLayout(manifest), parameters),
    "sample.real": uniform(4096, 101),
    "sample.fake": uniform(4096, 102),
  });
  const { gradient } = tensorsOf(manifest);
  const bits = async (ref: Ref) => [...new Uint32Array((await executed.read(ref)).buffer)];
  const values: Record<string, readonly number[] | undefined> = { metrics: await bits(metrics) };
  for (const { name } of names) values[name] = await bits(gradient(name));
  for (const [i, ref] of dPooled.entries()) values[`dPooled ${i}`] = ref && (await bits(ref));
  executed.destroy();
  return { values, launches: list.launches.length };
}

const graph = mapsOf([4, 4, 8]);
const together = discriminatorManifest(graph);

test("discriminatorGroups joins neighbours' layers of one width at one distance", () => {
  const groupsOf = (layer: number, widths: readonly number[], order: (m: Manifest) => Manifest = (m) => m) => {
    const maps = mapsOf(widths);
    const groups = discriminatorGroups(criticsOf(maps), tensorsOf(order(discriminatorManifest(maps))), layer);
    return groups.map((g) => [g.first, g.count]);
  };
  expect(groupsOf(0, [4, 4, 8])).toEqual([
    [0, 2],
    [2, 1],
  ]);
  expect(groupsOf(0, [32, 32, 32, 64, 32])).toEqual([
    [0, 3],
    [3, 1],
    [4, 1],
  ]);
  expect(groupsOf(0, [4, 8])).toEqual([
    [0, 1],
    [1, 1],
  ]);
  // Two are always at one distance, and behind the first layer of one width.
  expect(groupsOf(1, [4, 8])).toEqual([[0, 2]]);
  expect(groupsOf(1, [4, 4, 8])).toEqual([
    [0, 2],
    [2, 1],
  ]);
  for (const layer of [0, 1]) {
    expect(groupsOf(layer, [4, 4, 8], scattered)).toEqual([
      [0, 1],
      [1, 1],
      [2, 1],
    ]);
  }
});

test("recordAdversarial computes the same bits grouped, apart, and from maps that are not in place", async () => {
  const grouped = await results(graph, together, 0.5, true);
  const apart = await results(graph, scattered(together), 0.5, false);
  expect(apart.values).toEqual(grouped.values);
  expect(apart.launches).toBeGreaterThan(grouped.launches);
});

test("recordAdversarial computes the same bits in quads, and in small tiles", async () => {
  expect(quadsFor({ ...GUARANTEED_TRAITS, subgroups: cache.device.features.has("subgroups") })).toBe(true);
  const { values } = await results(graph, together, 0.5, true);
  for (const how of [{ quads: true }, { small: true }, { quads: true, small: true }]) {
    expect((await results(graph, together, 0.5, true, how)).values).toEqual(values);
  }
});

test("recordAdversarial writes every gradient of its manifest with finite numbers", async () => {
  const { values } = await results(graph, together, 0.5, true);
  const exponent = (bits: number) => (bits >>> 23) & 0xff;
  expect(Object.entries(values).filter(([, v]) => !v || v.some((bits) => exponent(bits) === 0xff))).toEqual([]);
});

test("a discriminator of two branches sees their maps as samples of one", async () => {
  // Two maps of five samples lie in memory as one of ten; the second discriminator has another width.
  const branches = mapsOf([64, 128, 64, 128], (map) => `d${map % 2}`);
  const inputs = [64, 64, 128, 128];
  const sorted = mapsOf(inputs, (map) => `d${Math.floor(map / 2)}`);
  expect(criticsOf(branches)).toEqual([
    { name: "d0", maps: [0, 2], channels: 64 },
    { name: "d1", maps: [1, 3], channels: 128 },
  ]);
  const single = mapsOf([64, 128], (map) => `d${map}`);
  const manifest = discriminatorManifest(single);
  expect(discriminatorManifest(branches)).toEqual(manifest);
  const whole = await results(single, manifest, 0.5, true, { n: 2 * N });
  for (const inPlace of [true, false]) {
    const { values } = await results(sorted, manifest, 0.5, inPlace);
    const halves = (critic: number) => [0, 1].flatMap((half) => values[`dPooled ${2 * critic + half}`] ?? []);
    expect(halves(0)).toEqual(whole.values["dPooled 0"]);
    expect(halves(1)).toEqual(whole.values["dPooled 1"]);
    for (const name of ["metrics", ...manifest.entries.map((entry) => entry.name)]) {
      expect(values[name], name).toEqual(whole.values[name]);
    }
  }
});

test("maps of one discriminator have the same channels, and each discriminator as many", () => {
  expect(() => criticsOf(mapsOf([4, 8], () => "d"))).toThrow(/judges 4 channels, and the map has 8/);
  expect(() => criticsOf(mapsOf([4, 4, 4], (map) => `d${Math.floor(map / 2)}`))).toThrow(/d1 judges 1 maps, and d0 2/);
});

test("recordAdversarial with lambda 0 trains the discriminators alone, to the same bits", async () => {
  const { values: trained } = await results(graph, together, 0.5, true);
  const { values } = await results(graph, together, 0, true);
  expect(graph.maps.map((_, i) => values[`dPooled ${i}`])).toEqual([undefined, undefined, undefined]);
  for (const { name } of together.entries) expect(values[name], name).toEqual(trained[name]);
  expect(values.metrics).toEqual(trained.metrics);
});
