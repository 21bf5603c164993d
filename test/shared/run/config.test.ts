// The configuration's rules: defaults are complete, mistakes are named with field, value and what is allowed.
import { expect, test } from "vitest";
import { z } from "zod";
import { dataKind, dataKinds, MOST_SAMPLES } from "../../../shared/data/data-kinds.ts";
import { methods } from "../../../shared/model/methods/methods.ts";
import { objectives } from "../../../shared/model/objectives/objectives.ts";
import { parseConfig, runConfigSchema, unusedFields } from "../../../shared/run/config.ts";
import { MOST_CONTACT, MOST_DESCRIPTION, MOST_URL } from "../../../shared/run/config-limits.ts";
import { readYaml, setField } from "../../../shared/run/config-text.ts";
import { phasesOf } from "../../../shared/run/program.ts";

function messageOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    expect(error).toMatchObject({ code: "CONFIG_INVALID" });
    return (error as Error).message;
  }
  throw new Error("nothing was refused");
}

test("an empty configuration is the shipped defaults, and they pass through unchanged", () => {
  const config = parseConfig({});
  expect(config.model).toEqual({ kind: "lenet", widths: [12, 24, 96] });
  expect(config.method).toEqual({
    kind: "rbcn",
    rectify: "kernel",
    surrogate: "bireal",
    lambdaKernel: 1e-4,
    kernelGradient: "direct",
    ablation: "R+G+B",
  });
  expect(config.codec).toBe("exact");
  expect(parseConfig(config)).toEqual(config);
  expect(runConfigSchema().parse(config)).toEqual(config);
});

test.each([
  [{ batch: -4 }, ["batch", "-4", ">0"]],
  [{ method: { ablation: "R+B" } }, ["ablation", "R+B", "R+G+B"]],
  [{ model: { kind: "lenet", widths: [1, 2] } }, ["model.widths", "[1,2]"]],
  [{ model: { kind: "vgg" } }, ["model.kind", "vgg"]],
  [{ optimizer: { learningRate: "fast" } }, ["optimizer.learningRate", "fast", "number"]],
  [{ data: { trainSamples: 0 } }, ["data.trainSamples", "0"]],
  [{ batch: 100, microbatch: 32 }, ["batch", "multiple of microbatch (32)", "100"]],
  [{ bnPhase: 0 }, ["bnPhase", "R+G"]],
  [{ method: { kind: "vgg" } }, ["method.kind", "vgg"]],
  [{ method: { kind: "xnor", rectify: "out" } }, ["method.rectify", "there is no such field", "gradient", "centre"]],
  [{ sync: { kind: "local" }, optimizer: { latent: { kind: "adam" } } }, ["optimizer.latent", "allreduce", "adam"]],
  [{ method: { kind: "bireal" }, sync: { kind: "local" } }, ["sync.kind", "method bireal has no rule", "rbcn"]],
  [
    { method: { kind: "ttq", activations: "bits" } },
    ["method.activations", '"float", "sign" or a number of bits, 1 to 8', '"bits"'],
  ],
  [{ lease: { pieces: "few" } }, ["lease.pieces", "expected number", 'expected "auto"', '"few"']],
  [{ rbcn: { rectify: "out" } }, ["rbcn: is called method now"]],
  [{ ablation: "R" }, ["ablation: is called method.ablation now"]],
  [{ model: { kind: "resnet", widths: [8, 16], blocks: [1] } }, ["model.blocks", "2", "[1]"]],
  [{ model: { kind: "resnet", depth: 34, widths: [8, 16] } }, ["model.blocks", "[3,4,6,3]", "depth 34"]],
  [{ model: { kind: "wrn", depth: 20 } }, ["model.depth", "multiple of 6", "20"]],
  [{ model: { kind: "wrn", widths: "1-2-3-4" } }, ["model.widths", "1-2-3-4"]],
])("%j is refused by field, value and what is allowed", (config, parts) => {
  const message = messageOf(() => parseConfig(config));
  for (const part of parts) expect(message).toContain(part);
});

test("an unknown key is refused by its name, at any depth", () => {
  expect(messageOf(() => parseConfig({ epoch: 3 }))).toContain("epoch");
  expect(messageOf(() => parseConfig({ optimizer: { lr: 1 } }))).toContain("lr");
});

