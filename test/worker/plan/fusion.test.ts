// What one normalisation kernel takes in, by the shape of the graph, and what a plan then has no need of.

import { describe, expect, test } from "vitest";
import { GraphBuilder } from "../../../shared/model/graph.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import { fuseNormalisations } from "../../../worker/plan/fusion.ts";
import { compilePlan } from "../../../worker/plan/plan.ts";
import { classificationLoss } from "../../../worker/tasks/classification.ts";
import { phaseOf } from "../../fixtures/phases.ts";

function builder(): GraphBuilder {
  return new GraphBuilder({ h: 4, w: 4, c: 8 });
}

function prelu(g: GraphBuilder, name: string, input: number): number {
  return g.add({ op: "activation", kind: "prelu", name, input });
}

describe("fuseNormalisations", () => {
  test("takes a batch norm, the shortcut added to it and the activation behind", () => {
    const g = builder();
    const norm = g.add({ op: "batchnorm", name: "bn", input: g.input });
    g.compare("map", norm);
    const sum = g.add({ op: "add", input: norm, other: g.input });
    const last = prelu(g, "act", sum);
    const { groups, interior } = fuseNormalisations(g.build(last));
    expect([...groups.values()]).toEqual([expect.objectContaining({ norm, shortcut: g.input, last })]);
    expect(groups.get(last)?.activation?.name).toBe("act");
    expect(interior).toEqual(new Set([norm, sum]));
  });

  test("takes the shortcut from either side of a sum", () => {
    const g = builder();
    const norm = g.add({ op: "batchnorm", name: "bn", input: g.input });
    const sum = g.add({ op: "add", input: g.input, other: norm });
    expect(fuseNormalisations(g.build(sum)).groups.get(sum)).toMatchObject({ norm, shortcut: g.input });
  });

  test("of two batch norms that are added, one takes the sum and the other is its shortcut", () => {
    const g = builder();
    const main = g.add({ op: "batchnorm", name: "main", input: g.input });
    const side = g.add({ op: "batchnorm", name: "side", input: g.input });
    const sum = g.add({ op: "add", input: main, other: side });
    const { groups, interior } = fuseNormalisations(g.build(sum));
    expect(groups.get(sum)).toMatchObject({ norm: main, shortcut: side });
    expect(groups.get(side)).toMatchObject({ norm: side, last: side });
    expect(interior).toEqual(new Set([main]));
  });

  test("ends where a second consumer reads, or the output is, or discriminators compare", () => {
    const twice = builder();
    const shared = twice.add({ op: "batchnorm", name: "bn", input: twice.input });
    const act = prelu(twice, "act", shared);
    const both = twice.build(twice.add({ op: "add", input: act, other: shared }));
    expect(fuseNormalisations(both).groups.get(shared)).toMatchObject({ last: shared });
    expect(fuseNormalisations(both).interior.size).toBe(0);

    const seen = builder();
    const norm = seen.add({ op: "batchnorm", name: "bn", input: seen.input });
    prelu(seen, "unused", norm);
    expect(fuseNormalisations(seen.build(norm)).interior.size).toBe(0);

    const compared = builder();
    const bn = compared.add({ op: "batchnorm", name: "bn", input: compared.input });
    const sum = compared.add({ op: "add", input: bn, other: compared.input });
    compared.compare("map", sum);
    const graph = compared.build(prelu(compared, "act", sum));
    expect(fuseNormalisations(graph).groups.get(sum)).toMatchObject({ last: sum });
  });

  test("leaves a sum of a node with itself alone", () => {
    const g = builder();
    const norm = g.add({ op: "batchnorm", name: "bn", input: g.input });
    const graph = g.build(g.add({ op: "add", input: norm, other: norm }));
    expect(fuseNormalisations(graph).groups.get(norm)).toMatchObject({ last: norm });
  });
});

const resNet = buildNetworks(parseConfig({ model: { kind: "resnet", widths: [8, 16], blocks: [2, 2] } }), {
  shape: { h: 32, w: 32, c: 3 },
  classes: 7,
});

test("a ResNet's student round adds, copies, packs and pools no map by itself", () => {
  const { list } = compilePlan({
    networks: resNet,
    phase: phaseOf("student"),
    n: 4,
    weights: { adversarial: 1 },
    adversarialReduce: "mean",
    loss: classificationLoss(0),
    accumulate: "exact",
  });
  const labels = list.launches.map(({ kernel }) => kernel.label.split(" ")[0]);
  for (const verb of ["add", "addTo", "copy", "packSigns", "preluForward", "preluBackward"]) {
    expect(labels).not.toContain(verb);
  }
  // Before the student's classifier, and back from it; the teacher's is never reached.
  expect(labels.filter((label) => label.startsWith("globalAveragePool"))).toHaveLength(2);
});

test("an evaluation stores no map that a binary layer alone reads, only its signs", () => {
  const leNet = buildNetworks(parseConfig({}), { shape: { h: 28, w: 28, c: 1 }, classes: 10 });
  const { list } = compilePlan({
    networks: leNet,
    phase: phaseOf("evaluate-student"),
    n: 4,
    adversarialReduce: "mean",
    loss: classificationLoss(0),
    accumulate: "exact",
  });
  const signs = list.launches.filter(({ kernel }) => kernel.bindings.some(({ name }) => name === "bits"));
  expect(signs).toHaveLength(2);
  for (const { kernel } of signs) expect(kernel.bindings.map(({ name }) => name)).not.toContain("y");
});
