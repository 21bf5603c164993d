// The folder of a run: runs/<id>/ with run.yaml, the tokens, commits, events and checkpoints. This file makes it and
// finds its way back.

import { createHash, randomBytes } from "node:crypto";
import { access, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { stringify } from "yaml";
import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { createOperatorToken, createToken, type RunTokens } from "../base/token.ts";
import { COMMIT_LOG } from "../checkpoint/commit-log.ts";
import { writeDurably } from "../disk/durable-file.ts";

const RUN_FILE = "run.yaml";
const TOKEN_FILE = "token";
const OPERATOR_TOKEN_FILE = "operator-token";
const ADDRESS_FILE = "coordinator.json";
const EVENTS_FILE = "events.ndjson";
const WORKERS_LOG = "workers.log";
const SECRET = 0o600;

export interface RunDirectory extends RunTokens {
  readonly path: string;
  /** The folder's name. */
  readonly run: string;
  /** 16 bytes in hex: names the run in frames. */
  readonly runTag: string;
  readonly eventsPath: string;
  /** What the local workers print. */
  readonly workersLogPath: string;
}

/** Where the coordinator of a run answers, while it runs. */
export interface RunAddress {
  /** With the operator's token. */
  readonly url: string;
  readonly pid: number;
}

const addressSchema = z.strictObject({ url: z.url(), pid: z.number().int() });

/** E.g. `fashion-lenet-20250131-154501-3fa9`, local time. */
export function newRunId(name: string, time: Date): string {
  const two = (n: number) => String(n).padStart(2, "0");
  const day = `${time.getFullYear()}${two(time.getMonth() + 1)}${two(time.getDate())}`;
  const clock = `${two(time.getHours())}${two(time.getMinutes())}${two(time.getSeconds())}`;
  const slug = name.replace(/[^\w.-]+/g, "-").replace(/^[.-]+/, "") || "run";
  return `${slug}-${day}-${clock}-${randomBytes(2).toString("hex")}`;
}

function directoryAt(path: string, tokens: RunTokens): RunDirectory {
  const run = basename(path);
  return {
    path,
    run,
    runTag: createHash("sha256").update(run).digest("hex").slice(0, 32),
    ...tokens,
    eventsPath: join(path, EVENTS_FILE),
    workersLogPath: join(path, WORKERS_LOG),
  };
}

async function secretIn(file: string): Promise<string | undefined> {
  return (await readFile(file, "utf8").catch(() => "")).trim() || undefined;
}

/** Writes down what a run's folder does not hold yet of its tokens. */
export async function keepTokens({ path, token, operatorToken }: RunDirectory): Promise<void> {
  const secrets = { [TOKEN_FILE]: token, [OPERATOR_TOKEN_FILE]: operatorToken };
  for (const [name, secret] of Object.entries(secrets)) {
    const file = join(path, name);
    if ((await secretIn(file)) !== secret) await writeDurably(file, `${secret}\n`, SECRET);
  }
}

/**
 * Makes the folder of a fresh run.
 * @param runDir by default runs/<id> under the working directory
 * @throws RUN_EXISTS where there is something in it already
 */
export async function createRunDirectory(config: RunConfig, runDir?: string, token?: string): Promise<RunDirectory> {
  const path = resolve(runDir ?? join("runs", newRunId(config.name, new Date())));
  try {
    await mkdir(path, { recursive: true });
  } catch (cause) {
    throw new BitswarmError("RUN_EXISTS", `the run's folder ${path} cannot be made: ${(cause as Error).message}`, {
      cause,
    });
  }
  if ((await readdir(path)).length > 0) {
    throw new BitswarmError(
      "RUN_EXISTS",
      `${path} is not empty: \`npx coordinator resume ${path}\` goes on with the run in it; for a fresh run name another --run-dir`,
    );
  }
  const directory = directoryAt(path, { token: token ?? createToken(), operatorToken: createOperatorToken() });
  await keepTokens(directory);
  const head = "# The configuration of this run, complete. `coordinator start run.yaml` starts another one like it.\n";
  await writeDurably(join(path, RUN_FILE), head + stringify(config));
  return directory;
}

/**
 * Finds the folder of a run that was started before, and changes nothing in it: `keepTokens` does.
 * @param token instead of the one that the run had
 * @throws CHECKPOINT_MISSING where it is no run's folder
 */
export async function openRunDirectory(runDir: string, token?: string): Promise<RunDirectory> {
  const path = resolve(runDir);
  const isRun = await access(join(path, RUN_FILE)).then(
    () => true,
    () => false,
  );
  if (!isRun) {
    throw new BitswarmError(
      "CHECKPOINT_MISSING",
      `${path} is not the folder of a run (no ${RUN_FILE} in it): give the folder that \`coordinator start\` named, under ./runs by default`,
    );
  }
  return directoryAt(path, {
    token: token ?? (await secretIn(join(path, TOKEN_FILE))) ?? createToken(),
    operatorToken: (await secretIn(join(path, OPERATOR_TOKEN_FILE))) ?? createOperatorToken(),
  });
}

/** Notes where the coordinator answers, for `status RUN_DIR`. */
export async function writeAddress({ path }: RunDirectory, address: RunAddress): Promise<void> {
  await writeDurably(join(path, ADDRESS_FILE), `${JSON.stringify(address)}\n`, SECRET);
}

/** @param url of the coordinator that goes: another one's address stays */
export async function removeAddress({ path }: RunDirectory, url: string): Promise<void> {
  if ((await readAddress(path))?.url !== url) return;
  await rm(join(path, ADDRESS_FILE), { force: true });
}

/** Where the run's coordinator answers, or did when it was last seen. */
export async function readAddress(runDir: string): Promise<RunAddress | undefined> {
  const text = await readFile(join(runDir, ADDRESS_FILE), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return addressSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Whether a command's argument is the folder of a run. */
export async function isRunDirectory(path: string): Promise<boolean> {
  for (const file of [RUN_FILE, COMMIT_LOG]) {
    const there = await access(join(path, file)).then(
      () => true,
      () => false,
    );
    if (there) return true;
  }
  return false;
}
