// The standing of each account beside the run: trust.json, so that a resumed run goes on with what was earned. A lost
// file only costs more audits: it is no part of the training's truth.

import { join } from "node:path";
import { z } from "zod";
import { diskFiles, type FileOperations, writeDurably } from "../disk/durable-file.ts";
import { readPlainFile } from "../disk/plain-file.ts";
import { newcomer, type Standing } from "./standing.ts";

const TRUST_FILE = "trust.json";
/** Accounts that are kept: those seen last. */
export const KEPT_ACCOUNTS = 10_000;
/** Of the file: ten times what so many accounts take. */
export const MOST_TRUST_BYTES = 16 * 2 ** 20;

/** Where standings are kept between the lives of a coordinator. */
export interface TrustStore {
  read(): Promise<StoredTrust>;
  write(standings: ReadonlyMap<string, Standing>): Promise<void>;
}

/** The standings that were kept, and what was wrong with them, if anything was. */
export interface StoredTrust {
  readonly standings: Map<string, Standing>;
  readonly notice: string | null;
}

/** The file in a run's folder. */
export function trustFile(runDir: string): TrustStore {
  return { read: () => readTrust(runDir), write: (standings) => writeTrust(runDir, standings) };
}

const counting = z.number().int().min(0);
const trustSchema = z.strictObject({
  accounts: z.array(
    z.strictObject({ account: z.string().regex(/^[0-9a-f]{64}$/), consecutiveValid: counting, strikes: counting }),
  ),
});

/** The standings of a run's folder. */
export async function readTrust(runDir: string): Promise<StoredTrust> {
  const standings = new Map<string, Standing>();
  const path = join(runDir, TRUST_FILE);
  let text: string;
  try {
    text = (await readPlainFile(path, { code: "STORAGE_FAILED", mostBytes: MOST_TRUST_BYTES })).toString("utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return { standings, notice: null };
    return { standings, notice: `${path} cannot be read (${(error as Error).message}): every account is audited anew` };
  }
  try {
    for (const { account, ...earned } of trustSchema.parse(JSON.parse(text)).accounts) {
      standings.set(account, { ...newcomer, ...earned });
    }
    return { standings, notice: null };
  } catch {
    return { standings: new Map(), notice: `${path} is damaged: every account is audited anew` };
  }
}

/** Replaces the file. Rests are not kept: their clock ends with the process. */
export async function writeTrust(
  runDir: string,
  standings: ReadonlyMap<string, Standing>,
  files: FileOperations = diskFiles,
): Promise<void> {
  const accounts = [...standings]
    .slice(-KEPT_ACCOUNTS)
    .map(([account, { consecutiveValid, strikes }]) => ({ account, consecutiveValid, strikes }));
  await writeDurably(join(runDir, TRUST_FILE), `${JSON.stringify({ accounts })}\n`, undefined, files);
}
