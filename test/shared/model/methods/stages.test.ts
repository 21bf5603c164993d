// Methods that reach their weights in stages: which networks there are, which starts from which, and who has how many
// of the run's epochs.
import { describe, expect, test } from "vitest";
import { methods } from "../../../../shared/model/methods/methods.ts";
import { parseConfig } from "../../../../shared/run/config.ts";
import { buildNetworks } from "../../../../shared/run/networks.ts";
import { phasesOf } from "../../../../shared/run/program.ts";

const gray = { shape: { h: 28, w: 28, c: 1 }, classes: 10 };

function programOf(method: Record<string, unknown>, epochs = 4, fields: Record<string, unknown> = {}) {
  const config = parseConfig({ method, epochs, ...fields });
  const { outline, passes } = phasesOf(config);
  return {
    networks: outline.networks,
    phases: outline.phases.filter(({ evaluate }) => !evaluate),
    order: passes.map(({ phase }) => phase),
    built: buildNetworks(config, gray),
  };
}

const alone = { objective: { kind: "none" }, tuneNorms: "off" };

test.each([
  [{ kind: "zhuang" }, 4, ["weights", "weights", "student", "student"]],
  [{ kind: "zhuang", stages: "progressive" }, 4, ["bits-32", "bits-8", "bits-4", "student"]],
  [
    { kind: "zhuang", stages: "progressive", progression: [8, 4], activationBits: 8 },
    3,
    ["bits-8", "bits-4", "student"],
  ],
  [{ kind: "zhuang", stages: "direct" }, 2, ["student", "student"]],
  [{ kind: "xnorpp" }, 3, ["real", "student", "student"]],
  [{ kind: "xnorpp", pretrain: 0 }, 2, ["student", "student"]],
  [{ kind: "xnorpp", weights: "real" }, 1, ["student"]],
  [{ kind: "polino", points: true }, 2, ["float", "student"]],
  [{ kind: "polino" }, 2, ["student", "student"]],
  [{ kind: "abc", pretrain: 0.5 }, 2, ["float", "student"]],
  [{ kind: "rbcn-pruned", fineTune: 0.25 }, 4, ["baseline", "baseline", "student", "fine-tune"]],
])("%o over %i epochs trains %o", (method, epochs, order) => {
  const program = programOf(method, epochs, alone);
  expect(program.order).toEqual(order);
  expect(program.networks.at(-1)?.name).toBe("student");
  // Each starts from the one before.
  expect(program.networks.map(({ startsFrom }) => startsFrom)).toEqual([
    undefined,
    ...program.networks.slice(0, -1).map(({ name }) => name),
  ]);
});

/** What a method needs so many epochs for, and what else may be set. */
test.each([
  [{ kind: "inq" }, 5, ["fewer method.portions", "method.pretrain=0"]],
  [{ kind: "inq", pretrain: 0, portions: [0.5, 1] }, 2, ["fewer method.portions"]],
  [{ kind: "zhuang" }, 2, ["method.stages=direct"]],
  [{ kind: "zhuang", stages: "progressive" }, 4, ["a shorter method.progression"]],
  [{ kind: "xnorpp" }, 2, ["method.pretrain=0"]],
  [{ kind: "polino", points: true }, 2, ["method.pretrain=0"]],
  [{ kind: "rbcn-pruned" }, 2, ["method.pretrain=0"]],
  [{ kind: "rbcn-pruned", fineTune: 0.1 }, 3, ["method.fineTune=0", "method.pretrain=0"]],
  [{ kind: "bireal", pretrain: 0.1 }, 2, ["method.pretrain=0"]],
  [{ kind: "abc", pretrain: 0.1 }, 2, ["method.pretrain=0"]],
] as const)("%o with fewer than %i epochs is refused, and with as many has every stage", (method, least, instead) => {
  const refused = () => parseConfig({ method, epochs: least - 1 });
  for (const part of [`epochs: must be at least ${least}`, method.kind, `epochs=${least} or more`, ...instead]) {
    expect(refused).toThrow(part);
  }
  const order = (epochs: number) => [...new Set(programOf(method, epochs, alone).order)];
  expect(order(least)).toHaveLength(least);
  expect(order(least)).toEqual(order(20 * least));
});

