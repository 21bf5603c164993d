// Rules of a fresh training state and of the hashes that name it.
import { describe, expect, test } from "vitest";
import { Ledger } from "../../../coordinator/round/ledger.ts";
import {
  createTrainingState,
  parametersHash,
  recordEvaluation,
  type TrainingState,
  wireBlob,
} from "../../../coordinator/state/training-state.ts";
import { sha256Hex } from "../../../shared/base/hash.ts";
import { buildNetworks, networkNamed, wireManifest } from "../../../shared/run/networks.ts";
import { layOut, phasesOf } from "../../../shared/run/program.ts";
import { blobLayout, encodeBlob, parameter } from "../../../shared/wire/parameter-blob.ts";
import { advance, tinyConfig, tinyDataset, tinyState } from "../../fixtures/tiny-run.ts";

test("the same configuration gives the same parameters, another seed others", () => {
  const other = tinyState(tinyConfig({ seed: 8 }));
  for (const network of ["teacher", "student"] as const) {
    expect(parametersHash(tinyState(), network)).toBe(parametersHash(tinyState(), network));
    expect(parametersHash(other, network)).not.toBe(parametersHash(tinyState(), network));
  }
});

test("every parameter of the manifests is there, latent weights within [-1, 1], C at the mean of |W|", () => {
  const state = tinyState();
  for (const network of ["teacher", "student"] as const) {
    const names = wireManifest(state.networks, network).entries.map(({ name }) => name);
    expect([...state.parameters[network].keys()]).toEqual(names);
  }
  const weight = state.parameters.student.get("conv2.weight")!;
  const c = state.parameters.student.get("conv2.c")!;
  expect(Math.max(...weight.map(Math.abs))).toBeLessThanOrEqual(1);
  // [2][5][5][2]: C[k] is the mean over both filters and both channels of tap k.
  for (let tap = 0; tap < 25; tap++) {
    const shared = [0, 1, 50, 51].map((i) => Math.abs(weight[2 * tap + i]));
    expect(c[tap]).toBeCloseTo(shared.reduce((a, b) => a + b) / 4, 6);
  }
  expect(state.parameters.student.get("bn1.running_var")).toEqual(new Float32Array(2).fill(1));
  expect(state.parameters.student.get("prelu3.weight")).toEqual(new Float32Array(4).fill(0.25));
});

test("a latent weight that is drawn outside of [-1, 1] starts at its bound", () => {
  const wide = tinyState(tinyConfig({ method: { ablation: "R" }, model: { kind: "lenet", widths: [1, 400, 2] } }));
  const weight = wide.parameters.student.get("conv2.weight")!;
  expect(weight.filter((w) => Math.abs(w) === 1).length).toBeGreaterThan(0);
  expect(weight.filter((w) => Math.abs(w) > 1).length).toBe(0);
});

test("without the GAN there is neither teacher nor discriminator", () => {
  const state = tinyState(tinyConfig({ method: { ablation: "R" } }));
  expect(Object.keys(state.parameters)).toEqual(["student"]);
  expect([...state.parameters.student.keys()].filter((name) => name.startsWith("discriminator"))).toEqual([]);
});

test("a teacher from a file is copied, and one that was not read is refused", () => {
  const config = tinyConfig({ teacher: { file: "teacher.safetensors" } });
  const trained = tinyState(tinyConfig({ seed: 99 }));
  const state = createTrainingState(config, tinyDataset(config), { teacher: trained.parameters.teacher });
  expect(parametersHash(state, "teacher")).toBe(parametersHash(trained, "teacher"));
  trained.parameters.teacher.get("fc.bias")![0] = 42;
  expect(parametersHash(state, "teacher")).not.toBe(parametersHash(trained, "teacher"));
  expect(() => createTrainingState(config, tinyDataset(config))).toThrow("teacher.safetensors");
});

test("the wire blob is encoded once, until a step changes the network that it holds", () => {
  const state = tinyState();
  const manifest = wireManifest(state.networks, "teacher");
  const blob = wireBlob(state, "teacher");
  expect(blob.bytes).toEqual(encodeBlob(manifest, blobLayout(manifest), state.parameters.teacher));
  expect(blob.hash).toBe(sha256Hex(blob.bytes));
  expect(wireBlob(state, "teacher")).toBe(blob);
  const student = wireBlob(state, "student");
  advance(state);
  expect(wireBlob(state, "teacher").hash).not.toBe(blob.hash);
  expect(wireBlob(state, "student")).toBe(student);
});

test("an evaluation is noted with its step", () => {
  const state = tinyState();
  advance(state);
  recordEvaluation(state, "teacher", 0.875);
  expect(state.evaluations).toEqual({ teacher: 0.875, student: null });
  expect(state.evaluatedAt).toEqual({ teacher: 1, student: null });
});

describe("a network that starts from another", () => {
  const config = tinyConfig({ method: { ablation: "R" } });
  const { phases, networks: plans } = phasesOf(config).outline;
  const [plan] = plans;
  const [phase, evaluation] = phases;
  const program = layOut(
    {
      outline: {
        primary: "second",
        networks: [plan, { ...plan, name: "second", startsFrom: plan.name }],
        phases: [phase, { ...phase, name: "again", network: "second" }, evaluation],
      },
      passes: [
        { phase: phase.name, epoch: 0, evaluate: false },
        { phase: "again", epoch: 0, evaluate: false },
        { phase: "again", epoch: 1, evaluate: false },
      ],
    },
    config.batch,
    7,
  );
  const begun = (): TrainingState => {
    const state = tinyState(config);
    const parameters = {
      student: state.parameters.student,
      second: tinyState(tinyConfig({ seed: 8 })).parameters.student,
    };
    const networks = buildNetworks(config, tinyDataset(config), program);
    return { ...state, program, networks, parameters };
  };

  test("has the other's values, statistics too, when its first pass begins, and neither before nor after", () => {
    const [state, ledger] = [begun(), new Ledger()];
    const { student, second } = state.parameters;
    const same = () =>
      networkNamed(state.networks, "second").manifest.entries.every(({ name }) => {
        return parameter(second, name).join() === parameter(student, name).join();
      });
    advance(state, ledger);
    expect(same()).toBe(false);
    const before = wireBlob(state, "second").hash;
    advance(state, ledger);
    expect(same()).toBe(true);
    expect(wireBlob(state, "second").hash).not.toBe(before);
    // Its second pass goes on with what the first made of them.
    for (let step = 0; step < 2; step++) advance(state, ledger);
    expect(same()).toBe(false);
  });

  test("has optimizer buffers of its own: plain names are the primary's", () => {
    const [state, ledger] = [begun(), new Ledger()];
    for (let step = 0; step < 3; step++) advance(state, ledger);
    expect(state.momentum.has("student.fc.weight")).toBe(true);
    expect(state.momentum.get("fc.weight")).not.toEqual(state.momentum.get("student.fc.weight"));
  });
});
