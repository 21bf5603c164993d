// From the command line to one checked configuration: file or example, then --full, then --set, then --seed.

import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { parseConfig, type RunConfig } from "../../shared/run/config.ts";
import { readYaml, setField } from "../../shared/run/config-text.ts";
import { packageRoot } from "../base/package-root.ts";
import { engineOptions } from "./engines.ts";

export interface ConfigRequest {
  /** A YAML file; the shipped example where there is none. */
  readonly file?: string;
  /** All images of the data set. */
  readonly full: boolean;
  /** `field=value`, later ones win. */
  readonly set: readonly string[];
  readonly seed?: number;
}

/** More images than any data set of this kind has: the importer takes those that there are. */
const ALL_SAMPLES = 2 ** 31 - 1;

/** @throws CONFIG_INVALID naming the field, its value and what is allowed */
export async function readRunConfig({ file, full, set, seed }: ConfigRequest): Promise<RunConfig> {
  const source = file ?? join(packageRoot(), "coordinator", "example.yaml");
  let text: string;
  try {
    text = await readFile(source, "utf8");
  } catch (cause) {
    throw new BitswarmError("CONFIG_INVALID", `${source} cannot be read: ${(cause as Error).message}`, { cause });
  }
  const config = readYaml(text, source);
  if (full) {
    setField(config, `data.trainSamples=${ALL_SAMPLES}`);
    setField(config, `data.testSamples=${ALL_SAMPLES}`);
  }
  for (const assignment of set) setField(config, assignment);
  if (seed !== undefined) setField(config, `seed=${seed}`);
  const parsed = parseConfig(config);
  return { ...parsed, engine: engineOptions(parsed) as RunConfig["engine"] };
}

/** Files of a run are found again from any working directory. */
export function withAbsolutePaths({ data, teacher, ...rest }: RunConfig): RunConfig {
  return {
    ...rest,
    data: data.root === undefined ? data : { ...data, root: resolve(data.root) },
    teacher: teacher.file === undefined ? teacher : { ...teacher, file: resolve(teacher.file) },
  };
}
