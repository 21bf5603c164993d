// Whether a process that left its number on the disk still lives: known at once where it ran in this very boot and
// number space of Linux, and by its start, so that a number given out again is no sign of life.

import { readFile, readlink } from "node:fs/promises";
import { z } from "zod";

/** Where a process number means something, and since when it has been this process. */
export const processMarkSchema = z.strictObject({
  pid: z.number().int().positive(),
  /** The boot of the machine and the number space (container) in it; null where the system does not tell. */
  place: z.string().max(128).nullable(),
  /** Ticks from the boot to the start of the process; null where the system does not tell. */
  start: z.string().max(32).nullable(),
});

export type ProcessMark = z.output<typeof processMarkSchema>;

async function ownPlace(): Promise<string | null> {
  try {
    const boot = (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
    return `${boot} ${await readlink("/proc/self/ns/pid")}`;
  } catch {
    return null;
  }
}

/** State and start of a process (proc(5), fields 3 and 22); the name between brackets may hold anything. */
async function statOf(pid: number): Promise<{ readonly state: string; readonly start: string } | undefined> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, "latin1");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state: fields[0], start: fields[19] };
  } catch {
    return undefined;
  }
}

export async function ownMark(): Promise<ProcessMark> {
  const { pid } = process;
  return { pid, place: await ownPlace(), start: (await statOf(pid))?.start ?? null };
}

/** Whether the process lives; `unknown` where it ran in another place, or the system does not tell. */
export async function lifeOf({ pid, place, start }: ProcessMark): Promise<"alive" | "dead" | "unknown"> {
  if (place === null || start === null || place !== (await ownPlace())) return "unknown";
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it is another user's.
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return "dead";
  }
  const found = await statOf(pid);
  if (found === undefined) return "unknown";
  // A zombie has ended; only its parent has not asked how.
  return found.start === start && !/[ZX]/.test(found.state) ? "alive" : "dead";
}
