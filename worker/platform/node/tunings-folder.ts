// Where Deno workers keep what they measured, what they fetched and who they are: folders of the user's cache, which
// survive the run and may be deleted at any time.
import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import path from "node:path";

/** `bitswarm/NAME` in %LOCALAPPDATA%, else in XDG_CACHE_HOME (XDG Base Directory Specification), else in ~/.cache. */
function cacheFolder(name: string, env: NodeJS.ProcessEnv, platform: NodeJS.Platform): string {
  const windows = platform === "win32" ? env.LOCALAPPDATA : undefined;
  // A relative path is to be ignored, says the specification.
  const xdg = env.XDG_CACHE_HOME && path.isAbsolute(env.XDG_CACHE_HOME) ? env.XDG_CACHE_HOME : undefined;
  return path.join(windows ?? xdg ?? path.join(homedir(), ".cache"), "bitswarm", name);
}

/** `bitswarm/tunings` of the user's cache. */
export function tuningsFolder(env: NodeJS.ProcessEnv = process.env, platform = process.platform): string {
  return cacheFolder("tunings", env, platform);
}

/** `bitswarm/keys` of the user's cache. */
export function keysFolder(env: NodeJS.ProcessEnv = process.env, platform = process.platform): string {
  return cacheFolder("keys", env, platform);
}

/** `bitswarm/content` of the user's cache. */
export function contentFolder(env: NodeJS.ProcessEnv = process.env, platform = process.platform): string {
  return cacheFolder("content", env, platform);
}

/** Makes the folder of what workers fetched, or says why they will fetch it again at each start. */
export function prepareContent(folder: string, say: (text: string) => void): string | undefined {
  try {
    if (folder.includes(",")) throw new RangeError(`${folder} has a comma in its name`);
    mkdirSync(folder, { recursive: true });
    return folder;
  } catch (error) {
    say(`data: what is fetched will not be kept (${error instanceof Error ? error.message : error})`);
    return undefined;
  }
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

/** Makes the folder of the workers' key pairs, or says why they are newcomers at each start. */
export function prepareKeys(folder: string, say: (text: string) => void): string | undefined {
  try {
    if (folder.includes(",")) throw new RangeError(`${folder} has a comma in its name`);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    return folder;
  } catch (error) {
    say(`identity: the key will not be kept (${error instanceof Error ? error.message : error})`);
    return undefined;
  }
}
