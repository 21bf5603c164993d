// Finds the Deno program, which npm brings in a package of each platform, and knows the few permissions that a worker
// gets.
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { findProgram } from "./find-program.ts";

/**
 * The program inside npm's `@deno/<platform>`; else `DENO_PATH`, else PATH.
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
    `no Deno: the npm package @deno/${target} is not installed. Install it, let DENO_PATH name the program, or use --runtime browser`,
  );
}

function packageFolder(name: string): string | undefined {
  try {
    return path.dirname(createRequire(import.meta.url).resolve(`${name}/package.json`));
  } catch {
    return undefined;
  }
}

/** The JPEG decoder's WebAssembly, unless it lies below the given folder. */
export function decoderBeside(root: string): string | undefined {
  const file = createRequire(import.meta.url).resolve("@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasm");
  return file.startsWith(`${root}${path.sep}`) ? undefined : file;
}

export interface DenoOptions {
  /** The address of its coordinator, `host:port`: the only one it may talk to. */
  readonly host: string;
  /** But for these, which may have the data set's shards. */
  readonly dataHosts?: readonly string[] | undefined;
  /** A folder that it may read: our own files and, in a checkout, those of the packages. */
  readonly packageRoot: string;
  /** A file of another, where npm put the JPEG decoder beside us and not below. */
  readonly decoder?: string | undefined;
  /** A folder that it may write to: what it measured of this machine's adapters. */
  readonly tunings?: string | undefined;
  /** Another: its key pair. */
  readonly keys?: string | undefined;
  /** The third: what it fetched. */
  readonly content?: string | undefined;
}

/**
 * The flags before the module. Deno 2.9 needs no flag for WebGPU. `--ignore-env` shows npm packages that look for a
 * switch an empty environment instead of an error; `--no-config` is left out because npm packages are found through
 * package.json.
 * @throws BitswarmError RUNTIME_MISSING
 */
export function denoArguments(options: DenoOptions): string[] {
  const folders = [options.tunings, options.keys, options.content].filter((folder) => folder !== undefined);
  const read = [options.packageRoot, ...(options.decoder === undefined ? [] : [options.decoder]), ...folders];
  return [
    "run",
    "--quiet",
    "--no-prompt",
    "--no-lock",
    "--cached-only",
    `--allow-net=${[options.host, ...(options.dataHosts ?? [])].join(",")}`,
    `--allow-read=${read.map(inList).join(",")}`,
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
