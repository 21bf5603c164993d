// The board beside the run: board.json, so that a resumed run goes on with it. A lost file costs a list, no training.

import { join } from "node:path";
import { z } from "zod";
import type { Clock } from "../../shared/base/clock.ts";
import { writeDurably } from "../disk/durable-file.ts";
import { readPlainFile } from "../disk/plain-file.ts";
import { Board, type BoardEntry, MOST_COUNTED, MOST_LISTED } from "./board.ts";

const BOARD_FILE = "board.json";
/** Of the file: more than twice what all accounts that are kept take. */
const MOST_BOARD_BYTES = 4 * 2 ** 20;
/** The board is written no more often. */
const SAVE_EVERY_MS = 5000;

const boardSchema = z.strictObject({
  accounts: z
    .array(
      z.strictObject({
        account: z.string().regex(/^[0-9a-f]{64}$/),
        samples: z.number().int().min(0),
        nickname: z.string().nullable(),
      }),
    )
    .max(MOST_COUNTED + MOST_LISTED),
});

/** A run's board, and what keeps it. */
export interface KeptBoard {
  readonly board: Board;
  /** Writes what is not written yet, and resolves once nothing is being written. */
  close(): Promise<void>;
}

/** @param onNotice told once of what is wrong with the file */
export async function openBoard(
  runDir: string,
  clock: Pick<Clock, "after">,
  onNotice: (message: string) => void,
): Promise<KeptBoard> {
  const path = join(runDir, BOARD_FILE);
  let writing: Promise<void> = Promise.resolve();
  let cancel: (() => void) | undefined;
  let told = false;
  const notice = (message: string) => {
    if (!told) onNotice(message);
    told = true;
  };
  const write = () => {
    cancel?.();
    cancel = undefined;
    writing = writing
      .then(() => writeDurably(path, `${JSON.stringify({ accounts: board.entries })}\n`))
      .catch((error: unknown) => notice(`${BOARD_FILE} cannot be written: ${(error as Error).message}`));
  };
  const board: Board = new Board(await kept(path, notice), () => {
    cancel ??= clock.after(SAVE_EVERY_MS, write);
  });
  return {
    board,
    close: () => {
      if (cancel) write();
      return writing;
    },
  };
}

async function kept(path: string, notice: (message: string) => void): Promise<readonly BoardEntry[]> {
  try {
    const bytes = await readPlainFile(path, { code: "STORAGE_FAILED", mostBytes: MOST_BOARD_BYTES });
    return boardSchema.parse(JSON.parse(bytes.toString("utf8"))).accounts;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    notice(`${path} cannot be read: the board of volunteers begins anew`);
    return [];
  }
}
