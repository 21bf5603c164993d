// The table of methods: each builds into every network in both orders of a block, and its companions are what their
// roles say.
import { describe, expect, test } from "vitest";
import { rng } from "../../../../shared/base/rng.ts";
import type { LatentLayer } from "../../../../shared/model/methods/method.ts";
import { methods } from "../../../../shared/model/methods/methods.ts";
import { parseConfig } from "../../../../shared/run/config.ts";
import { buildNetworks } from "../../../../shared/run/networks.ts";

const gray = { shape: { h: 28, w: 28, c: 1 }, classes: 10 };
const names = (manifest: { readonly entries: readonly { readonly name: string }[] }) =>
  manifest.entries.map(({ name }) => name);

function studentOf(method: Record<string, unknown>, model: Record<string, unknown>) {
  return buildNetworks(parseConfig({ method, model }), gray).student;
}

const wrn = { kind: "wrn", depth: 10, widths: [4, 4, 8, 8] };

test.each(["xnor", "bireal", "bnn"])("%s sends a scale that follows from W, and saves none", (kind) => {
  const { manifest, saved, latent } = studentOf({ kind }, wrn);
  expect(latent).toHaveLength(6);
  for (const { weight, companions } of latent) {
    expect(Object.values(companions).map(({ role }) => role)).toEqual(["derived"]);
    expect(names(manifest)).toContain(companions.c.name);
    expect(names(saved)).not.toContain(companions.c.name);
    expect(companions.c.shape).toEqual(kind === "bnn" ? [1, 1, 1, 1] : [weight.shape[0], 1, 1, 1]);
  }
});

test("all methods have the same networks but for their scales, unless they stand in their authors' order", () => {
  const topology = (method: Record<string, unknown>) => {
    const { graph } = studentOf(method, wrn);
    return graph.nodes.map((node) => [node.op, "input" in node ? node.input : null]);
  };
  const common = topology({ kind: "rbcn", ablation: "R" });
  for (const kind of ["xnor", "bireal", "bnn"]) expect(topology({ kind })).toEqual(common);
  // One norm more before the mean over positions, and no activation after a sum but the last.
  const opsOf = (kind: string) => topology({ kind, blockOrder: "paper" }).map(([op]) => op);
  const count = (ops: readonly unknown[], op: string) => ops.filter((one) => one === op).length;
  const ops = common.map(([op]) => op);
  expect(count(opsOf("xnor"), "batchnorm")).toBe(count(ops, "batchnorm") + 1);
  expect(count(opsOf("xnor"), "activation")).toBe(2);
  expect(count(opsOf("bireal"), "activation")).toBe(1);
  expect(count(opsOf("bnn"), "activation")).toBe(count(ops, "activation"));
});

test("XNOR-Net's block has its norm right before the sign in its authors' order", () => {
  const { graph } = studentOf({ kind: "xnor", blockOrder: "paper" }, wrn);
  for (const node of graph.nodes) {
    if (node.op === "rbconv") expect(graph.nodes[node.input].op).toBe("batchnorm");
  }
});

describe("what a method does to W after an update", () => {
  const draw = rng(4);
  const layer = (): LatentLayer => ({
    shape: [3, 2, 2, 5],
    weight: Float32Array.from({ length: 60 }, () => 1.5 * draw.normal()),
    companions: {},
  });
  const settled = (options: Record<string, unknown> & { readonly kind: string }) => {
    const one = layer();
    const before = one.weight.slice();
    methods.get(options.kind).create(options).rule?.settle?.(one, before);
    return { before, after: one.weight };
  };

  test("XNOR-Net takes the mean over input channels away, then clamps", () => {
    const { before, after } = settled({ kind: "xnor" });
    for (let at = 0; at < 60; at += 5) {
      const mean = before.subarray(at, at + 5).reduce((sum, w) => sum + w, 0) / 5;
      for (let i = at; i < at + 5; i++) expect(after[i]).toBeCloseTo(Math.min(1, Math.max(-1, before[i] - mean)), 6);
    }
    const left = settled({ kind: "xnor", centre: false });
    expect(left.after).toEqual(left.before);
  });

  test.each(["rbcn", "bireal", "bnn"])("%s clamps to ±1", (kind) => {
    const { before, after } = settled({ kind });
    expect(after).toEqual(before.map((w) => Math.min(1, Math.max(-1, w))));
  });
});
