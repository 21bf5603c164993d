// Programs are lists: those of the literature are written here as data alone, checked, laid out over samples and turned
// into layouts.
import { describe, expect, test } from "vitest";
import {
  evaluationPhase,
  type MethodProgram,
  type NetworkPlan,
  outlineSchema,
  type Phase,
} from "../../../shared/model/phases.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import { epochsOf, layOut, phasesOf, restingNetworks } from "../../../shared/run/program.ts";
import { phaseLayout } from "../../../shared/wire/contribution.ts";
import { parameterSets, setOwner } from "../../../shared/wire/parameter-set.ts";
import { phaseOf } from "../../fixtures/phases.ts";

const config = parseConfig({ model: { kind: "lenet", widths: [2, 2, 4] } });
const dataset = { shape: { h: 28, w: 28, c: 1 }, classes: 10 };

const binary: NetworkPlan = { name: "binary", title: "1-bit network", precision: "method", partners: [] };
const full: NetworkPlan = { name: "guide", title: "full-precision network", precision: "full", partners: [] };

/** Trains everything of its network by the task alone, unless it says otherwise. */
function training(name: string, network: string, overrides: Partial<Phase> = {}): Phase {
  return {
    name,
    title: name,
    doing: `training the ${network}`,
    network,
    trains: [{}],
    partners: [],
    needs: [],
    losses: [{ kind: "task", weight: 1 }],
    evaluate: false,
    learningRate: 0.1,
    ...overrides,
  };
}

const pass = (phase: string, epoch = 0, evaluate = true) => ({ phase, epoch, evaluate });

/** One phase of one network: XNOR-Net, BNN. */
const plain: MethodProgram = {
  outline: { primary: "binary", networks: [binary], phases: [training("train", "binary"), evaluationPhase(binary)] },
  passes: [pass("train"), pass("train", 1)],
};

/**
 * INQ: one phase for each portion of the weights, which stay frozen from then on; the method keeps the mask as state.
 */
const portions = [0.5, 0.75, 0.875, 1];
const inq: MethodProgram = {
  outline: {
    primary: "binary",
    networks: [binary],
    phases: [
      ...portions.map((portion) =>
        training(`portion-${portion}`, "binary", {
          trains: [{ roles: ["latent"], portion }, { layers: ["conv", "batchnorm", "activation", "linear"] }],
          learningRate: 0.003,
        }),
      ),
      evaluationPhase(binary),
    ],
  },
  passes: portions.flatMap((portion) => [pass(`portion-${portion}`, 0, false), pass(`portion-${portion}`, 1)]),
};

const softTargets = { kind: "distillation", weight: 0.5, options: { temperature: 1 } };

/**
 * Apprentice A (Mishra and Marr, ICLR 2018): both from scratch at once; the teacher travels and trains beside the
 * apprentice.
 */
const apprenticeA: MethodProgram = {
  outline: {
    primary: "binary",
    networks: [{ ...binary, partners: [{ name: "teaching", kind: "twin" }] }],
    phases: [
      training("together", "binary", {
        partners: ["teaching"],
        losses: [
          { kind: "task", weight: 0.5 },
          { kind: "partner-task", weight: 1, partner: "teaching" },
          { ...softTargets, partner: "teaching" },
        ],
      }),
      evaluationPhase(binary),
    ],
  },
  passes: [pass("together")],
};

/** Apprentice B: the teacher first, then frozen. */
const apprenticeB: MethodProgram = {
  outline: {
    primary: "binary",
    networks: [full, binary],
    phases: [
      training("guide", "guide"),
      training("learn", "binary", {
        needs: ["guide"],
        losses: [
          { kind: "task", weight: 0.5 },
          { ...softTargets, teacher: "guide" },
        ],
      }),
      evaluationPhase(full),
      evaluationPhase(binary),
    ],
  },
  passes: [pass("guide"), pass("learn"), pass("learn", 1)],
};

/**
 * Zhuang et al. (CVPR 2018): binary weights first, then activations too, from the weights that the first stage left.
 */
const twoStages: MethodProgram = {
  outline: {
    primary: "both",
    networks: [
      { ...binary, name: "weights" },
      { ...binary, name: "both", startsFrom: "weights" },
    ],
    phases: [
      training("weights-only", "weights", { settings: { activationBits: 32 } }),
      training("activations-too", "both", { settings: { activationBits: 1 }, learningRate: 0.01 }),
      evaluationPhase({ ...binary, name: "both" }),
    ],
  },
  passes: [pass("weights-only", 0, false), pass("activations-too")],
};

/**
 * SiamFC (Bertinetto et al., ECCVW 2016): one full-precision network, no teacher, the task's loss alone. What is
 * special of it, pairs and a map's loss, is the task's affair.
 */
const siamFc: MethodProgram = {
  outline: {
    primary: "tracker",
    networks: [{ ...full, name: "tracker", title: "SiamFC" }],
    phases: [
      training("pairs", "tracker", { learningRate: 0.01 }),
      evaluationPhase({ ...full, name: "tracker", title: "SiamFC" }),
    ],
  },
  passes: [pass("pairs"), pass("pairs", 1)],
};

const programs = {
  plain,
  SiamFC: siamFc,
  INQ: inq,
  "Apprentice A": apprenticeA,
  "Apprentice B": apprenticeB,
  "two stages": twoStages,
};

