// Which number the last worker of a run had, so that a resumed run gives no name a second time: its events tell.

import { constants } from "node:fs";
import { openPlainFile } from "../disk/plain-file.ts";

/** Of the end of the events that is read: whoever joined last is among a few hundred thousand lines. */
export const MOST_EVENT_BYTES = 64 * 2 ** 20;
const AT_A_TIME = 2 ** 20;
/** Longer than any name, so that one that lies across two pieces is read in the second. */
const OVERLAP = 64;
/** Numbers of more digits are no worker's. */
const named = /"w(\d{1,9})"/g;

/** 0 where no worker is named. @throws STORAGE_FAILED for what is no plain file */
export async function lastWorkerNumber(eventsPath: string): Promise<number> {
  const file = await openPlainFile(eventsPath, constants.O_RDONLY, "STORAGE_FAILED").catch((error) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (file === undefined) return 0;
  try {
    const { size } = await file.stat();
    const piece = Buffer.alloc(AT_A_TIME);
    let last = 0;
    for (let at = Math.max(0, size - MOST_EVENT_BYTES); at < size; at += AT_A_TIME - OVERLAP) {
      const { bytesRead } = await file.read(piece, 0, AT_A_TIME, at);
      for (const [, digits] of piece.toString("latin1", 0, bytesRead).matchAll(named)) {
        last = Math.max(last, Number(digits));
      }
    }
    return last;
  } finally {
    await file.close();
  }
}
