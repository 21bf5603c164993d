// INQ over a whole run: each portion begins with its phase, what is frozen never moves again, and at the end every
// weight is 0 or a power of two.
import { expect, test } from "vitest";
import { Ledger } from "../../../coordinator/round/ledger.ts";
import { placeOf } from "../../../shared/run/program.ts";
import { parameter } from "../../../shared/wire/parameter-blob.ts";
import { advance, tinyConfig, tinyState } from "../../fixtures/tiny-run.ts";

const layers = ["conv2", "conv3"];
const portions = [0.5, 0.75, 1];

test("portions freeze with their phases, and the last leaves 0 and powers of two alone", () => {
  const state = tinyState(tinyConfig({ method: { kind: "inq", portions, pretrain: 0.25 }, epochs: 4 }));
  const { student } = state.parameters;
  const of = (layer: string, name: string) => parameter(student, `${layer}.${name}`);
  const share: Readonly<Record<string, number>> = { student: 0, "portion-1": 0.5, "portion-2": 0.75, "portion-3": 1 };
  const seen = new Set<string>();
  const ledger = new Ledger();
  while (state.step < state.program.steps) {
    const { phase } = placeOf(state.program, state.step, state.config.batch).pass;
    seen.add(phase);
    const before = layers.map((layer) => ({
      frozen: of(layer, "frozen").slice(),
      weight: of(layer, "weight").slice(),
    }));
    advance(state, ledger);
    layers.forEach((layer, at) => {
      const { frozen, weight } = before[at];
      const count = frozen.reduce((a, b) => a + b, 0);
      expect(count).toBe(Math.floor(share[phase] * weight.length));
      const now = of(layer, "weight");
      frozen.forEach((one, i) => {
        if (one === 1) expect(now[i]).toBe(weight[i]);
      });
      if (count < weight.length) expect(now).not.toEqual(weight);
    });
  }
  expect([...seen]).toEqual(Object.keys(share));
  for (const layer of layers) {
    for (const w of of(layer, "weight")) expect(w === 0 || Number.isInteger(Math.log2(Math.abs(w)))).toBe(true);
  }
});
