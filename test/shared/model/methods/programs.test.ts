// Programs are composed: a method's stages, the run's objective and the tuning of batch norms, each with any other.
import { describe, expect, test } from "vitest";
import { methods } from "../../../../shared/model/methods/methods.ts";
import { plainStage, type Stage, shareEpochs, trainingProgram } from "../../../../shared/model/methods/programs.ts";
import { objectives } from "../../../../shared/model/objectives/objectives.ts";
import { type MethodProgram, outlineSchema } from "../../../../shared/model/phases.ts";
import { parseConfig, unusedFields } from "../../../../shared/run/config.ts";
import { layOut, phasesOf } from "../../../../shared/run/program.ts";

const programOf = (config: object) => phasesOf(parseConfig(config));
const run = { ...parseConfig({ epochs: 4, objective: { kind: "none" }, tuneNorms: "off" }), word: "1-bit" };
const phase = ({ outline }: MethodProgram, name: string) => {
  const found = outline.phases.find((one) => one.name === name);
  if (!found) throw new RangeError(`no phase ${name}; there are ${outline.phases.map((one) => one.name)}`);
  return found;
};

test("RBCN's whole program is to the letter what it was before objectives were a table", () => {
  const { outline, passes } = programOf({ epochs: 2, adversarial: { warmupEpochs: 1, lambda: 0.5 }, bnPhase: 0.25 });
  const nothing = { trains: [], partners: [], needs: [] };
  const task = { kind: "task", weight: 1 };
  const examined = { losses: [task], evaluate: true, learningRate: null };
  const expected = {
    primary: "student",
    networks: [
      { name: "teacher", title: "teacher", precision: "full", partners: [] },
      {
        name: "student",
        title: "1-bit network",
        precision: "method",
        partners: [{ name: "discriminators", kind: "discriminators" }],
      },
    ],
    phases: [
      {
        name: "teacher",
        title: "teacher",
        doing: "training the full-precision teacher",
        network: "teacher",
        trains: [{}],
        partners: [],
        needs: [],
        losses: [task],
        evaluate: false,
        learningRate: 0.1,
      },
      {
        name: "student",
        title: "1-bit student",
        doing: "training the 1-bit network",
        network: "student",
        trains: [{}],
        partners: ["discriminators"],
        needs: ["teacher"],
        losses: [
          task,
          { kind: "method", weight: 1 },
          { kind: "adversarial", weight: 0.5, teacher: "teacher", partner: "discriminators" },
        ],
        evaluate: false,
        learningRate: 0.1,
      },
      {
        name: "bn",
        title: "batch norm",
        doing: "tuning the batch norms of the 1-bit network",
        network: "student",
        trains: [{ layers: ["batchnorm", "activation", "linear"] }],
        partners: [],
        needs: [],
        losses: [task],
        evaluate: false,
        learningRate: 0.1,
      },
      {
        name: "evaluate-teacher",
        title: "evaluating the teacher",
        doing: "testing the teacher on held-out images",
        network: "teacher",
        ...nothing,
        ...examined,
      },
      {
        name: "evaluate-student",
        title: "evaluating the student",
        doing: "testing the 1-bit network on held-out images",
        network: "student",
        ...nothing,
        ...examined,
      },
    ],
  };
  expect(JSON.stringify(outline)).toBe(JSON.stringify(expected));
  expect(JSON.stringify(passes)).toBe(
    JSON.stringify([
      { phase: "teacher", epoch: 0, evaluate: false },
      { phase: "teacher", epoch: 1, evaluate: true },
      { phase: "student", epoch: 0, weights: { adversarial: 0 }, evaluate: false },
      { phase: "bn", epoch: 0, share: 0.25, evaluate: true },
      { phase: "student", epoch: 1, weights: { adversarial: 0.5 }, evaluate: false },
      { phase: "bn", epoch: 1, share: 0.25, evaluate: true },
    ]),
  );
});

test("an ablation is the objective and the tuning that it stands for", () => {
  const ablation = (of: string) => programOf({ method: { ablation: of } });
  const said = (kind: string, tuneNorms: string) => programOf({ objective: { kind }, tuneNorms });
  expect(ablation("R")).toEqual(said("none", "off"));
  expect(ablation("R+G")).toEqual(said("adversarial", "off"));
  expect(ablation("R+G+B")).toEqual(said("adversarial", "on"));
  expect(programOf({ method: { kind: "bnn" } })).toEqual(ablation("R"));
});

const all = methods.kinds.flatMap((method) => objectives.kinds.map((objective) => [method, objective] as const));
test.each(all)("%s trains with the objective %s, with norms tuned and without", (method, objective) => {
  for (const tuneNorms of ["on", "off"]) {
    // LAB takes nothing else; INQ has five stages.
    const run = { optimizer: { latent: { kind: "adam" } }, epochs: 5 };
    const program = programOf({ method: { kind: method }, objective: { kind: objective }, tuneNorms, ...run });
    const { outline } = program;
    expect(outlineSchema.parse(JSON.parse(JSON.stringify(outline)))).toEqual(outline);
    const { passes } = layOut(program, 16, 100);
    expect(passes.at(-1)).toMatchObject({ network: "student", evaluate: true });
    expect(outline.phases.some(({ name }) => name === "bn")).toBe(tuneNorms === "on");
  }
});