test("the default epochs do for the default options of every method but INQ, whose five stages are named", () => {
  for (const kind of methods.kinds) {
    const config = { method: { kind }, ...(kind === "lab" && { optimizer: { latent: { kind: "adam" } } }) };
    if (kind === "inq") expect(() => parseConfig(config)).toThrow(/5 stages of the method inq; got 3/);
    else expect(parseConfig(config).method.kind).toBe(kind);
  }
});

test.each([
  [[8, 8], "set method.progression=[8]"],
  [[4, 8], "set method.progression=[8,4]"],
  [[8, 2], "set method.progression=[8]"],
  [[2], "set method.stages=direct"],
])("a progression of %j is refused in one line", (progression, instead) => {
  const config = { method: { kind: "zhuang", stages: "progressive", progression }, epochs: 8 };
  expect(() => parseConfig(config)).toThrow(
    `The run's configuration is not valid:\n  method.progression: must fall, each more than the 2 bits at the end; got ${JSON.stringify(progression)} (${instead})`,
  );
});

test("Zhuang's first stage has quantised weights under activations as they are, the last has both", () => {
  const { built } = programOf({ kind: "zhuang" }, 2, alone);
  const ops = (name: string) => built[name].graph.nodes.map(({ op }) => op);
  expect(ops("weights")).not.toContain("quantise");
  expect(ops("student")).toContain("quantise");
  expect(ops("weights")).toContain("qconv");
});

test("XNOR-Net++ has real weights under signs first", () => {
  const { built } = programOf({ kind: "xnorpp" }, 2, alone);
  const [real, student] = ["real", "student"].map((name) => built[name].manifest.entries.map((entry) => entry.name));
  // What the second starts from has the same names.
  for (const name of student) if (!name.endsWith(".c")) expect(real).toContain(name);
  expect(built.real.graph.nodes.map(({ op }) => op)).not.toContain("rbconv");
});

test("points are learned for the weights of a network in full precision", () => {
  const { networks, built } = programOf({ kind: "polino", points: true }, 2, alone);
  expect(networks[0].precision).toBe("full");
  expect(built.float.latent).toEqual([]);
});

describe("the pruned RBCN", () => {
  const named = (program: ReturnType<typeof programOf>, name: string) =>
    program.phases.find((one) => one.name === name);

  test("is compared with the unpruned one, which was compared with the teacher", () => {
    const program = programOf({ kind: "rbcn-pruned" });
    expect(named(program, "baseline")).toMatchObject({ needs: ["teacher"] });
    expect(named(program, "student")).toMatchObject({ needs: ["baseline"] });
    const teachers = named(program, "student")?.losses.flatMap(({ teacher }) => teacher ?? []);
    expect(teachers).toEqual(["baseline"]);
    expect(named(programOf({ kind: "rbcn-pruned", against: "teacher" }), "student")).toMatchObject({
      needs: ["teacher"],
    });
  });

  test("has no masks in its unpruned network, and none that move at the end", () => {
    const program = programOf({ kind: "rbcn-pruned", fineTune: 0.25 });
    expect(program.built.baseline.manifest.entries.some(({ name }) => name.endsWith(".mask"))).toBe(false);
    const layers = named(program, "fine-tune")?.trains.flatMap((one) => one.layers ?? []);
    expect(layers).toContain("rbconv");
    expect(layers).not.toContain("gamma");
    const masks = program.built.student.manifest.entries.filter(({ name }) => name.endsWith(".mask"));
    expect(masks.map(({ layer }) => layer)).toEqual(["gamma", "gamma"]);
  });

  test("leaves epochs to pruning", () => {
    expect(() => parseConfig({ method: { kind: "rbcn-pruned", pretrain: 0.5, fineTune: 0.5 } })).toThrow(/fineTune/);
  });
});
