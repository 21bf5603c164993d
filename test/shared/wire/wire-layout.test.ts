// Rules of what travels how: which tensors are coded, in which order, in how many bytes.

import { expect, test } from "vitest";
import { codecs } from "../../../shared/codecs/codecs.ts";
import { phaseManifest } from "../../../shared/run/networks.ts";
import { phaseLayout, WIDE_ELEMENTS } from "../../../shared/wire/contribution.ts";
import { gatherArena, wireLayout } from "../../../shared/wire/wire-layout.ts";
import { layoutOf } from "../../fixtures/codec-cases.ts";
import { phaseOf } from "../../fixtures/phases.ts";
import { tinyConfig, tinyState } from "../../fixtures/tiny-run.ts";

const layout = layoutOf({ n0: 10, w0: 70, n1: 64, w1: 64 });

test("exact and f32 are the arena as it is; the others put the wide tensors last", () => {
  for (const codec of ["exact", "f32"] as const) {
    const wire = wireLayout(layout, codec);
    expect(wire.tensors.map(({ name, at }) => [name, at])).toEqual(layout.tensors.map((t) => [t.name, t.offset]));
    expect([wire.plain, wire.wide, wire.segments]).toEqual([layout.size, 0, layout.segments]);
  }
  for (const codec of ["f16", "int8", "sign"] as const) {
    const wire = wireLayout(layout, codec);
    expect(wire.tensors.map(({ name, at, index }) => [name, at, index])).toEqual([
      ["n0", 0, 0],
      ["n1", 64, 2],
      ["w0", 128, 1],
      ["w1", 256, 3],
    ]);
    expect([wire.plain, wire.wide, [...wire.segments]]).toEqual([128, 192, [0, 2, 1, 1, 3]]);
  }
});

test("a body has 4, 2, 1 and 1/64, or 1/8 bytes for each element", () => {
  const bytes = Object.fromEntries(codecs.kinds.map((codec) => [codec, wireLayout(layout, codec).bytes]));
  expect(bytes).toEqual({ exact: 1280, f32: 1280, f16: 512 + 384, int8: 512 + 3 + 192, sign: 512 + 24 });
});

test("gathering takes a part of the arena into the wire's order", () => {
  const arena = Float32Array.from({ length: layout.size }, (_, i) => i);
  const wire = wireLayout(layout, "sign");
  const narrow = gatherArena(arena, wire, 0, wire.plain);
  expect([narrow[0], narrow[9], narrow[10], narrow[64], narrow[127]]).toEqual([0, 9, 0, 192, 255]);
  const wide = gatherArena(arena, wire, wire.plain, wire.plain + wire.wide);
  expect([wide[0], wide[69], wide[70], wide[128], wide[191]]).toEqual([64, 133, 0, 256, 319]);
});

test("wide are the weight gradients of convolutions, linear layers and discriminators from 1,024 elements on", () => {
  const state = tinyState(tinyConfig({ model: { kind: "lenet", widths: [12, 24, 96] } }));
  const { tensors } = phaseLayout(state.networks, phaseOf("student"));
  const shapes = new Map(
    phaseManifest(state.networks, phaseOf("student")).entries.map(({ name, shape }) => [name, shape]),
  );
  for (const { name, kind, size, wide } of tensors) {
    const matrix = (shapes.get(name)?.length ?? 0) >= 2;
    expect(wide, name).toBe(kind === "gradient" && matrix && size >= WIDE_ELEMENTS);
  }
  const names = tensors.filter(({ wide }) => wide).map(({ name }) => name);
  expect(names).toContain("conv2.weight");
  expect(names.some((name) => name.startsWith("discriminator."))).toBe(true);
  expect(names).not.toContain("metrics");
});