describe.each(Object.entries(programs))("%s", (_, program) => {
  const { outline, passes } = program;
  const laidOut = layOut(program, 16, 100);
  const networks = buildNetworks(config, dataset, outline);

  test("is data that the welcome can carry", () => {
    expect(outlineSchema.parse(JSON.parse(JSON.stringify(outline)))).toEqual(outline);
  });

  test("is laid out pass by pass, seven steps of at most sixteen samples each", () => {
    expect(laidOut.passes.map(({ phase }) => phase)).toEqual(passes.map(({ phase }) => phase));
    expect(laidOut.passes.map(({ steps }) => steps)).toEqual(passes.map(() => 7));
    expect(laidOut.steps).toBe(7 * passes.length);
    for (const { name, evaluate } of outline.phases) if (!evaluate) expect(epochsOf(laidOut, name)).toBeGreaterThan(0);
  });

  test("has a layout for each phase: metrics alone where it evaluates, else gradients of what it trains", () => {
    for (const phase of outline.phases) {
      const names = phaseLayout(networks, phase).tensors.map(({ name }) => name);
      if (phase.evaluate) expect(names).toEqual(["metrics"]);
      else expect(names).toEqual(expect.arrayContaining(["conv2.weight", "bn1.running_mean", "fc.weight", "metrics"]));
    }
  });
});

test("the parameter sets of a run are its networks, then what travels with them", () => {
  const setsOf = ({ outline }: MethodProgram) => parameterSets(buildNetworks(config, dataset, outline));
  expect(setsOf(plain)).toEqual(["binary"]);
  expect(setsOf(apprenticeA)).toEqual(["binary", "teaching"]);
  expect(setsOf(apprenticeB)).toEqual(["guide", "binary"]);
  expect(setsOf(phasesOf(config))).toEqual(["teacher", "student", "discriminators"]);
  const { outline } = apprenticeA;
  expect(setOwner(buildNetworks(config, dataset, outline), "teaching")).toBe("binary");
});

test("a partner's gradients travel in the phases that it takes part in, under names of its own", () => {
  const { outline } = apprenticeA;
  const networks = buildNetworks(config, dataset, outline);
  const names = phaseLayout(networks, outline.phases[0]).tensors.map(({ name }) => name);
  expect(names).toContain("teaching.conv2.weight");
  expect(new Set(names).size).toBe(names.length);
});

test("a selection by role trains those parameters, by layer those layers', and batch statistics follow", () => {
  const networks = buildNetworks(config, dataset, plain.outline);
  const names = (phase: Phase) => phaseLayout(networks, phase).tensors.map(({ name }) => name);
  expect(names(training("w", "binary", { trains: [{ roles: ["latent"] }] })).filter((n) => !/running/.test(n))).toEqual(
    ["conv2.weight", "conv3.weight", "metrics"],
  );
  expect(names(training("bn", "binary", { trains: [{ layers: ["batchnorm"] }] }))).not.toContain("fc.weight");
});

test("a network rests from when no pass trains it, and not before", () => {
  const program = layOut(apprenticeB, 16, 100);
  expect(restingNetworks(program, 6, "binary")).toEqual([]);
  expect(restingNetworks(program, 7, "binary")).toEqual(["guide"]);
  expect(restingNetworks(program, 7, "guide")).toEqual([]);
});

test.each<[string, MethodProgram, RegExp]>([
  ["a network that is not there", withPhase(training("x", "nobody")), /phase x: there is no network nobody/],
  [
    "a need that is not there",
    withPhase(training("x", "binary", { needs: ["guide"] })),
    /need guide is none of nothing/,
  ],
  ["its own network as a need", withPhase(training("x", "binary", { needs: ["binary"] })), /need binary/],
  ["a partner that is not its network's", withPhase(training("x", "binary", { partners: ["c"] })), /partner c/],
  [
    "a loss against a network that it does not need",
    withPhase(training("x", "binary", { losses: [{ ...softTargets, teacher: "guide" }] })),
    /the distillation loss's teacher guide/,
  ],
  ["two phases of one name", withPhase(training("train", "binary")), /two phases are named train/],
  ["an evaluation that trains", withPhase(training("x", "binary", { evaluate: true })), /either trains something or/],
  ["a training phase without a rate", withPhase(training("x", "binary", { learningRate: null })), /learning rate/],
  [
    "two evaluations of a network",
    withPhase({ ...evaluationPhase(binary), name: "again" }),
    /two phases evaluate binary/,
  ],
  [
    "a start from nowhere",
    { ...plain, outline: { ...plain.outline, networks: [{ ...binary, startsFrom: "before" }] } },
    /binary starts from before/,
  ],
  ["another primary", { ...plain, outline: { ...plain.outline, primary: "none" } }, /primary network none/],
  ["a pass of an evaluation", { ...plain, passes: [pass("evaluate-binary")] }, /only evaluates/],
])("a program with %s is refused with CONFIG_INVALID", (_, program, message) => {
  expect(() => layOut(program, 16, 100)).toThrow(
    expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringMatching(message) }),
  );
});

function withPhase(phase: Phase): MethodProgram {
  return { ...plain, outline: { ...plain.outline, phases: [...plain.outline.phases, phase] } };
}

test("names that leases use are words: none is a field of JavaScript's own", () => {
  for (const name of ["__proto__", "", "a b", "x".repeat(65)]) {
    expect(outlineSchema.safeParse({ ...plain.outline, primary: name }).success, name).toBe(false);
  }
});

test("RBCN's weights of L_Adv are the pass's, and its other weights the phase's", () => {
  const program = layOut(phasesOf(parseConfig({ epochs: 2, adversarial: { warmupEpochs: 1, lambda: 0.5 } })), 16, 100);
  const weights = program.passes.filter(({ phase }) => phase === "student").map((one) => one.weights);
  expect(weights).toEqual([
    { task: 1, method: 1, adversarial: 0 },
    { task: 1, method: 1, adversarial: 0.5 },
  ]);
  expect(phaseOf("student", { method: { ablation: "R" } }).losses.map(({ kind }) => kind)).toEqual(["task", "method"]);
});
