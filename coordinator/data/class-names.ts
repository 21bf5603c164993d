// What the classes of a data set are called: by the run's configuration, else by the data set itself, where its files
// or its fame say so.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { DataOptions } from "../../shared/data/data-kinds.ts";
import type { Environment } from "./importers/importer.ts";
import { importers } from "./importers/importers.ts";

export interface FoundNames {
  /** From class 0 on; undefined where nobody knows any. */
  readonly names: readonly string[] | undefined;
  /** Why there are none, where there should be. */
  readonly notice?: string;
}

/** @param classes so many, or nothing is said */
export async function classNames(
  options: DataOptions,
  classes: number,
  environment: Environment = process.env,
): Promise<FoundNames> {
  const { classes: given, kind } = options;
  if (typeof given === "object") return { names: given };
  try {
    const names = await importers.get(kind).classNames?.(options, environment);
    // A run may have more classes than its data set has names, or others where it takes a part of the labels.
    return { names: names?.length === classes ? names : undefined };
  } catch (error) {
    if (!(error instanceof BitswarmError)) throw error;
    return { names: undefined, notice: `the classes have no names: ${error.message}` };
  }
}
