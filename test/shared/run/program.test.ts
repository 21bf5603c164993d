// The phase program's rules: every step has one place, every pass covers its samples exactly once.
import fc from "fast-check";
import { expect, test } from "vitest";
import { parseConfig } from "../../../shared/run/config.ts";
import { phaseProgram, placeOf } from "../../../shared/run/program.ts";

test("the steps of a pass cover its samples exactly once, in order, whatever the sizes", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 500 }),
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 1, max: 3 }),
      fc.constantFrom("R", "R+G", "R+G+B"),
      (samples, batch, epochs, ablation) => {
        const config = parseConfig({ batch, microbatch: 1, epochs, method: { ablation }, bnPhase: 0.3 });
        const program = phaseProgram(config, samples);
        const covered = new Map<number, number>();
        for (let step = 0; step < program.steps; step++) {
          const { pass, from, to, last } = placeOf(program, step, batch);
          expect(from).toBe(covered.get(pass.index) ?? 0);
          expect(to).toBeGreaterThan(from);
          expect(last).toBe(to === pass.samples);
          covered.set(pass.index, to);
        }
        expect(program.passes.map((p) => covered.get(p.index))).toEqual(program.passes.map((p) => p.samples));
      },
    ),
  );
});

test("R trains no teacher, R+G adds it and L_Adv after the warm-up, R+G+B ends each epoch with the BN phase", () => {
  const kinds = (ablation: string, extra = {}) =>
    phaseProgram(
      parseConfig({ method: { ablation }, epochs: 2, adversarial: { warmupEpochs: 1 }, ...extra }),
      256,
    ).passes.map((p) => `${p.phase}${p.weights.adversarial > 0 ? "+adv" : ""}${p.evaluate ? "!" : ""}`);
  expect(kinds("R")).toEqual(["student!", "student!"]);
  expect(kinds("R+G")).toEqual(["teacher", "teacher!", "student!", "student+adv!"]);
  expect(kinds("R+G+B")).toEqual(["teacher", "teacher!", "student", "bn!", "student+adv", "bn!"]);
  expect(kinds("R+G", { teacher: { file: "t.safetensors" } })).toEqual(["student!", "student+adv!"]);
});

test("a step outside the program is refused", () => {
  const program = phaseProgram(parseConfig({}), 256);
  expect(() => placeOf(program, program.steps, 128)).toThrow(RangeError);
});
