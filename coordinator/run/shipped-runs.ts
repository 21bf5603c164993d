// Run files and plans that come with the program: found by name from any folder, and listed by the helps of
// `bitswarm start` and `bitswarm compare`.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../base/package-root.ts";

export interface ShippedRun {
  readonly file: string;
  readonly path: string;
  /** The first line of its first comment. */
  readonly about: string;
}

/** What is trained where no file is named. */
export const EXAMPLE = "example.yaml";

function folder(): string {
  return join(packageRoot(), "coordinator");
}

/** What a plan's file ends with (coordinator/compare). */
const PLAN = ".plan.yaml";

function shipped(wanted: (file: string) => boolean): readonly ShippedRun[] {
  const files = readdirSync(folder()).filter((name) => name.endsWith(".yaml") && wanted(name));
  return files.sort().map((file) => {
    const path = join(folder(), file);
    const [first = ""] = readFileSync(path, "utf8").split("\n", 1);
    return { file, path, about: first.replace(/^# */, "").split(/[.:] /)[0] };
  });
}

/** In alphabetical order. */
export function shippedRuns(): readonly ShippedRun[] {
  return shipped((file) => !file.endsWith(PLAN));
}

/** Plans of comparisons, in alphabetical order. */
export function shippedPlans(): readonly ShippedRun[] {
  return shipped((file) => file.endsWith(PLAN));
}

/** The one of this name, with or without its ending. @param named as a person wrote it; a path is none */
export function shippedRun(named: string): ShippedRun | undefined {
  return shippedRuns().find(({ file }) => file === named || file === `${named}.yaml`);
}

/** The same of a plan. */
export function shippedPlan(named: string): ShippedRun | undefined {
  return shippedPlans().find(({ file }) => [named, `${named}.yaml`, `${named}${PLAN}`].includes(file));
}
