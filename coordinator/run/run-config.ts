// From the command line to one checked configuration: file or example, then --full, then --set, then --seed.

import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { didYouMean } from "../../shared/base/nearest.ts";
import { isBucket } from "../../shared/data/data-kinds.ts";
import { parseConfig, type RunConfig } from "../../shared/run/config.ts";
import { readYaml, setField } from "../../shared/run/config-text.ts";
import { engineOptions } from "./engines.ts";
import { EXAMPLE, shippedRun, shippedRuns } from "./shipped-runs.ts";

export interface ConfigRequest {
  /** A YAML file, one's own or the name of a shipped one; the shipped example where there is none. */
  readonly file?: string;
  /** All images of the data set. */
  readonly full: boolean;
  /** `field=value`, later ones win. */
  readonly set: readonly string[];
  readonly seed?: number;
}

/** More images than any data set of this kind has: the importer takes those that there are. */
const ALL_SAMPLES = 2 ** 31 - 1;

/** A file of the working folder, else one that comes with the program. @throws CONFIG_INVALID */
async function runFile(named: string): Promise<{ readonly text: string; readonly source: string }> {
  // The example is nobody's own file.
  const own = named === EXAMPLE ? undefined : await readFile(named, "utf8").catch((error: Error) => error);
  if (typeof own === "string") return { text: own, source: named };
  const shipped = shippedRun(named);
  if (shipped) return { text: await readFile(shipped.path, "utf8"), source: shipped.file };
  const meant = didYouMean(
    named,
    shippedRuns().map(({ file }) => file),
  );
  throw new BitswarmError("CONFIG_INVALID", `${named} cannot be read: ${own?.message}${meant}`, { cause: own });
}

/** The fields of a run file, one's own or a shipped one, as they are written. @throws CONFIG_INVALID */
export async function readRunFields(named: string): Promise<Record<string, unknown>> {
  const { text, source } = await runFile(named);
  return readYaml(text, source);
}

/** @throws CONFIG_INVALID naming the field, its value and what is allowed */
export async function readRunConfig({ file, full, set, seed }: ConfigRequest): Promise<RunConfig> {
  const config = await readRunFields(file ?? EXAMPLE);
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
  const { root, store } = data;
  return {
    ...rest,
    data: {
      ...data,
      ...(root === undefined ? {} : { root: resolve(root) }),
      ...(store === undefined || isBucket(store) ? {} : { store: resolve(store) }),
    },
    teacher: teacher.file === undefined ? teacher : { ...teacher, file: resolve(teacher.file) },
  };
}
