// Commands that are printed for a person to paste: with the program as it is found from where they are, and with each
// word quoted where their shell would read it otherwise.

import { existsSync, readFileSync } from "node:fs";
import { basename, delimiter, dirname, join, resolve } from "node:path";
import { builtFolder, packageRoot } from "./package-root.ts";

export interface ShellSurroundings {
  /** As process.platform names it. */
  readonly platform: string;
  /** Where the person is. */
  readonly cwd: string;
  /** The folder of the checkout, or of the installed package. */
  readonly root: string;
  /** Which was started: of the checkout's programs, or the package's. */
  readonly program: "coordinator" | "bitswarm" | "installed";
  /** Where the shell looks for programs. */
  readonly path: string;
}

/** What the shells of this machine read as it stands: letters and digits of any script, and a few signs. */
const plain = /^[\p{L}\p{N}_@%+=:,./-]+$/u;
const plainOnWindows = /^[\p{L}\p{N}_+=:./\\-]+$/u;

/** A word for sh and its kin (POSIX.1, 2.2.2: between single quotes every character stands for itself). */
function posixWord(word: string): string {
  return plain.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** A word for cmd and PowerShell, whose quotes are not the same: single ones where PowerShell would see a variable. */
function windowsWord(word: string): string {
  if (plainOnWindows.test(word)) return word;
  return /[$`]/.test(word) ? `'${word.replaceAll("'", "''")}'` : `"${word.replaceAll('"', '""')}"`;
}

/** One word of a command, as a shell must be given it. */
export function shellWord(word: string, platform: string = process.platform): string {
  return platform === "win32" ? windowsWord(word) : posixWord(word);
}

/** The folder whose programs npx knows: the nearest with a package or installed ones (npm-prefix(1)). */
function packageOf(cwd: string): string | undefined {
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    if (existsSync(join(folder, "package.json")) || existsSync(join(folder, "node_modules"))) return folder;
    if (dirname(folder) === folder) return undefined;
  }
}

const files = {
  coordinator: ["dist", "coordinator", "program", "bin.js"],
  worker: ["dist", "worker", "platform", "node", "bin.js"],
  bitswarm: ["dist", "coordinator", "program", "bitswarm.js"],
  installed: ["dist", "packed", "coordinator", "program", "bitswarm.js"],
} as const;

/** What npx was told to fetch, where it fetched this package: it keeps a folder for each such list (libnpmexec). */
function fetchedByNpx(home: string): readonly string[] | undefined {
  try {
    const { _npx } = JSON.parse(readFileSync(join(home, "package.json"), "utf8")) as { readonly _npx?: unknown };
    const { packages } = _npx as { readonly packages?: unknown };
    return Array.isArray(packages) && packages.every((name) => typeof name === "string") ? packages : undefined;
  } catch {
    return undefined;
  }
}

/** How the program of an installed package is started from where the person is. */
function installedCommand({ cwd, root, platform, path }: ShellSurroundings): readonly string[] {
  const byFile = ["node", join(root, ...files.installed)];
  const modules = dirname(resolve(root));
  if (basename(modules) !== "node_modules") return byFile;
  const home = dirname(modules);
  const fetched = fetchedByNpx(home);
  // A registry's name; npx takes a file that is there for a program, whatever is in it.
  if (fetched?.length === 1 && /^[\w.-]+(@[\w.^~-]+)?$/.test(fetched[0])) return ["npx", fetched[0]];
  if (fetched !== undefined) return ["npx", ...fetched.flatMap((name) => ["-p", name]), "bitswarm"];
  if (packageOf(cwd) === home) return ["npx", "bitswarm"];
  // npm install --global
  const programs = platform === "win32" ? home : join(dirname(home), "bin");
  const onPath = path.split(delimiter).some((folder) => folder !== "" && resolve(folder) === programs);
  return onPath && existsSync(join(programs, "bitswarm")) ? ["bitswarm"] : byFile;
}

function surroundings(): ShellSurroundings {
  const root = packageRoot();
  // A working directory that was removed has no path; nothing but whole paths works there.
  let cwd = dirname(root);
  try {
    cwd = process.cwd();
  } catch {}
  const { platform, env, argv } = process;
  const installed = builtFolder() !== join(root, "dist");
  const started = basename(argv[1] ?? "", ".js") === "bitswarm" ? "bitswarm" : "coordinator";
  return { platform, cwd, root, path: env.PATH ?? "", program: installed ? "installed" : started };
}

/** What this program is called in its messages: by which of its names it was started. */
export function programName(): string {
  return surroundings().program === "coordinator" ? "coordinator" : "bitswarm";
}

/**
 * A command that works where it is pasted. Outside the checkout npx would ask the registry for a stranger's package of
 * the program's name, so there Node is given the program's file.
 */
export function commandText(
  program: "coordinator" | "worker",
  words: readonly string[],
  where: ShellSurroundings = surroundings(),
): string {
  const name = where.program === "coordinator" ? program : "bitswarm";
  const inCheckout =
    packageOf(where.cwd) === resolve(where.root) ? ["npx", name] : ["node", join(where.root, ...files[name])];
  const begin = where.program === "installed" ? installedCommand(where) : inCheckout;
  return [...begin, ...words].map((word) => shellWord(word, where.platform)).join(" ");
}

/** How the set-up script is started, which finds what a machine lacks: as a command that works where it is pasted. */
export function setupText(where: ShellSurroundings = surroundings()): string {
  if (where.program !== "coordinator") return commandText("coordinator", ["setup"], where);
  if (packageOf(where.cwd) === resolve(where.root)) return "npm run setup";
  return ["node", join(where.root, "deploy", "setup.mjs")].map((word) => shellWord(word, where.platform)).join(" ");
}

/** How a run goes on whose disk failed. */
export function resumeAdvice(runDir: string): string {
  const again = commandText("coordinator", ["resume", resolve(runDir)]);
  return `The newest whole checkpoint is untouched: mend that, then \`${again}\``;
}
