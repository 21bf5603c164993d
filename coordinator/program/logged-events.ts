// The events that a run's folder has, for those who look on after a resume, or where nobody drives the run.

import { constants } from "node:fs";
import { BitswarmError } from "../../shared/base/errors.ts";
import { MOST_EVENTS } from "../dashboard/feed-message.ts";
import { openPlainFile } from "../disk/plain-file.ts";
import type { RunEvent } from "../engine/run-event.ts";

/** Of the end of events.ndjson: as many lines as are shown, and more. */
const TAIL_BYTES = 2 ** 18;

/** An event as the log has it. */
export interface LoggedEvent {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly event: RunEvent;
}

/** What a line of the log says; nothing where it is damaged, or of another build. */
function readEvent(line: string): LoggedEvent | undefined {
  try {
    const { time, ...event } = JSON.parse(line);
    const at = Date.parse(time);
    return Number.isNaN(at) || typeof event.type !== "string" ? undefined : { time: at, event };
  } catch {
    return undefined;
  }
}

/**
 * The events behind so many bytes, at most the newest, and how far the file was read.
 * @throws STORAGE_FAILED for what is no plain file
 */
export async function loggedEvents(
  eventsPath: string,
  since = 0,
): Promise<{ readonly events: readonly LoggedEvent[]; readonly read: number }> {
  const file = await openPlainFile(eventsPath, constants.O_RDONLY, "STORAGE_FAILED").catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    },
  );
  if (!file) return { events: [], read: since };
  try {
    const { size } = await file.stat();
    const from = Math.max(since, size - TAIL_BYTES);
    const piece = Buffer.alloc(Math.max(0, size - from));
    await file.read(piece, 0, piece.length, from);
    const end = piece.lastIndexOf(0x0a) + 1;
    const lines = piece.toString("utf8", 0, end).split("\n").slice(0, -1);
    // The first of a tail is a part of a line.
    if (from > since) lines.shift();
    return { events: lines.flatMap((line) => readEvent(line) ?? []).slice(-MOST_EVENTS), read: from + end };
  } finally {
    await file.close();
  }
}

/** The event's text may want fields that a line of another build has not. */
export function tellLogged(logged: readonly LoggedEvent[], tell: (event: RunEvent, time: number) => void): void {
  for (const { event, time } of logged) {
    try {
      tell(event, time);
    } catch (error) {
      if (error instanceof BitswarmError) throw error;
    }
  }
}
