// Where Deno workers keep what they measured: a folder of the user's cache, which survives the run and may be deleted at any time.
import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";

/** `bitswarm/tunings` in %LOCALAPPDATA%, else in XDG_CACHE_HOME (XDG Base Directory Specification), else in ~/.cache. */
export function tuningsFolder(env: NodeJS.ProcessEnv = process.env, platform = process.platform): string {
  const windows = platform === "win32" ? env.LOCALAPPDATA : undefined;
  // A relative path is to be ignored, says the specification.
  const xdg = env.XDG_CACHE_HOME && path.isAbsolute(env.XDG_CACHE_HOME) ? env.XDG_CACHE_HOME : undefined;
  return path.join(windows ?? xdg ?? path.join(homedir(), ".cache"), "bitswarm", "tunings");
}

/** Makes the folder, or says why there is none. */
export function prepareTunings(folder: string, say: (text: string) => void): string | undefined {
  // Deno separates the folders of a permission by commas.
  if (folder.includes(",")) {
    say(`tuning: ${folder} has a comma in its name; what is measured will not be kept`);
    return undefined;
  }
  try {
    mkdirSync(folder, { recursive: true });
    return folder;
  } catch (error) {
    say(`tuning: what is measured will not be kept (${error instanceof Error ? error.message : error})`);
    return undefined;
  }
}
