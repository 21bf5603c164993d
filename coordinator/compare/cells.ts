// The cells of a plan: each a run's whole configuration, a method by a seed and a rate, and before them the run that
// trains the shared teacher.

import { BitswarmError } from "../../shared/base/errors.ts";
import { fullPrecision } from "../../shared/model/methods/full.ts";
import { parseConfig, type RunConfig } from "../../shared/run/config.ts";
import { phasesOf } from "../../shared/run/program.ts";
import { contentHash } from "../disk/content-hash.ts";
import { engineOptions } from "../run/engines.ts";
import { readRunFields, withAbsolutePaths } from "../run/run-config.ts";
import { laidOver, type Plain } from "./overrides.ts";
import { type Plan, ratesOf } from "./plan.ts";

export interface Cell {
  /** Of its folder. */
  readonly name: string;
  readonly method: string;
  readonly seed: number;
  readonly rate: number;
  /** With TEACHER_PLACE where the shared teacher's file goes. */
  readonly config: RunConfig;
  /** It has a teacher that is the plan's. */
  readonly taught: boolean;
}

export interface Grid {
  readonly plan: Plan;
  /** What everything is laid over. */
  readonly base: RunConfig;
  /** Trains the teacher; nothing where the plan has none, or no cell wants it. */
  readonly teacher: RunConfig | undefined;
  /** The first seed of every method, then the second: a table has all methods early. */
  readonly cells: readonly Cell[];
}

/** Stands for the shared teacher's file until it is there. */
export const TEACHER_PLACE = "the teacher of the plan";
/** Name of the run that trains it. */
export const TEACHER_CELL = "teacher";

/** Of a method's part of a folder's name. */
const MOST_SLUG = 64;
const HASH_DIGITS = 8;

const asciiSlug = (text: string) => text.replace(/[^A-Za-z0-9.]+/g, "-").replace(/-+$/, "");

/**
 * ASCII letters, digits, dots and dashes, which every disk takes. Where that loses letters, or the name begins
 * otherwise than with a letter or a digit, a hash of the name makes two of them two.
 */
function slug(name: string): string {
  if (/^[A-Za-z0-9][\x20-\x7e]*$/.test(name)) return asciiSlug(name);
  const hash = contentHash(name.normalize("NFC")).slice(0, HASH_DIGITS);
  const kept = asciiSlug(name)
    .replace(/^[-.]+/, "")
    .slice(0, MOST_SLUG - HASH_DIGITS - 1);
  return kept === "" ? hash : `${kept}-${hash}`;
}

/** Of a run; no half of a character is left at its end. */
const runName = (text: string) => text.slice(0, MOST_RUN_NAME).replace(/[\uD800-\uDBFF]$/, "");
const MOST_RUN_NAME = 64;

/** @throws CONFIG_INVALID naming what was laid over the base */
function configOf(fields: Plain, source: string): RunConfig {
  try {
    const config = parseConfig(fields);
    return { ...config, engine: engineOptions(config) as RunConfig["engine"] };
  } catch (error) {
    if (!(error instanceof BitswarmError)) throw error;
    throw new BitswarmError(error.code, `${source}: ${error.message}`, { cause: error });
  }
}

/** Whether a run reads its teacher from the file that its configuration names. */
function readsTeacher(config: RunConfig): boolean {
  return phasesOf(config).outline.networks.some(({ file }) => file !== undefined);
}

/** A configuration without a teacher's file. */
function untaught({ teacher: { file: _, ...teacher }, ...config }: RunConfig): RunConfig {
  return { ...config, teacher };
}

/** What the cells' names are made of; two methods have two. @throws CONFIG_INVALID */
function folderNames(plan: Plan): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const { name } of plan.methods) {
    const folder = slug(name);
    const other = [...names].find(([, taken]) => taken.toLowerCase() === folder.toLowerCase());
    if (other) {
      throw new BitswarmError(
        "CONFIG_INVALID",
        `methods: the folders of ${other[0]} and ${name} would have one name, ${folder}; call one of them otherwise`,
      );
    }
    names.set(name, folder);
  }
  return names;
}

/** @throws CONFIG_INVALID naming the method, the field, and what is allowed */
export async function gridOf(plan: Plan): Promise<Grid> {
  const fields = typeof plan.base === "string" ? await readRunFields(plan.base) : laidOver({}, plan.base, "base");
  const absolute = (config: RunConfig) => withAbsolutePaths(config);
  const base = absolute(configOf(fields, "base"));
  const folders = folderNames(plan);
  const shared = plan.teacher !== undefined;
  const cells = plan.seeds.flatMap((seed) =>
    plan.methods.flatMap((method) =>
      ratesOf(plan, method).map((rate): Cell => {
        const source = `the method ${method.name}`;
        const laid = laidOver(fields, method.set, source);
        const grid: Plain = {
          seed,
          name: runName(`${plan.name}: ${method.name}`),
          ...(rate === null ? {} : { "optimizer.learningRate": rate }),
        };
        const config = absolute(configOf(laidOver(laid, grid, source), source));
        const given = { ...config, teacher: { ...config.teacher, file: TEACHER_PLACE } };
        const taught = shared && readsTeacher(given);
        // A rate that is added to a plan later leaves the names of the others as they are.
        const own = configOf(laid, source).optimizer.learningRate;
        const rateText = config.optimizer.learningRate === own ? "" : `-r${config.optimizer.learningRate}`;
        return {
          name: `${folders.get(method.name)}-s${seed}${rateText}`,
          method: method.name,
          seed,
          rate: config.optimizer.learningRate,
          config: taught ? given : shared ? untaught(config) : config,
          taught,
        };
      }),
    ),
  );
  const teacher = cells.some(({ taught }) => taught) ? teacherOf(plan, fields) : undefined;
  return { plan, base, teacher: teacher && absolute(teacher), cells };
}

/** The run that trains the teacher: in full precision where the plan does not say how. */
function teacherOf({ name, teacher = {} }: Plan, fields: Plain): RunConfig {
  const full = { method: { kind: fullPrecision.kind }, objective: { kind: "none" } };
  const over = laidOver(
    laidOver(laidOver(fields, full, "teacher"), teacher, "teacher"),
    { name: runName(`${name}: teacher`) },
    "teacher",
  );
  return configOf(over, "teacher");
}

/** The configuration that a cell is run with. @param file of the shared teacher, where there is one */
export function runnable({ config, taught }: Pick<Cell, "config" | "taught">, file: string | undefined): RunConfig {
  if (!taught) return config;
  if (file === undefined) throw new RangeError("a cell with a teacher was to run before there was one");
  return { ...config, teacher: { ...config.teacher, file } };
}