describe("an objective", () => {
  test("with a frozen teacher needs it where the network learns, and trains it first unless it is from a file", () => {
    const program = programOf({ objective: { kind: "polino" } });
    expect(program.passes[0]).toMatchObject({ phase: "teacher" });
    expect(phase(program, "student")).toMatchObject({ needs: ["teacher"], partners: [] });
    const read = programOf({ objective: { kind: "polino" }, teacher: { file: "teacher.safetensors" } });
    expect(read.passes[0]).toMatchObject({ phase: "student" });
    expect(read.outline.networks[0]).toMatchObject({ name: "teacher", file: "teacher.safetensors" });
  });

  test("with a twin has it travel and train with the network, and no teacher", () => {
    const program = programOf({ objective: { kind: "guided" } });
    expect(program.outline.networks).toMatchObject([{ name: "student", partners: [{ name: "twin", kind: "twin" }] }]);
    expect(phase(program, "student")).toMatchObject({
      partners: ["twin"],
      needs: [],
      losses: [
        { kind: "task", weight: 0.3 },
        { kind: "method" },
        { kind: "logits", weight: 0.1, partner: "twin" },
        { kind: "teacher-task", weight: 1, partner: "twin" },
      ],
    });
  });

  test("is no part of a pass that tunes norms", () => {
    const tuning = phase(programOf({ objective: { kind: "mutual" }, tuneNorms: "on" }), "bn");
    expect(tuning).toMatchObject({ partners: [], losses: [{ kind: "task", weight: 1 }] });
  });

  test("apprentice starts from the teacher's weights in variant C alone", () => {
    const started = ["A", "B", "C"].map((variant) => {
      const { networks } = programOf({ objective: { kind: "apprentice", variant } }).outline;
      return networks.at(-1)?.startsFrom;
    });
    expect(started).toEqual([undefined, undefined, "teacher"]);
  });

  test.each(objectives.entries.filter(({ local }) => !local).map(({ kind }) => kind))(
    "%s is refused by name where workers take inner steps",
    (kind) => {
      expect(() => parseConfig({ objective: { kind }, sync: { kind: "local" } })).toThrow(
        expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringMatching(`objective: ${kind} `) }),
      );
    },
  );

  test("says which fields of the configuration it reads", () => {
    const set = { adversarial: { lambda: 2 }, teacher: { epochs: 5 }, bnPhase: 0.5 };
    const unused = (config: object) => unusedFields(parseConfig({ ...set, ...config }));
    expect(unused({})).toEqual([]);
    expect(unused({ objective: { kind: "none" } })).toEqual(["adversarial", "teacher"]);
    expect(unused({ objective: { kind: "polino" }, tuneNorms: "off" })).toEqual(["adversarial", "bnPhase"]);
    expect(unused({ method: { kind: "bnn" }, tuneNorms: "on" })).toEqual(["adversarial", "teacher"]);
  });
});

test("a pass that tunes norms over nothing is refused", () => {
  expect(() => parseConfig({ method: { kind: "bnn" }, bnPhase: 0, tuneNorms: "on" })).toThrow(/bnPhase: must be above/);
  expect(() => parseConfig({ bnPhase: 0, tuneNorms: "off" })).not.toThrow();
});

