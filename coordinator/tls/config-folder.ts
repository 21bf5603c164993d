// Where a user's own lasting settings lie: bitswarm's folder in the place that their system has for such.

import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

/** `bitswarm` in %APPDATA%, else in XDG_CONFIG_HOME (XDG Base Directory Specification), else in ~/.config. */
export function configFolder(env: NodeJS.ProcessEnv = process.env, platform = process.platform): string {
  const windows = platform === "win32" ? env.APPDATA : undefined;
  // A relative path is to be ignored, says the specification.
  const xdg = env.XDG_CONFIG_HOME && isAbsolute(env.XDG_CONFIG_HOME) ? env.XDG_CONFIG_HOME : undefined;
  return join(windows ?? xdg ?? join(homedir(), ".config"), "bitswarm");
}