test("beside an unknown field stand those of its kind, or of the default kind", () => {
  expect(messageOf(() => parseConfig({ data: { folder: 1 } }))).toMatch(
    /data\.folder: .* are kind, root, trainSamples/,
  );
  expect(messageOf(() => parseConfig({ data: { kind: "idx", folder: 1 } }))).toMatch(/data\.folder: .* are kind, root/);
  expect(messageOf(() => parseConfig({ data: { kind: "mnist" } }))).toMatch(/data\.kind: .* fashion-mnist, idx/);
});

test("a data set that is added at run time can be configured, with options of its own, until it is taken out", () => {
  const given = { data: { kind: "added", stripes: 3 } };
  const remove = dataKinds.add(dataKind("added", { stripes: z.number().int().max(4) }));
  try {
    const config = parseConfig(given);
    expect(config.data).toMatchObject({ kind: "added", stripes: 3, trainSamples: 20000 });
    expect(runConfigSchema().parse(config)).toEqual(config);
    expect(messageOf(() => parseConfig({ data: { kind: "added", stripes: 9 } }))).toMatch(
      /data\.stripes: .*<=4; got 9/,
    );
  } finally {
    remove();
  }
  expect(messageOf(() => parseConfig(given))).toMatch(/data\.kind: .*got "added"/);
  expect(runConfigSchema().safeParse(given).error?.issues).toMatchObject([{ path: ["data", "kind"] }]);
});

test("a kind's own fields stand in the place of the common ones of their name", () => {
  const { data } = parseConfig({ data: { kind: "store", store: "s3://bucket/photos" } });
  expect(data).toEqual({
    kind: "store",
    store: "s3://bucket/photos",
    trainSamples: MOST_SAMPLES,
    testSamples: MOST_SAMPLES,
    pad: 0,
    area: [0.08, 1],
  });
  const refused = (fields: Record<string, unknown>) =>
    messageOf(() => parseConfig({ data: { kind: "store", ...fields } }));
  expect(refused({ root: "/photos" })).toMatch(/data\.root: .*a store is named by data\.store; got "\/photos"/);
  expect(refused({ augment: "mirror" })).toMatch(/data\.augment: .*random-resized-crop.*got "mirror"/);
  expect(refused({ area: [0.5, 0.1] })).toMatch(/data\.area: .*the smaller first.*got \[0\.5,0\.1\]/);
  expect(refused({ size: 7 })).toMatch(/data\.size: .*>=8; got 7/);
  expect(refused({ size: 1025 })).toMatch(/data\.size: .*<=1024; got 1025/);
  expect(refused({ resise: 256 })).toMatch(/data\.resise: .*did you mean data\.resize\?/);
});

test("a field that one kind alone has names that kind, where another was meant or none was given", () => {
  expect(messageOf(() => parseConfig({ data: { store: "/photos" } }))).toMatch(
    /data\.store: there is no such field, data\.kind=store alone has it; .*got "\/photos"/,
  );
  expect(messageOf(() => parseConfig({ data: { kind: "idx", size: 64 } }))).toMatch(/data\.size: .*data\.kind=store/);
});

test("what a run says of itself is plain text of some sentences, and its link is http or https", () => {
  const long = (most: number) => "x".repeat(most + 1);
  const refused = (config: Record<string, unknown>) => messageOf(() => parseConfig(config));
  expect(refused({ description: long(MOST_DESCRIPTION) })).toMatch(/description: .*600/);
  expect(refused({ contact: long(MOST_CONTACT) })).toMatch(/contact: .*120/);
  expect(refused({ url: `https://example.org/${long(MOST_URL)}` })).toMatch(/url: .*512/);
  expect(refused({ contact: "Ada\u001b[31m" })).toMatch(/contact: .*plain text/);
  for (const url of ["javascript:alert(1)", "example.org", "data:text/html,x"])
    expect(refused({ url })).toMatch(/url: /);
  const about = { description: "Clothes 👚\nand shoes", contact: "", url: "http://localhost:8080/why" };
  expect(parseConfig(about)).toMatchObject(about);
});

test("every problem is in one message", () => {
  const message = messageOf(() => parseConfig({ batch: 0, epochs: 0 }));
  expect(message).toContain("batch");
  expect(message).toContain("epochs");
});

