// Who drives a run: the claim on its folder, and the address that its coordinator answers at.

import { rm } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import { commandText } from "../base/command-text.ts";
import { type Claim, type Claimant, claimantOf, claimFolder } from "../disk/claim.ts";
import { writeDurably } from "../disk/durable-file.ts";
import { readPlainText } from "../disk/plain-file.ts";
import { storageError } from "../disk/storage-error.ts";

const ADDRESS_FILE = "coordinator.json";
const SECRET = 0o600;
const MOST_ADDRESS_BYTES = 2 ** 14;
const ANSWER_WITHIN_MS = 2_000;

/** Where the coordinator of a run answers, while it runs. */
export interface RunAddress {
  /** With the operator's token. */
  readonly url: string;
  readonly pid: number;
}

const addressSchema = z.strictObject({ url: z.url({ protocol: /^https?$/ }), pid: z.number().int() });

/** Notes where the coordinator answers, for `status RUN_DIR`. */
export async function writeAddress({ path }: { readonly path: string }, address: RunAddress): Promise<void> {
  await writeDurably(join(path, ADDRESS_FILE), `${JSON.stringify(address)}\n`, SECRET);
}

/** @param url of the coordinator that goes: another one's address stays */
export async function removeAddress({ path }: { readonly path: string }, url: string): Promise<void> {
  if ((await readAddress(path))?.url !== url) return;
  // On a disk that takes nothing any more, status sees that nobody answers there.
  await rm(join(path, ADDRESS_FILE), { force: true }).catch(() => undefined);
}

/** Where the run's coordinator answers, or did when it was last seen. */
export async function readAddress(runDir: string): Promise<RunAddress | undefined> {
  const text = await readPlainText(join(runDir, ADDRESS_FILE), {
    code: "STORAGE_FAILED",
    mostBytes: MOST_ADDRESS_BYTES,
  }).catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return addressSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Told what a person should know while they wait. */
export type OnNotice = (message: string) => void;

/**
 * Claims the folder of a run. @throws RUN_IN_USE saying where it is driven, STORAGE_FAILED
 */
export async function claimRun(path: string, onNotice: OnNotice): Promise<Claim> {
  const onWait = (by: Claimant | undefined, ms: number) => {
    const whose = by === undefined ? "a claim that cannot be read" : `a claim of process ${by.pid} on ${by.host}`;
    onNotice(`${path} has ${whose}: waiting up to ${Math.ceil(ms / 1000)} s to see whether it still drives the run`);
  };
  const claimed = await claimFolder(path, onWait).catch((error) => {
    throw storageError(error, path, "A run is driven from a folder that this user may write to: mend that first");
  });
  const address = await readAddress(path);
  if (claimed.kind === "held") throw inUse(path, claimed.by, address);
  // A coordinator of an older build claims nothing, but says where it answers.
  if (claimed.first && address !== undefined && (await answers(path, address))) {
    await claimed.claim.release();
    throw inUse(path, { pid: address.pid, host: "this machine" }, address);
  }
  return claimed.claim;
}

function inUse(path: string, { pid, host }: Claimant, address: RunAddress | undefined): BitswarmError {
  // Without its token, which is the operator's.
  const where = address?.pid === pid ? `, at ${new URL(address.url).origin}` : "";
  return new BitswarmError(
    "RUN_IN_USE",
    `the run in ${path} is driven already, by process ${pid} on ${host}${where}. It goes on untouched: see how it does with \`${commandText("coordinator", ["status", path])}\`, or stop that process (Ctrl-C there, or \`kill ${pid}\`) before you resume`,
  );
}

const loopback = /^(127(\.\d+){3}|\[::1\]|localhost)$/;

/** Whether this run's coordinator answers at an address of this machine: no other is asked for a folder's sake. */
async function answers(path: string, { url }: RunAddress): Promise<boolean> {
  const link = new URL(url);
  if (!loopback.test(link.hostname)) return false;
  try {
    const asked = new URL(`/status${link.search}`, link);
    const response = await fetch(asked, { signal: AbortSignal.timeout(ANSWER_WITHIN_MS), redirect: "error" });
    const status = z.object({ run: z.string() }).safeParse(await response.json());
    return response.ok && status.success && status.data.run === basename(path);
  } catch {
    return false;
  }
}

/** Who drives the run in a folder, as far as can be said at once. */
export function driverOf(runDir: string): ReturnType<typeof claimantOf> {
  return claimantOf(resolve(runDir));
}
