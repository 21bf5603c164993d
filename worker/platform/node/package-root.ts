// Where the package lies, from the source tree and from dist/ alike. The coordinator's wing has the same lines: no wing
// imports the other, and shared knows no Node.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** The folder with package.json, whose `imports` name it. */
export function packageRoot(): string {
  return path.dirname(createRequire(import.meta.url).resolve("#package.json"));
}

/** Where the programs are that this one starts: those of the package that npm packs, or those that tsc wrote. */
export function builtFolder(): string {
  const built = path.join(packageRoot(), "dist");
  const packed = path.join(built, "packed");
  return fileURLToPath(import.meta.url).startsWith(`${packed}${path.sep}`) ? packed : built;
}

/** The version that package.json has. */
export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(createRequire(import.meta.url).resolve("#package.json"), "utf8")) as {
    readonly version: string;
  };
  return version;
}
