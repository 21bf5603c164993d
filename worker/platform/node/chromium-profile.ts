// Gives every launched Chromium an empty profile, and removes the ones that killed launchers left behind.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { rm } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import path from "node:path";

/** The host is part of the name: containers that share a temporary folder do not share process ids. */
const prefix = `bitswarm-chromium-${hostname()}-`;

/** Makes an empty profile folder that belongs to this process. */
export function createProfile(folder: string = tmpdir()): string {
  return mkdtempSync(path.join(folder, `${prefix}${process.pid}-`));
}

/** Removes the profile of a Chromium that has ended; its last files may still be being written. */
export async function removeProfile(profile: string): Promise<void> {
  await rm(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}

/** Removes the profiles whose launcher no longer lives: a launcher killed outright could not do it itself. */
export function sweepProfiles(folder: string = tmpdir()): void {
  for (const name of readdirSync(folder)) {
    if (!name.startsWith(prefix)) continue;
    const pid = Number.parseInt(name.slice(prefix.length), 10);
    if (Number.isNaN(pid) || isRunning(pid)) continue;
    try {
      rmSync(path.join(folder, name), { recursive: true, force: true, maxRetries: 3 });
    } catch {
      // Another user's: it is theirs to remove.
    }
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
