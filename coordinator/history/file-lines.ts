// The lines of a file that may still be growing, piece by piece, so that nobody waits for all of a long one.

import type { FileHandle } from "node:fs/promises";
import { BitswarmError } from "../../shared/base/errors.ts";
import { MOST_HISTORY_BYTES, MOST_LINE_BYTES } from "./history-line.ts";

/** Read and parsed in one turn of the event loop. */
const AT_A_TIME = 2 ** 18;
const NEWLINE = 0x0a;

export interface FileLine {
  /** With its newline; absent where it is longer than any line of ours. */
  readonly bytes?: Buffer;
  /** Where the next one begins. */
  readonly end: number;
}

/** @throws STORAGE_FAILED where the file has more bytes than are read of a history */
export function requireReadable(path: string, bytes: number): void {
  if (bytes <= MOST_HISTORY_BYTES) return;
  throw new BitswarmError(
    "STORAGE_FAILED",
    `${path} has ${bytes} bytes; at most ${MOST_HISTORY_BYTES} are read of it: move it away, the run goes on without it`,
  );
}

/** Whole lines from `from`, where one begins, up to `size`; what has no end yet is left out. */
export async function* fileLines(file: FileHandle, from: number, size: number): AsyncGenerator<readonly FileLine[]> {
  let rest = Buffer.alloc(0);
  let skipping = false;
  for (let at = from; at < size; ) {
    const piece = Buffer.alloc(Math.min(AT_A_TIME, size - at));
    const { bytesRead } = await file.read(piece, 0, piece.length, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    const bytes = Buffer.concat([rest, piece.subarray(0, bytesRead)]);
    const start = at - bytes.length;
    const lines: FileLine[] = [];
    let begin = 0;
    for (let newline = bytes.indexOf(NEWLINE); newline >= 0; newline = bytes.indexOf(NEWLINE, begin)) {
      const end = newline + 1;
      lines.push({ end: start + end, ...(skipping ? {} : { bytes: bytes.subarray(begin, end) }) });
      skipping = false;
      begin = end;
    }
    rest = bytes.subarray(begin);
    if (rest.length > MOST_LINE_BYTES) {
      skipping = true;
      rest = Buffer.alloc(0);
    }
    yield lines;
  }
}