test("--set reaches any field and reads its value as YAML", () => {
  const config: Record<string, unknown> = { optimizer: { momentum: 0.5 } };
  for (const set of [
    "checkpoint.everySteps=4",
    "optimizer.learningRate=0.05",
    "model={kind: resnet, blocks: [1], widths: [8]}",
  ]) {
    setField(config, set);
  }
  const parsed = parseConfig(config);
  expect(parsed.checkpoint.everySteps).toBe(4);
  expect(parsed.optimizer).toMatchObject({ momentum: 0.5, learningRate: 0.05 });
  expect(parsed.model.kind).toBe("resnet");
});

test("fields that the method does not read are told by name where they are set", () => {
  const set = { bnPhase: 0.5, adversarial: { lambda: 2 }, teacher: { epochs: 1 } };
  expect(unusedFields(parseConfig({ method: { kind: "xnor" }, ...set }))).toEqual([
    "adversarial",
    "teacher",
    "bnPhase",
  ]);
  expect(unusedFields(parseConfig({ method: { kind: "xnor" } }))).toEqual([]);
  expect(unusedFields(parseConfig(set))).toEqual([]);
  const pruned = { kind: "rbcn-pruned", ablation: "R" };
  expect(unusedFields(parseConfig({ method: pruned, objective: { kind: "none" }, ...set }))).toEqual([
    "adversarial",
    "teacher",
    "bnPhase",
  ]);
});

test.each(methods.kinds)("a teacher that a run of %s has none of is told to be unused, with any objective", (kind) => {
  for (const { kind: objective } of objectives.entries) {
    const config = parseConfig({
      method: { kind },
      objective: { kind: objective },
      epochs: 5,
      teacher: { epochs: 3 },
      optimizer: { latent: { kind: "adam" } },
    });
    const taught = phasesOf(config).outline.networks.some(({ name }) => name === "teacher");
    expect([objective, unusedFields(config).includes("teacher")]).toEqual([objective, !taught]);
  }
});

test("a number of bits that there is not is told in one line", () => {
  for (const weightBits of [0, 9, 33]) {
    expect(messageOf(() => parseConfig({ method: { kind: "dorefa", weightBits } }))).toBe(
      `The run's configuration is not valid:\n  method.weightBits: must be 1 to 8, or 32 for values as they are; got ${weightBits}`,
    );
  }
});

test("a configuration of any method passes through unchanged", () => {
  for (const kind of methods.kinds) {
    // LAB takes nothing else; INQ has five stages.
    const config = parseConfig({ method: { kind }, epochs: 5, optimizer: { latent: { kind: "adam" } } });
    expect(config.method.kind).toBe(kind);
    expect(parseConfig(config)).toEqual(config);
  }
});

test("inner steps on workers are for methods with a device rule; each other one is refused by its name", () => {
  const without = methods.entries.filter(({ deviceRule }) => !deviceRule).map(({ kind }) => kind);
  expect(without).toContain("ttq");
  for (const kind of without) {
    expect(() => parseConfig({ method: { kind }, sync: { kind: "local" } })).toThrow(
      new RegExp(`sync\\.kind: .*the method ${kind} has no rule for; got local \\(use allreduce, or a method of rbcn`),
    );
  }
});

test("a model or a schedule without a kind is of the default kind", () => {
  const config = parseConfig({ model: { widths: [1, 2, 3] }, optimizer: { schedule: { warmupSteps: 7 } } });
  expect(config.model).toEqual({ kind: "lenet", widths: [1, 2, 3] });
  expect(config.optimizer.schedule).toEqual({ kind: "cosine", warmupSteps: 7 });
});

test("--set without a field or a sign of equality is refused", () => {
  for (const bad of ["epochs", "=3", ""]) expect(messageOf(() => setField({}, bad))).toContain("field=value");
});

test("a file that is not YAML, or not a map, is refused by its name", () => {
  expect(messageOf(() => readYaml("a: [1", "run.yaml"))).toContain("run.yaml");
  expect(messageOf(() => readYaml("- 1\n- 2", "run.yaml"))).toContain("run.yaml");
  expect(readYaml("", "run.yaml")).toEqual({});
});

test("a field that has moved says where it is now", () => {
  expect(messageOf(() => parseConfig({ labelSmoothing: 0.1 }))).toMatch(
    /labelSmoothing: is called task\.labelSmoothing now/,
  );
  expect(parseConfig({ task: { labelSmoothing: 0.1 } }).task).toEqual({ kind: "classification", labelSmoothing: 0.1 });
});
