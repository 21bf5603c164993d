// A plan: methods, seeds and rates whose every combination is a run. Unknown fields are refused, so that a typing error
// compares nothing silently.

import { readFile } from "node:fs/promises";
import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import { didYouMean } from "../../shared/base/nearest.ts";
import { MOST_FACTOR, MOST_PATH } from "../../shared/run/config-limits.ts";
import { configProblems } from "../../shared/run/config-problems.ts";
import { readYaml } from "../../shared/run/config-text.ts";
import { shippedPlan, shippedPlans } from "../run/shipped-runs.ts";
import { fieldsOf } from "./overrides.ts";

/** Of one plan. */
export const MOST_METHODS = 64;
export const MOST_SEEDS = 100;
export const MOST_RATES = 20;
export const MOST_CELLS = 2000;
/** Characters of a method's name, which stands in tables; folders have a short form of it (cells.ts). */
export const MOST_NAME = 64;

/** Weight of one 1-bit pair beside a pair of floats, 1 / this, as XNOR-Net and Bi-Real-Net count operations. */
const BITS_A_FLOAT = 64;

/** Controls, marks of direction and ends of lines would spoil a table; so would spaces at its ends. */
const label = z
  .string()
  .refine((text) => [...text].length <= MOST_NAME, `must have at most ${MOST_NAME} characters`)
  .regex(/^(?! )[^\p{C}\p{Zl}\p{Zp}]+(?<! )$/u, "must be printable characters, and neither begin nor end with a space");
const overrides = z.record(z.string(), z.unknown());
const rates = z.array(z.number().positive().max(MOST_FACTOR)).min(1).max(MOST_RATES);

const planSchema = z.strictObject({
  name: z.string().min(1).max(40).describe("of the comparison"),
  base: z
    .union([z.string().min(1).max(MOST_PATH), overrides])
    .describe("a run's configuration, or the file of one, one's own or shipped"),
  teacher: overrides
    .optional()
    .describe("laid over base and method.kind full: a run whose network every method that wants a teacher is given"),
  methods: z
    .array(
      z.strictObject({ name: label, set: overrides.default({}).describe("laid over base"), rates: rates.optional() }),
    )
    .min(1)
    .max(MOST_METHODS),
  seeds: z.array(z.number().int().min(0).max(0xffffffff)).min(1).max(MOST_SEEDS).default([0]),
  rates: rates.optional().describe("of optimizer.learningRate; that of base alone unless given"),
  reference: label
    .optional()
    .describe("the method that the others are compared with, seed by seed; the first unless given"),
  bitsAFloat: z
    .number()
    .min(1)
    .max(MOST_FACTOR)
    .default(BITS_A_FLOAT)
    .describe("1-bit multiplications that are counted as one of floats; 1 counts each"),
});

export type Plan = z.output<typeof planSchema>;
export type PlannedMethod = Plan["methods"][number];

/** Fields that the grid sets, and nobody else. */
const gridFields: Readonly<Record<string, string>> = {
  seed: "seeds",
  "optimizer.learningRate": "rates",
  "teacher.file": "teacher",
  name: "name",
};

function doubled<T>(values: readonly T[]): T | undefined {
  return values.find((value, i) => values.indexOf(value) !== i);
}

/** Rules that span fields. */
function problemsOf(plan: Plan): string[] {
  const { methods, seeds, reference } = plan;
  const names = methods.map(({ name }) => name);
  const problems: string[] = [];
  const twice = (field: string, value: unknown) =>
    value !== undefined && problems.push(`  ${field}: ${JSON.stringify(value)} is there twice; name it once`);
  twice("methods", doubled(names));
  twice("seeds", doubled(seeds));
  for (const [i, { rates: own }] of methods.entries()) twice(`methods.${i}.rates`, doubled(own ?? []));
  twice("rates", doubled(plan.rates ?? []));
  if (reference !== undefined && !names.includes(reference)) {
    problems.push(`  reference: ${reference} is none of ${names.join(", ")}${didYouMean(reference, names)}`);
  }
  for (const [i, { set }] of methods.entries()) {
    for (const field of fieldsOf(set)) {
      const place = Object.hasOwn(gridFields, field) ? gridFields[field] : undefined;
      if (place === undefined) continue;
      problems.push(
        `  methods.${i}.set.${field}: is the plan's own; give it as ${place}, so that all methods share it`,
      );
    }
  }
  const cells = methods.reduce((sum, method) => sum + seeds.length * ratesOf(plan, method).length, 0);
  if (cells > MOST_CELLS)
    problems.push(`  methods: the grid has ${cells} cells; the limit is ${MOST_CELLS}: leave some out`);
  return problems;
}

/** The rates of a method; null is that of its own configuration. */
export function ratesOf(plan: Pick<Plan, "rates">, method: Pick<PlannedMethod, "rates">): readonly (number | null)[] {
  return method.rates ?? plan.rates ?? [null];
}

/** @throws CONFIG_INVALID naming each field, what is allowed and what was given */
export function parsePlan(value: unknown, source: string): Plan {
  const result = planSchema.safeParse(value);
  const lines = result.success ? problemsOf(result.data) : configProblems(planSchema, value, result.error.issues);
  if (lines.length > 0 || !result.success) {
    throw new BitswarmError("CONFIG_INVALID", `${source} is no plan to compare by:\n${lines.join("\n")}`);
  }
  return result.data;
}

/** A file of the working folder, else one that comes with the program. @throws CONFIG_INVALID */
export async function readPlan(file: string): Promise<Plan> {
  const own = await readFile(file, "utf8").catch((error: Error) => error);
  if (typeof own === "string") return parsePlan(readYaml(own, file), file);
  const shipped = shippedPlan(file);
  if (shipped) return parsePlan(readYaml(await readFile(shipped.path, "utf8"), shipped.file), shipped.file);
  const names = shippedPlans().map((plan) => plan.file);
  throw new BitswarmError(
    "CONFIG_INVALID",
    `${file} cannot be read: ${own.message}${didYouMean(file, names)}; plans that come with the program: ${names.join(", ")}`,
    { cause: own },
  );
}
