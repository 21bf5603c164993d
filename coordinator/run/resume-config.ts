// The configuration that a run is resumed with: its own, with what run.yaml and --set change of it. What touches what
// was trained is refused by name; nothing that a person wrote is passed over.

import { join } from "node:path";
import { parseDocument } from "yaml";
import { BitswarmError } from "../../shared/base/errors.ts";
import { parseConfig, type RunConfig } from "../../shared/run/config.ts";
import { readYaml, setField } from "../../shared/run/config-text.ts";
import { type Program, phaseProgram } from "../../shared/run/program.ts";
import { changedFields, type FieldChange, refusalOf } from "../../shared/run/resumable.ts";
import { commandText } from "../base/command-text.ts";
import { engineOptions, requireEngine } from "./engines.ts";
import { withAbsolutePaths } from "./run-config.ts";
import { RUN_FILE, type RunDirectory, readRunFile, writeRunFile } from "./run-directory.ts";

export interface ResumedConfig {
  readonly config: RunConfig;
  /** From the checkpoint's to this one. */
  readonly changes: readonly FieldChange[];
}

function shown(value: unknown): string {
  return value === undefined ? "not given" : JSON.stringify(value);
}

/** A configuration as people wrote it. @throws CONFIG_INVALID naming where it was written */
function parsed(value: Record<string, unknown>, source: string): RunConfig {
  try {
    const config = parseConfig(value);
    return withAbsolutePaths({ ...config, engine: engineOptions(config) as RunConfig["engine"] });
  } catch (error) {
    if (!(error instanceof BitswarmError)) throw error;
    const advice = `Correct ${source}; without that file the run goes on as its checkpoint says, and it is written anew`;
    throw new BitswarmError(error.code, `${error.message}\n${advice}`, { cause: error });
  }
}

/** What run.yaml says; the checkpoint's configuration where it is not there. */
async function fileConfig(runDir: string, stored: RunConfig): Promise<RunConfig> {
  const text = await readRunFile(runDir);
  const source = join(runDir, RUN_FILE);
  return text === undefined ? stored : parsed(readYaml(text, source), source);
}

/**
 * @param stored the checkpoint's
 * @param set `field=value`, on top of run.yaml
 * @throws CONFIG_INVALID naming each field that may not change, why, and what it was
 */
export async function resumedConfig(
  runDir: string,
  stored: RunConfig,
  set: readonly string[] = [],
): Promise<ResumedConfig> {
  const before = await fileConfig(runDir, stored);
  const plain = structuredClone(before) as Record<string, unknown>;
  for (const assignment of set) setField(plain, assignment);
  const config = set.length === 0 ? before : parsed(plain, "--set");
  requireEngine(config);
  const changes = changedFields(stored, config);
  const written = new Set(changedFields(stored, before).map(({ field }) => field));
  const refused = changes.flatMap((change) => {
    const why = refusalOf(change);
    if (why === undefined) return [];
    const { field, from, to } = change;
    const where = written.has(field) ? join(runDir, RUN_FILE) : "--set";
    return [`  ${field}: was ${shown(from)}, ${where} says ${shown(to)}: ${why}`];
  });
  if (refused.length > 0) {
    throw new BitswarmError(
      "CONFIG_INVALID",
      `The run in ${runDir} cannot go on with another value of what its steps so far were made with; put back what it was, or start a run of its own with it:\n${refused.join("\n")}`,
    );
  }
  return { config, changes };
}

/** Lets run.yaml say what is so; what else a person wrote there stays as it is. */
export async function keepRunFile(directory: RunDirectory, config: RunConfig): Promise<void> {
  const text = await readRunFile(directory.path);
  if (text === undefined) return writeRunFile(directory, config);
  const differences = changedFields(await fileConfig(directory.path, config), config);
  if (differences.length === 0) return;
  const document = parseDocument(text);
  for (const { field, to } of differences) {
    const path = field.split(".");
    if (to === undefined) document.deleteIn(path);
    else document.setIn(path, to);
  }
  await writeRunFile(directory, document.toString({ lineWidth: 0 }));
}

/**
 * The steps so far must be the first ones of what is to come.
 * @throws CONFIG_INVALID
 */
function requireBeginning(before: Program, after: Program, step: number): void {
  const same = before.passes
    .filter(({ firstStep }) => firstStep < step)
    .every((pass) => JSON.stringify(pass) === JSON.stringify(after.passes[pass.index]));
  if (same) return;
  throw new BitswarmError(
    "CONFIG_INVALID",
    `epochs: the ${step} steps so far are not the beginning of the longer program that the run's method makes; start a run of its own with it`,
  );
}

/** What more epochs come to: of the learning rate's schedule, and so of the bits. */
function longerText(stored: RunConfig, config: RunConfig, step: number, trainSamples: number): string {
  const before = phaseProgram(stored, trainSamples);
  const after = phaseProgram(config, trainSamples);
  requireBeginning(before, after, step);
  const { schedule } = config.optimizer;
  const steps = (program: Program, network: string) =>
    program.passes.filter((pass) => pass.network === network).reduce((sum, pass) => sum + pass.steps, 0);
  const longer = new Set(
    after.networks.map(({ name }) => name).filter((name) => steps(before, name) !== steps(after, name)),
  );
  const made = before.passes
    .filter(({ network }) => longer.has(network))
    .reduce((sum, pass) => sum + Math.min(pass.steps, Math.max(0, step - pass.firstStep)), 0);
  const all = `epochs: ${stored.epochs} → ${config.epochs}, ${after.steps} steps in all`;
  if (made === 0 || schedule.kind === "constant") {
    return `${all}; the run ends with the bits of one that had ${config.epochs} from the start`;
  }
  return `${all}; from here on the learning rate is that of the ${schedule.kind} schedule over ${config.epochs} epochs. ${made} steps were made with the schedule over ${stored.epochs}, so the run does not end with the bits of one that had ${config.epochs} from the start`;
}

/** What a person is told of the changes. @throws CONFIG_INVALID where the longer program begins otherwise */
export function changeNotices(
  stored: RunConfig,
  { config, changes }: ResumedConfig,
  step: number,
  trainSamples: number,
): string[] {
  return changes.map(({ field, from, to }) =>
    field === "epochs"
      ? longerText(stored, config, step, trainSamples)
      : `${field}: ${shown(from)} → ${shown(to)}, from here on`,
  );
}

/** What trains a run longer that has come to its end; nothing for another. */
export function longerCommand(
  runDir: string,
  {
    step,
    config,
    dataset,
  }: {
    readonly step: number;
    readonly config: RunConfig;
    readonly dataset: { readonly train: { readonly samples: number } };
  },
): string | undefined {
  if (step < phaseProgram(config, dataset.train.samples).steps) return undefined;
  return commandText("coordinator", ["resume", runDir, "--set", `epochs=${config.epochs + 1}`]);
}
