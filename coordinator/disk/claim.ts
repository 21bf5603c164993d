// One process at a time works in a folder. A claim is a file `claim-N`; whoever makes the one of the highest number
// holds the folder. Numbers only go up and the highest file is never removed, so that of two who find the same claim
// left behind only one can make the next: no claim is ever taken from under a process that has just made it.

import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, link, open, readdir, rm, stat, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { lifeOf, ownMark, processMarkSchema } from "./place.ts";
import { openPlainFile, readPlainFile } from "./plain-file.ts";

/** How often a holder shows that it lives, and how long it may not do so where nothing else tells. */
export interface ClaimTimes {
  readonly beatMs: number;
  /** Of a claim from another machine or container: many beats, as a network's file system shows them late. */
  readonly silentMs: number;
}

export const CLAIM_BEAT_MS = 2_000;
export const CLAIM_SILENT_MS = 15_000;
const usual: ClaimTimes = { beatMs: CLAIM_BEAT_MS, silentMs: CLAIM_SILENT_MS };

const MOST_CLAIM_BYTES = 4096;
/** A name with a larger number is no claim. */
const MOST_DIGITS = 9;
/** Claims of others that may come in between before it is given up. */
const MOST_TRIES = 20;
const BEAT_DIGITS = 12;
const RELEASED = "released".padEnd(BEAT_DIGITS);

const headSchema = processMarkSchema.extend({
  host: z.string().max(256),
  /** Of the folder that is claimed: a copy of the folder has another. */
  inode: z.string().max(32),
});

/** Who holds a folder. */
export type Claimant = Pick<z.output<typeof headSchema>, "pid" | "host">;

export interface Claim {
  /** Lets go of the folder. */
  release(): Promise<void>;
}

export type Claimed =
  /** `first`: nobody is known to have claimed it before. */
  | { readonly kind: "claimed"; readonly claim: Claim; readonly first: boolean }
  | { readonly kind: "held"; readonly by: Claimant };

interface FoundClaim {
  readonly number: number;
  readonly text: string;
}

function claimPath(folder: string, number: number): string {
  return join(folder, `claim-${number}`);
}

/** Whether a file of a folder is a claim on it. */
export function isClaim(name: string): boolean {
  return new RegExp(`^claim-[1-9]\\d{0,${MOST_DIGITS - 1}}$`).test(name);
}

async function claimNumbers(folder: string): Promise<number[]> {
  const names = (await readdir(folder)).filter(isClaim);
  return names.map((name) => Number(name.slice("claim-".length))).sort((a, b) => b - a);
}

/** The claim of the highest number; empty text where it is no plain file. */
async function newestClaim(folder: string): Promise<FoundClaim | undefined> {
  const [number] = await claimNumbers(folder);
  if (number === undefined) return undefined;
  const limit = { code: "STORAGE_FAILED", mostBytes: MOST_CLAIM_BYTES } as const;
  const text = await readPlainFile(claimPath(folder, number), limit).then(
    (bytes) => bytes.toString("utf8"),
    () => "",
  );
  return { number, text };
}

function headOf(text: string): z.output<typeof headSchema> | undefined {
  try {
    return headSchema.parse(JSON.parse(text.split("\n")[0]));
  } catch {
    return undefined;
  }
}

function isReleased(text: string): boolean {
  return text.split("\n")[1] === RELEASED;
}

async function inodeOf(folder: string): Promise<string> {
  return String((await stat(folder, { bigint: true })).ino);
}

