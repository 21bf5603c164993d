// Commands that are printed for a person to paste: with the program as it is found from where they are, and with each
// word quoted where their shell would read it otherwise.

import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { packageRoot } from "./package-root.ts";

export interface ShellSurroundings {
  /** As process.platform names it. */
  readonly platform: string;
  /** Where the person is. */
  readonly cwd: string;
  /** The checkout's folder. */
  readonly root: string;
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
} as const;

function surroundings(): ShellSurroundings {
  const root = packageRoot();
  // A working directory that was removed has no path; nothing but whole paths works there.
  let cwd = dirname(root);
  try {
    cwd = process.cwd();
  } catch {}
  return { platform: process.platform, cwd, root };
}

/**
 * A command that works where it is pasted. Outside the checkout npx would ask the registry for a stranger's package of
 * the program's name, so there Node is given the program's file.
 */
export function commandText(
  program: keyof typeof files,
  words: readonly string[],
  { platform, cwd, root }: ShellSurroundings = surroundings(),
): string {
  const inside = packageOf(cwd) === resolve(root);
  const begin = inside ? ["npx", program] : ["node", join(root, ...files[program])];
  return [...begin, ...words].map((word) => shellWord(word, platform)).join(" ");
}

/** How a run goes on whose disk failed. */
export function resumeAdvice(runDir: string): string {
  const again = commandText("coordinator", ["resume", resolve(runDir)]);
  return `The newest whole checkpoint is untouched: mend that, then \`${again}\``;
}
