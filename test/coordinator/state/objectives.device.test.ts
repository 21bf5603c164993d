// Objectives on a device: a 1-bit network learns from a frozen teacher and beside a twin, each term is measured under
// its name, and what trains beside it is in checkpoints.
import { describe, expect, test } from "vitest";
import { decodeTensors, encodeTensors } from "../../../coordinator/checkpoint/checkpoint-tensors.ts";
import { parametersHash, type TrainingState } from "../../../coordinator/state/training-state.ts";
import type { StepLoss } from "../../../coordinator/state/update.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { parameter } from "../../../shared/wire/parameter-blob.ts";
import { fell, realSteps } from "../../fixtures/real-steps.ts";

const run = {
  name: "objectives",
  seed: 7,
  data: { kind: "idx", trainSamples: 40, testSamples: 5 },
  batch: 20,
  microbatch: 20,
  epochs: 12,
  model: { kind: "lenet", widths: [4, 8, 32] },
  method: { kind: "bireal" },
  teacher: { epochs: 8, learningRate: 0.05 },
  optimizer: { learningRate: 0.02, schedule: { kind: "constant" } },
};
/** Steps of the teacher, and then of the student. */
const [TAUGHT, STUDIED] = [16, 24];

const of = (losses: readonly StepLoss[], part: string) => losses.map((loss) => loss[part]);
const shown = (values: readonly number[]) => values.map((value) => value.toFixed(3)).join(" ");
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
const falls = (values: readonly number[]) => mean(values.slice(-3)) < mean(values.slice(0, 3));

function restored(state: TrainingState): TrainingState {
  const files = new Map([...encodeTensors(state, "run")].map(([name, { bytes }]) => [name, bytes]));
  return { ...state, ...decodeTensors(files, state.networks, state.program) };
}

describe("with a frozen teacher", { timeout: 300_000 }, () => {
  test.each([
    [{ kind: "apprentice", variant: "B", temperature: 2 }, "soft"],
    [{ kind: "polino" }, "divergence"],
    [{ kind: "features", guide: "teacher", lambda: 1e-2 }, "features"],
  ])("%j: the task's loss falls, and so does the distance from the teacher", async (objective, part) => {
    const frozen: Float32Array[] = [];
    const { losses } = await realSteps(parseConfig({ ...run, objective }), TAUGHT + STUDIED, (state) => {
      frozen.push(parameter(state.parameters.teacher, "conv2.weight").slice());
    });
    const studied = losses.slice(TAUGHT);
    expect(Object.keys(losses[0]).sort()).toEqual(["task", "total"]);
    expect(Object.keys(studied[0]).sort()).toEqual([part, "task", "total"].sort());
    expect(fell(studied), shown(of(studied, "task"))).toBe(true);
    expect(falls(of(studied, part)), shown(of(studied, part))).toBe(true);
    expect(frozen.at(-1)).toEqual(frozen[TAUGHT - 1]);
  });

  test("apprentice in variant C begins with the teacher's weights, and in B it does not", async () => {
    for (const variant of ["B", "C"]) {
      const config = parseConfig({ ...run, objective: { kind: "apprentice", variant } });
      const { state } = await realSteps(config, TAUGHT);
      const weights = ["teacher", "student"].map((name) => parameter(state.parameters[name], "conv1.weight"));
      expect(weights[0].every((w, i) => w === weights[1][i])).toBe(variant === "C");
    }
  });
});

describe("beside a twin", { timeout: 300_000 }, () => {
  test.each([
    [{ kind: "apprentice", variant: "A", targetGradient: true }, ["soft", "teacher-task"]],
    [{ kind: "guided" }, ["logits", "teacher-task"]],
    [{ kind: "mutual", temperature: 2 }, ["divergence", "teacher-divergence", "teacher-task"]],
    [{ kind: "features", bits: 2 }, ["features", "teacher-task"]],
  ])("%j: both learn, and go on from a checkpoint", async (objective, terms) => {
    const { state, losses } = await realSteps(parseConfig({ ...run, objective }), STUDIED);
    expect(Object.keys(losses[0]).sort()).toEqual(["task", "total", ...terms].sort());
    expect(fell(losses), shown(of(losses, "task"))).toBe(true);
    expect(falls(of(losses, "teacher-task")), shown(of(losses, "teacher-task"))).toBe(true);
    for (const term of terms) for (const value of of(losses, term)) expect(value).toBeGreaterThan(0);
    const again = restored(state);
    expect(parametersHash(again, "student")).toBe(parametersHash(state, "student"));
    expect(parameter(again.parameters.student, "twin.conv1.weight")).toEqual(
      parameter(state.parameters.student, "twin.conv1.weight"),
    );
    expect(again.momentum.get("twin.fc.weight")).toEqual(state.momentum.get("twin.fc.weight"));
    // Its running statistics are its own.
    expect(parameter(state.parameters.student, "twin.bn1.running_mean")).not.toEqual(
      parameter(state.parameters.student, "bn1.running_mean"),
    );
  });

  test("a twin that nothing draws to the network trains as a teacher does, and the network as without it", async () => {
    const lone = {
      data: { kind: "idx", trainSamples: 20, testSamples: 5 },
      teacher: { epochs: 4, learningRate: 0.02 },
    };
    const config = { ...run, ...lone, downlink: { teacher: "f32" } };
    const beside = parseConfig({ ...config, objective: { kind: "guided", beta: 1, gamma: 0 } });
    const start = new Map<string, Float32Array>();
    const both = await realSteps(beside, 4, undefined, ({ parameters }) => {
      for (const [name, value] of parameters.student) start.set(name, value.slice());
    });
    const begin = (network: string, prefix: string) => (state: TrainingState) => {
      for (const [name, value] of state.parameters[network]) value.set(start.get(prefix + name) ?? value);
    };
    const taught = await realSteps(
      parseConfig({ ...config, objective: { kind: "polino" } }),
      4,
      undefined,
      begin("teacher", "twin."),
    );
    const alone = await realSteps(
      parseConfig({ ...config, objective: { kind: "none" } }),
      4,
      undefined,
      begin("student", ""),
    );
    const pairs = [
      [taught.state.parameters.teacher, "twin."],
      [alone.state.parameters.student, ""],
    ] as const;
    for (const [parameters, prefix] of pairs) {
      for (const [name, value] of parameters) {
        const own = parameter(both.state.parameters.student, prefix + name);
        const largest = Math.max(...value.map(Math.abs), 1e-3);
        // The samples of a step are the same, and their order is another.
        value.forEach((v, i) => {
          if (Math.abs(v - own[i]) > 2e-3 * largest) throw new Error(`${prefix}${name}[${i}]: ${own[i]}, alone ${v}`);
        });
      }
    }
  });
});

test("maps that somebody reads change nothing of a network with shortcuts", { timeout: 300_000 }, async () => {
  const data = { kind: "idx", trainSamples: 4, testSamples: 5 };
  const small = { ...run, data, batch: 4, microbatch: 4, model: { kind: "resnet", widths: [4], blocks: [1] } };
  const trained = async (objective: object) => {
    const { state } = await realSteps(parseConfig({ ...small, objective }), 1);
    return state.parameters.student;
  };
  const [read, plain] = [await trained({ kind: "features", lambda: 0 }), await trained({ kind: "none" })];
  for (const [name, value] of plain) {
    const own = parameter(read, name);
    const largest = Math.max(...value.map(Math.abs), 1e-3);
    value.forEach((v, i) => {
      if (Math.abs(v - own[i]) > 1e-4 * largest) throw new Error(`${name}[${i}]: ${own[i]}, where nobody reads ${v}`);
    });
  }
});