/** What can be said of a claim at once. */
async function lifeOfClaim(folder: string, { text }: FoundClaim): Promise<"alive" | "dead" | "unknown"> {
  if (isReleased(text)) return "dead";
  const head = headOf(text);
  if (head === undefined || head.inode !== (await inodeOf(folder))) return "unknown";
  return lifeOf(head);
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Looks at a claim until it moves or is silent for long enough: no clock of another machine is believed. */
async function watch(
  folder: string,
  claim: FoundClaim,
  { beatMs, silentMs }: ClaimTimes,
): Promise<"alive" | "dead" | "replaced"> {
  const everyMs = Math.max(1, beatMs / 4);
  for (let waited = 0; waited < silentMs; waited += everyMs) {
    await pause(everyMs);
    const now = await newestClaim(folder);
    if (now?.number !== claim.number) return "replaced";
    if (isReleased(now.text)) return "dead";
    if (now.text !== claim.text) return "alive";
  }
  return "dead";
}

/** Makes a file whole under a name that nobody has, or says that somebody has it. */
async function createWhole(path: string, text: string): Promise<boolean> {
  const beside = `${path}.writing-${randomBytes(6).toString("hex")}`;
  try {
    const file = await open(beside, "wx");
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await link(beside, path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EEXIST") return false;
    // A file system without hard links: whoever reads it half written takes it for somebody unknown, and waits.
    if (code !== "EPERM" && code !== "ENOTSUP" && code !== "ENOSYS" && code !== "EMLINK") throw error;
    return await writeFile(path, text, { flag: "wx" }).then(
      () => true,
      (failure: NodeJS.ErrnoException) => {
        if (failure.code === "EEXIST") return false;
        throw failure;
      },
    );
  } finally {
    await rm(beside, { force: true }).catch(() => undefined);
  }
}

class FileClaim implements Claim {
  readonly #file: FileHandle;
  /** In bytes: where the beat stands in the file. */
  readonly #at: number;
  readonly #timer: NodeJS.Timeout;
  #beat = 0;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(file: FileHandle, at: number, beatMs: number) {
    this.#file = file;
    this.#at = at;
    this.#timer = setInterval(() => {
      this.#beat++;
      this.#write(String(this.#beat).padStart(BEAT_DIGITS, "0"));
    }, beatMs);
    // The claim keeps no process that has nothing else to do.
    this.#timer.unref();
  }

  /** A beat that a full disk swallows is no reason to end: on this machine the process itself is looked for. */
  #write(text: string): void {
    this.#writing = this.#writing
      .then(async () => {
        await this.#file.write(text, this.#at);
        await this.#file.datasync();
      })
      .catch(() => undefined);
  }

  async release(): Promise<void> {
    clearInterval(this.#timer);
    this.#write(RELEASED);
    await this.#writing;
    await this.#file.close().catch(() => undefined);
  }
}

/** Takes the number after `last`; nothing where somebody else was quicker. */
async function take(folder: string, last: number, beatMs: number): Promise<Claim | undefined> {
  const number = last + 1;
  const head = `${JSON.stringify({ ...(await ownMark()), host: hostname(), inode: await inodeOf(folder) })}\n`;
  const path = claimPath(folder, number);
  if (!(await createWhole(path, `${head}${"0".repeat(BEAT_DIGITS)}\n`))) return undefined;
  const [newest, ...older] = await claimNumbers(folder);
  if (newest !== number) {
    // Who found the claim before long ago: others have come and gone since.
    await rm(path, { force: true });
    return undefined;
  }
  for (const past of older) await rm(claimPath(folder, past), { force: true });
  const file = await openPlainFile(path, constants.O_RDWR, "STORAGE_FAILED");
  return new FileClaim(file, Buffer.byteLength(head), beatMs);
}

/**
 * Claims a folder that is there, or says who holds it. A claim that its process left behind, killed or with its
 * machine, is no obstacle: seen at once on this machine, else by its silence.
 * @param onWait told once, before a claim of somewhere else is watched
 */
export async function claimFolder(
  folder: string,
  onWait: (by: Claimant | undefined, ms: number) => void = () => undefined,
  times: ClaimTimes = usual,
): Promise<Claimed> {
  let told = false;
  for (let tries = 0; ; tries++) {
    const found = await newestClaim(folder);
    if (found === undefined) {
      const claim = await take(folder, 0, times.beatMs);
      if (claim) return { kind: "claimed", claim, first: true };
    } else {
      let life: "alive" | "dead" | "unknown" | "replaced" = await lifeOfClaim(folder, found);
      if (life === "unknown") {
        if (!told) onWait(headOf(found.text), times.silentMs);
        told = true;
        life = await watch(folder, found, times);
      }
      if (life === "replaced" && tries < MOST_TRIES) continue;
      if (life === "alive" || tries >= MOST_TRIES) {
        const by = headOf(found.text) ?? headOf((await newestClaim(folder))?.text ?? "");
        return { kind: "held", by: by ?? { pid: 0, host: "a host that it does not name" } };
      }
      const claim = await take(folder, found.number, times.beatMs);
      if (claim) return { kind: "claimed", claim, first: false };
    }
  }
}

/** Who holds a folder, as far as can be said at once; not `sure` of one elsewhere: its beats would have to be seen. */
export async function claimantOf(folder: string): Promise<(Claimant & { readonly sure: boolean }) | undefined> {
  const found = await newestClaim(folder).catch(() => undefined);
  if (found === undefined) return undefined;
  const life = await lifeOfClaim(folder, found);
  const head = headOf(found.text);
  if (life === "dead" || head === undefined) return undefined;
  return { pid: head.pid, host: head.host, sure: life === "alive" };
}
