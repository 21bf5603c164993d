// Finds the Deno program, which npm brings as a platform package, and knows the few permissions that a worker gets.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { findProgram } from "./find-program.ts";

/**
 * The program inside `@deno/<platform>`, resolved as the package `deno` would; else `DENO_PATH`, else PATH.
 * @throws BitswarmError RUNTIME_MISSING
 */
export function findDeno(env: NodeJS.ProcessEnv = process.env): string {
  const target = `${process.platform}-${process.arch}${process.platform === "linux" ? "-glibc" : ""}`;
  const program = process.platform === "win32" ? "deno.exe" : "deno";
  const folder = packageFolder(`@deno/${target}`);
  const candidates = [folder && path.join(folder, program), env.DENO_PATH, findProgram("deno", env)];
  const found = candidates.find((file) => file && existsSync(file));
  if (found) return found;
  throw new BitswarmError(
    "RUNTIME_MISSING",
    `no Deno: the npm package @deno/${target} is not installed. Run \`npm ci\`, let DENO_PATH name the program, or use --runtime browser`,
  );
}

/** npm puts platform packages beside `deno` or below it. */
function packageFolder(name: string): string | undefined {
  try {
    const here = createRequire(import.meta.url);
    return path.dirname(createRequire(here.resolve("deno/package.json")).resolve(`${name}/package.json`));
  } catch {
    return undefined;
  }
}

export interface DenoOptions {
  /** The only address it may talk to, `host:port`. */
  readonly host: string;
  /** The only folder it may read: our own files and those of the packages. */
  readonly packageRoot: string;
  /** A folder that it may write to: what it measured of this machine's adapters. */
  readonly tunings?: string | undefined;
  /** The other: its key pair. */
  readonly keys?: string | undefined;
}

/**
 * The flags before the module. Deno 2.9 needs no flag for WebGPU. `--ignore-env` shows npm packages that look for a
 * switch an empty environment instead of an error; `--no-config` is left out because npm packages are found through
 * package.json.
 * @throws BitswarmError RUNTIME_MISSING
 */
export function denoArguments(options: DenoOptions): string[] {
  const folders = [options.tunings, options.keys].filter((folder) => folder !== undefined);
  return [
    "run",
    "--quiet",
    "--no-prompt",
    "--no-lock",
    "--cached-only",
    `--allow-net=${options.host}`,
    `--allow-read=${[options.packageRoot, ...folders].map(inList).join(",")}`,
    ...folders.map((folder) => `--allow-write=${inList(folder)}`),
    "--ignore-env",
  ];
}

/**
 * A path in a list of Deno's, which knows no way to write a comma in one.
 * @throws BitswarmError RUNTIME_MISSING
 */
function inList(folder: string): string {
  if (!folder.includes(",")) return folder;
  throw new BitswarmError(
    "RUNTIME_MISSING",
    `Deno takes the comma in ${folder} for the end of a folder's name. Rename the folder, or use --runtime browser`,
  );
}
