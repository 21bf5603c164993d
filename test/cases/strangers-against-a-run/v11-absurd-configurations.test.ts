// A configuration of absurd numbers is refused by field, limit and value, before anything is allocated or counted
// through.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { parseScenario } from "../../../coordinator/simulate/scenario.ts";
import { virtualRunConfig } from "../../../coordinator/simulate/virtual-run.ts";
import { BitswarmError, failureText } from "../../../shared/base/errors.ts";
import { dataKinds } from "../../../shared/data/data-kinds.ts";
import { MOST_NODES, MOST_PARAMETERS } from "../../../shared/model/graph.ts";
import { methods } from "../../../shared/model/methods/methods.ts";
import { MOST_BLOCKS, MOST_CHANNELS } from "../../../shared/model/networks/model.ts";
import { models } from "../../../shared/model/networks/models.ts";
import { parseConfig, type RunConfig, runConfigSchema } from "../../../shared/run/config.ts";
import { MOST_BATCH, MOST_EPOCHS, MOST_MS } from "../../../shared/run/config-limits.ts";
import { buildNetworks } from "../../../shared/run/networks.ts";
import { phaseProgram } from "../../../shared/run/program.ts";
import { tasks } from "../../../shared/tasks/tasks.ts";

/** A part of a JSON schema. */
interface Node {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly oneOf?: readonly Node[];
  readonly anyOf?: readonly Node[];
  readonly allOf?: readonly Node[];
  readonly items?: Node;
  readonly prefixItems?: readonly Node[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly maximum?: number;
  readonly exclusiveMaximum?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
}

interface Leaf {
  /** Fields from the top, with what each union on the way must be. */
  readonly path: readonly string[];
  /** Kinds that must be named for the leaf to be there: `model.kind` is wrn. */
  readonly kinds: Readonly<Record<string, unknown>>;
  readonly node: Node;
}

/** Every number, text and list that a configuration may have. */
function leaves(node: Node, path: readonly string[] = [], kinds: Leaf["kinds"] = {}): Leaf[] {
  const alternatives = node.oneOf ?? node.anyOf ?? node.allOf;
  if (alternatives) return alternatives.flatMap((one) => leaves(one, path, kinds));
  if (node.const !== undefined || node.enum !== undefined) return [];
  if (node.properties) {
    const { kind } = node.properties;
    const here = kind?.const === undefined ? kinds : { ...kinds, [[...path, "kind"].join(".")]: kind.const };
    return Object.entries(node.properties).flatMap(([name, of]) => leaves(of, [...path, name], here));
  }
  const inner = [...(node.prefixItems ?? []), ...(node.items ? [node.items] : [])];
  if (node.type === "array")
    return [{ path, kinds, node }, ...inner.flatMap((of) => leaves(of, [...path, "[]"], kinds))];
  return ["number", "integer", "string"].includes(node.type ?? "") ? [{ path, kinds, node }] : [];
}

const schema = z.toJSONSchema(runConfigSchema(), { io: "input", unrepresentable: "any" }) as Node;
const all = leaves(schema);
const numbers = all.filter(({ node }) => node.type === "number" || node.type === "integer");
const nameOf = ({ path }: Leaf) => path.join(".");

test("the walk through the schema sees every kind's numbers", () => {
  const names = all.map(nameOf);
  expect(names).toEqual(
    expect.arrayContaining([
      "batch",
      "model.widths.[]",
      "model.blocks.[]",
      "model.depth",
      "method.lambdaKernel",
      "data.trainSamples",
      "data.classes.[]",
      "optimizer.schedule.warmupSteps",
      "sync.inner.learningRate",
      "sync.outer.momentum",
      "lease.timeoutMs",
      "trust.heldMiB",
    ]),
  );
});

test("every number of a configuration has a largest value, every list a length, every text too", () => {
  const unbounded = all.filter((leaf) => {
    const { node } = leaf;
    // A codec's name is looked up in its table.
    if (node.type === "string") return node.maxLength === undefined && nameOf(leaf) !== "codec";
    if (node.type === "array") return node.maxItems === undefined && node.prefixItems === undefined;
    return (node.maximum ?? node.exclusiveMaximum ?? Number.MAX_SAFE_INTEGER) >= Number.MAX_SAFE_INTEGER;
  });
  expect(unbounded.map(nameOf)).toEqual([]);
});

/** A configuration with this value where the leaf is: lists are filled with it. */
function configWith({ path, kinds }: Leaf, value: unknown): Record<string, unknown> {
  const config: Record<string, unknown> = {};
  const put = (keys: readonly string[], what: unknown) => {
    let target = config;
    for (const key of keys.slice(0, -1)) {
      target[key] ??= {};
      target = target[key] as Record<string, unknown>;
    }
    target[keys[keys.length - 1]] = what;
  };
  for (const [field, kind] of Object.entries(kinds)) put(field.split("."), kind);
  const list = path.at(-1) === "[]";
  const stages = kinds["model.kind"] === "lenet" ? 3 : 4;
  put(list ? path.slice(0, -1) : path, list ? Array.from({ length: stages }, () => value) : value);
  // A batch is whole microbatches.
  if (path.join() === "microbatch") config.batch = value;
  return config;
}

function largest({ node }: Leaf): number {
  return node.maximum ?? (node.exclusiveMaximum ?? 1) - 2 ** -20;
}

/** What a start computes of a configuration before it allocates parameters: "starts", or the error's code. */
function outcome(config: Record<string, unknown>, side = 32): string {
  try {
    const parsed: RunConfig = parseConfig(config);
    const networks = buildNetworks(parsed, { shape: { h: side, w: side, c: 3 }, classes: 10 });
    phaseProgram(parsed, parsed.data.trainSamples);
    return Object.keys(networks).length > 0 ? "starts" : "has no networks";
  } catch (error) {
    if (!(error instanceof BitswarmError)) throw error;
    return error.code;
  }
}

/** On a loaded machine; alone each takes milliseconds. */
const QUICK_MS = 20_000;

test(
  "each number at its largest either starts or fails with a code, in no time",
  () => {
    for (const leaf of numbers) {
      const config = configWith(leaf, largest(leaf));
      expect(["starts", "CONFIG_INVALID", "GRAPH_INVALID"], nameOf(leaf)).toContain(outcome(config));
    }
  },
  QUICK_MS,
);

test("a number beyond its largest is refused by its name, the limit and the value", () => {
  for (const leaf of numbers) {
    const beyond = largest(leaf) * 2 + 4;
    const text = (() => {
      try {
        parseConfig(configWith(leaf, beyond));
        return "accepted";
      } catch (error) {
        return failureText(error);
      }
    })();
    expect(text, nameOf(leaf)).toMatch(/^error CONFIG_INVALID: /);
    expect(text).toContain(leaf.path.filter((key) => key !== "[]").join("."));
    expect(text).toMatch(/got \S/);
  }
});

test(
  "any two of them at once, of any model and method, start or fail with a code",
  () => {
    const pick = fc.constantFrom(...numbers);
    const share = fc.constantFrom(0, 1e-9, 0.5, 1, 2, 1e9, 2 ** 40, -1, Number.NaN, Number.POSITIVE_INFINITY);
    fc.assert(
      fc.property(pick, pick, share, share, fc.constantFrom(28, 32, 224), (a, b, first, second, side) => {
        const config = { ...configWith(a, largest(a) * first), ...configWith(b, largest(b) * second) };
        expect(["starts", "CONFIG_INVALID", "GRAPH_INVALID"]).toContain(outcome(config, side));
      }),
      { numRuns: 150 },
    );
  },
  3 * QUICK_MS,
);

describe("what was seen", () => {
  test.each([
    [{ batch: 2 ** 40 }, `batch: .*<=${MOST_BATCH}; got 1099511627776`],
    [{ model: { widths: [1e9, 1e9, 1e9] } }, `model.widths.0: .*<=${MOST_CHANNELS}; got 1000000000`],
    [
      { model: { kind: "resnet", widths: [8], blocks: [1_000_000] } },
      `model.blocks.0: .*<=${MOST_BLOCKS}; got 1000000`,
    ],
    [{ epochs: 1e12 }, `epochs: .*<=${MOST_EPOCHS}; got 1000000000000`],
    [{ lease: { timeoutMs: 2 ** 40 } }, `lease.timeoutMs: .*<=${MOST_MS}; got 1099511627776`],
    [{ model: { kind: "wrn", depth: 6e9 + 4 } }, "model.depth: .*; got 6000000004"],
  ])("%j is CONFIG_INVALID", (config, pattern) => {
    expect(() => parseConfig(config)).toThrow(new RegExp(pattern));
  });

  test("a network whose layers are each allowed is measured as a whole, before its parameters are made", () => {
    const built = (model: Record<string, unknown>) => () =>
      buildNetworks(parseConfig({ model }), { shape: { h: 28, w: 28, c: 1 }, classes: 10 });
    expect(built({ widths: [MOST_CHANNELS, MOST_CHANNELS, MOST_CHANNELS] })).toThrow(
      new RegExp(`the network has \\d+ parameters up to conv2; the limit is ${MOST_PARAMETERS}`),
    );
    const deep = { kind: "resnet", widths: [1, 1, 1], blocks: [MOST_BLOCKS, MOST_BLOCKS, MOST_BLOCKS] };
    expect(built(deep)).not.toThrow();
    const eight = Array.from({ length: 8 }, () => MOST_BLOCKS);
    expect(() =>
      buildNetworks(parseConfig({ model: { kind: "resnet", widths: eight.map(() => 1), blocks: eight } }), {
        shape: { h: 128, w: 128, c: 1 },
        classes: 10,
      }),
    ).toThrow(new RegExp(`the network has ${MOST_NODES + 1} nodes up to layer`));
    expect(() =>
      buildNetworks(parseConfig({ model: { widths: [512, 1, 1] } }), {
        shape: { h: 4096, w: 4096, c: 1 },
        classes: 10,
      }),
    ).toThrow(/values a sample in its forward pass up to conv1; the limit is/);
  });

  test("the simulation of a hundred thousand volunteers is within every limit, and its own numbers have limits", () => {
    const scenario = parseScenario({ volunteers: 100_000, steps: 1 }, "it");
    expect(virtualRunConfig(scenario, 0).batch).toBeGreaterThan(1e8);
    expect(() => parseScenario({ stepSeconds: 1e12 }, "it")).toThrow(/stepSeconds: .*<=1000000000; got 1000000000000/);
  });

  test("what fails for a reason that no rule foresees has a code as well", () => {
    const failing = () => new Float32Array(-1);
    expect(failing).toThrow();
    try {
      failing();
    } catch (error) {
      expect(failureText(error)).toMatch(/^error UNEXPECTED: Invalid typed array length: -1/);
    }
    const memory = new RangeError("Array buffer allocation failed");
    expect(failureText(memory)).toMatch(/^error UNEXPECTED: .*there is not memory enough; free some/);
  });
});

test("the tables that are walked are those that a configuration can name", () => {
  const kinds = new Set(all.flatMap((leaf) => Object.values(leaf.kinds)));
  for (const kind of [...models.kinds, ...dataKinds.kinds, ...tasks.kinds]) expect(kinds).toContain(kind);
  expect(methods.kinds.some((kind) => kinds.has(kind))).toBe(true);
});