describe("stages", () => {
  const stage = (name: string, epochs: number, rest: Partial<Stage> = {}): Stage => ({
    name,
    title: name,
    doing: `training ${name}`,
    epochs,
    ...rest,
  });

  test("of one network are phases of it, one after another", () => {
    const portions = [
      stage("half", 1, { trains: [{ portion: 0.5 }] }),
      stage("whole", 3, { trains: [{ portion: 1 }] }),
    ];
    const { outline, passes } = trainingProgram(run, { stages: portions });
    expect(outline.networks.map(({ name }) => name)).toEqual(["student"]);
    expect(passes.map((pass) => `${pass.phase} ${pass.epoch}`)).toEqual(["half 0", "whole 0", "whole 1", "whole 2"]);
    expect(phase({ outline, passes }, "half").trains).toEqual([{ portion: 0.5 }]);
  });

  test("with options of their own are networks that start from each other, the last one the student", () => {
    const bits = [8, 4, 2].map((k) => stage(`bits-${k}`, 2, { network: { options: { bits: k } } }));
    const program = trainingProgram({ ...run, objective: { kind: "guided" }, tuneNorms: "on" }, { stages: bits });
    expect(program.outline.networks).toMatchObject([
      { name: "bits-8", options: { bits: 8 }, partners: [{ name: "bits-8-twin", kind: "twin" }] },
      { name: "bits-4", options: { bits: 4 }, startsFrom: "bits-8" },
      { name: "student", options: { bits: 2 }, startsFrom: "bits-4", partners: [{ name: "twin" }] },
    ]);
    expect(phase(program, "bits-8").losses).toContainEqual(expect.objectContaining({ partner: "bits-8-twin" }));
    expect(phase(program, "bits-8-bn").network).toBe("bits-8");
    expect(phase(program, "bits-2").network).toBe("student");
    layOut(program, 16, 100);
    // What comes before the student is tested once, at its end.
    expect(program.passes.filter(({ evaluate }) => evaluate).map((pass) => `${pass.phase} ${pass.epoch}`)).toEqual([
      "bits-8-bn 1",
      "bits-4-bn 1",
      "bn 0",
      "bn 1",
    ]);
  });

  test("in full precision have the task alone, and what follows starts from them", () => {
    const stages = [stage("clipped", 1, { network: { precision: "full" } }), plainStage(run)];
    const program = trainingProgram({ ...run, objective: { kind: "polino" } }, { stages });
    expect(phase(program, "clipped")).toMatchObject({ needs: [], losses: [{ kind: "task", weight: 1 }] });
    expect(program.outline.networks.at(-1)).toMatchObject({ name: "student", startsFrom: "clipped" });
  });

  test("without epochs are left out, and so are their networks", () => {
    const stages = [stage("a", 0, { network: { options: { bits: 8 } } }), stage("b", 1)];
    const { outline } = trainingProgram(run, { stages });
    expect(outline.networks).toMatchObject([{ name: "student" }]);
    expect(outline.networks[0].startsFrom).toBeUndefined();
    expect(() => trainingProgram(run, { stages: stages.slice(0, 1) })).toThrow(/no epochs/);
  });

  test.each([
    [8, [0.5, 0.25, 0.25], [4, 2, 2]],
    [10, [1, 1, 1], [3, 3, 4]],
    [5, [0.4, 0.15, 0.15, 0.15, 0.15], [1, 1, 1, 1, 1]],
    [4, [0.05, 0.95], [1, 3]],
    [2, [0, 0.5, 0.5], [0, 1, 1]],
    [3, [0.95, 0.05, 0], [2, 1, 0]],
    [5, [1], [5]],
  ])("%d epochs in shares of %j are %j", (epochs, shares, expected) => {
    expect(shareEpochs(epochs, shares)).toEqual(expected);
  });

  test("no stage goes without an epoch", () => {
    expect(() => shareEpochs(3, [1, 1, 1, 1])).toThrow(/3 epochs for 4 stages/);
  });
});

describe("INQ", () => {
  const inq = (epochs: number, options: object = {}) =>
    programOf({ method: { kind: "inq", ...options }, epochs, tuneNorms: "off" });
  const phases = ({ passes }: MethodProgram) => passes.map((pass) => `${pass.phase} ${pass.epoch}`);

  test("trains freely first, then portion by portion, all in one network", () => {
    const program = inq(10);
    expect(phases(program)).toEqual([
      ...["student 0", "student 1", "student 2", "student 3"],
      ...["portion-1 0", "portion-2 0", "portion-2 1", "portion-3 0", "portion-4 0", "portion-4 1"],
    ]);
    expect(program.outline.networks).toHaveLength(1);
    const portions = [1, 2, 3, 4].map((i) => phase(program, `portion-${i}`).trains);
    expect(portions).toEqual([0.5, 0.75, 0.875, 1].map((portion) => [{ portion }]));
    expect(phase(program, "portion-3").doing).toBe("training the 5-bit network, 87.5 % of its weights frozen");
  });

  test("has an epoch for each portion and one before", () => {
    expect(phases(inq(5))).toEqual(["student 0", "portion-1 0", "portion-2 0", "portion-3 0", "portion-4 0"]);
    expect(phases(inq(4, { portions: [0.5, 1], pretrain: 0 }))).toEqual([
      ...["portion-1 0", "portion-1 1", "portion-2 0", "portion-2 1"],
    ]);
  });
});

test("Bi-Real net begins with the weights of a network of clipped inputs where it is told to", () => {
  const { outline, passes } = programOf({ method: { kind: "bireal", pretrain: 0.5 }, epochs: 4 });
  expect(passes.map((pass) => pass.phase)).toEqual(["clip", "clip", "student", "student"]);
  expect(outline.networks.map(({ name, options, startsFrom }) => ({ name, options, startsFrom }))).toEqual([
    { name: "clip", options: { weights: "clip" } },
    { name: "student", startsFrom: "clip" },
  ]);
});

test("networks are called what they are", () => {
  const called = (method: object) => {
    const { outline } = programOf({ method, epochs: 1, optimizer: { latent: { kind: "adam" } } });
    return [outline.networks.at(-1)?.title, outline.phases[0].doing];
  };
  expect(called({ kind: "bnn" })).toEqual(["1-bit network", "training the 1-bit network"]);
  expect(called({ kind: "lab" })).toEqual(["1-bit network", "training the 1-bit network"]);
  expect(called({ kind: "ttq" })).toEqual(["ternary network", "training the ternary network"]);
  expect(called({ kind: "full" })).toEqual(["full-precision network", "training the full-precision network"]);
  expect(called({ kind: "inq", bits: 4, portions: [1], pretrain: 0 })[0]).toBe("4-bit network");
});
