// What a resumed run reads of its events before it writes on: which number the last worker had, so that no name is
// given a second time, and whether a crash left the last line without its end.

import { constants } from "node:fs";
import { openPlainFile } from "../disk/plain-file.ts";

/** Of the end of the events that is read: whoever joined last is among a few hundred thousand lines. */
export const MOST_EVENT_BYTES = 64 * 2 ** 20;
const AT_A_TIME = 2 ** 20;
/** Longer than any name, so that one that lies across two pieces is read in the second. */
const OVERLAP = 64;
/** Numbers of more digits are no worker's. */
const named = /"w(\d{1,9})"/g;

export interface EventsSoFar {
  /** 0 where no worker is named. */
  readonly lastWorker: number;
  /** The last line has no end. */
  readonly torn: boolean;
}

/** @throws STORAGE_FAILED for what is no plain file */
export async function eventsSoFar(eventsPath: string): Promise<EventsSoFar> {
  const file = await openPlainFile(eventsPath, constants.O_RDONLY, "STORAGE_FAILED").catch((error) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (file === undefined) return { lastWorker: 0, torn: false };
  try {
    const { size } = await file.stat();
    const piece = Buffer.alloc(AT_A_TIME);
    let lastWorker = 0;
    let end = "\n";
    for (let at = Math.max(0, size - MOST_EVENT_BYTES); at < size; at += AT_A_TIME - OVERLAP) {
      const { bytesRead } = await file.read(piece, 0, AT_A_TIME, at);
      const text = piece.toString("latin1", 0, bytesRead);
      for (const [, digits] of text.matchAll(named)) lastWorker = Math.max(lastWorker, Number(digits));
      end = text.at(-1) ?? end;
    }
    return { lastWorker, torn: end !== "\n" };
  } finally {
    await file.close();
  }
}
