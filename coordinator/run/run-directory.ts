// The folder of a run: runs/<id>/ with run.yaml, tokens, commits, events, history and checkpoints. This file makes it
// and finds its way back.

import { createHash, randomBytes } from "node:crypto";
import { access, readdir } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { stringify } from "yaml";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import { commandText } from "../base/command-text.ts";
import {
  createDashboardToken,
  createOperatorToken,
  createToken,
  type DashboardTokens,
  type RunTokens,
} from "../base/token.ts";
import { CHECKPOINTS } from "../checkpoint/checkpoint.ts";
import { COMMIT_LOG } from "../checkpoint/commit-log.ts";
import { type Claim, isClaim } from "../disk/claim.ts";
import { makeFolders, writeDurably } from "../disk/durable-file.ts";
import { readPlainText } from "../disk/plain-file.ts";
import { storageError } from "../disk/storage-error.ts";
import { claimRun, type OnNotice } from "./run-claim.ts";

export const RUN_FILE = "run.yaml";
const TOKEN_FILE = "token";
const OPERATOR_TOKEN_FILE = "operator-token";
const DASHBOARD_TOKEN_FILE = "dashboard-token";
export const EVENTS_FILE = "events.ndjson";
const WORKERS_LOG = "workers.log";
const SECRET = 0o600;
/** Of the small files of a run that are read whole. */
export const MOST_RUN_FILE_BYTES = 2 ** 20;
const small = { code: "STORAGE_FAILED", mostBytes: MOST_RUN_FILE_BYTES } as const;
/** What a token may be, as `--token` has it. */
const tokenPattern = /^[^\s\p{Cc}]{1,512}$/u;

/** All secrets of a run. */
export type AllTokens = RunTokens & DashboardTokens;

export interface RunDirectory extends AllTokens {
  readonly path: string;
  /** The folder's name. */
  readonly run: string;
  /** 16 bytes in hex: names the run in frames. */
  readonly runTag: string;
  readonly eventsPath: string;
  /** What the local workers print. */
  readonly workersLogPath: string;
}

/** E.g. `fashion-lenet-20250131-154501-3fa9`, local time. */
export function newRunId(name: string, time: Date): string {
  const two = (n: number) => String(n).padStart(2, "0");
  const day = `${time.getFullYear()}${two(time.getMonth() + 1)}${two(time.getDate())}`;
  const clock = `${two(time.getHours())}${two(time.getMinutes())}${two(time.getSeconds())}`;
  const slug = name.replace(/[^\w.-]+/g, "-").replace(/^[.-]+/, "") || "run";
  return `${slug}-${day}-${clock}-${randomBytes(2).toString("hex")}`;
}

/** Names a run in frames, at every node of it. */
export function runTagOf(run: string): string {
  return createHash("sha256").update(run).digest("hex").slice(0, 32);
}

/** As a run's engine names it, where several nodes of folders of their own drive it. */
export function namedBy({ engine }: Pick<RunConfig, "engine">, directory: RunDirectory): RunDirectory {
  const { run } = engine;
  return typeof run === "string" ? { ...directory, run, runTag: runTagOf(run) } : directory;
}

function directoryAt(path: string, tokens: AllTokens): RunDirectory {
  const run = basename(path);
  return {
    path,
    run,
    runTag: runTagOf(run),
    ...tokens,
    eventsPath: join(path, EVENTS_FILE),
    workersLogPath: join(path, WORKERS_LOG),
  };
}

/** What a file holds where it may be a token; nothing where it is not, or not there. */
async function secretIn(file: string): Promise<string | undefined> {
  const text = (await readPlainText(file, small))?.trim();
  return text !== undefined && tokenPattern.test(text) ? text : undefined;
}

/** The link's token that a folder keeps; nothing where it keeps none. @throws STORAGE_FAILED */
export function keptToken(path: string): Promise<string | undefined> {
  return secretIn(join(path, TOKEN_FILE));
}

/** The dashboard's token that a folder keeps; nothing where it keeps none. @throws STORAGE_FAILED */
export function keptDashboardToken(path: string): Promise<string | undefined> {
  return secretIn(join(path, DASHBOARD_TOKEN_FILE));
}

/**
 * What a run's folder goes on with, be it there already or not.
 * @param token instead of the one that it keeps @throws STORAGE_FAILED
 */
export async function tokensAt(path: string, token?: string): Promise<AllTokens> {
  return {
    token: token ?? (await keptToken(path)) ?? createToken(),
    // Another each time: whoever made a folder that comes from elsewhere must not be its operator.
    operatorToken: createOperatorToken(),
    dashboardToken: (await keptDashboardToken(path)) ?? createDashboardToken(),
  };
}

/** Writes down what a run's folder does not hold yet of its tokens. @throws STORAGE_FAILED */
export async function keepTokens({
  path,
  token,
  operatorToken,
  dashboardToken,
}: AllTokens & Pick<RunDirectory, "path">): Promise<void> {
  const secrets = {
    [TOKEN_FILE]: token,
    [OPERATOR_TOKEN_FILE]: operatorToken,
    [DASHBOARD_TOKEN_FILE]: dashboardToken,
  };
  for (const [name, secret] of Object.entries(secrets)) {
    const file = join(path, name);
    if ((await secretIn(file)) === secret) continue;
    await writeDurably(file, `${secret}\n`, SECRET).catch((error) => {
      throw storageError(error, file);
    });
  }
}

/** A run's folder, and the claim on it: until that is released no other process drives the run. */
export interface ClaimedDirectory {
  readonly directory: RunDirectory;
  readonly claim: Claim;
}

async function entriesOf(path: string): Promise<string[]> {
  return (await readdir(path)).filter((name) => !isClaim(name));
}

/**
 * Makes the folder of a fresh run, claimed.
 * @param runDir by default runs/<id> under the working directory
 * @throws RUN_EXISTS where there is something in it already, RUN_IN_USE, STORAGE_FAILED
 */
export async function createRunDirectory(
  config: RunConfig,
  runDir?: string,
  token?: string,
  onNotice: OnNotice = () => undefined,
): Promise<ClaimedDirectory> {
  const path = resolve(runDir ?? join("runs", newRunId(config.name, new Date())));
  try {
    await makeFolders(path);
  } catch (cause) {
    const { code = "" } = cause as NodeJS.ErrnoException;
    if (code !== "EEXIST" && code !== "ENOTDIR") throw storageError(cause, path, "Name another --run-dir");
    throw new BitswarmError("RUN_EXISTS", `the run's folder ${path} cannot be made: ${(cause as Error).message}`, {
      cause,
    });
  }
  const exists = () =>
    new BitswarmError(
      "RUN_EXISTS",
      `${path} is not empty: \`${commandText("coordinator", ["resume", path])}\` goes on with the run in it; for a fresh run name another --run-dir`,
    );
  const entries = await entriesOf(path).catch((error) => {
    throw storageError(error, path, "Name another --run-dir", "read");
  });
  if (entries.length > 0) throw exists();
  const claim = await claimRun(path, onNotice);
  try {
    // Another one may have made a run here, and ended it, in between.
    if ((await entriesOf(path)).length > 0) throw exists();
    const directory = directoryAt(path, {
      token: token ?? createToken(),
      operatorToken: createOperatorToken(),
      dashboardToken: createDashboardToken(),
    });
    await keepTokens(directory);
    await writeDurably(join(path, RUN_FILE), runFileText(config));
    return { directory, claim };
  } catch (error) {
    await claim.release();
    throw storageError(error, path, "Name another --run-dir, or make room");
  }
}

function runFileText(config: RunConfig): string {
  const head =
    "# The configuration of this run, complete. `bitswarm start run.yaml` starts another one like it. What\n" +
    "# `bitswarm resume` may change can be changed here as well as by its --set.\n";
  return head + stringify(config);
}

/** Writes the configuration of a run where what is there does not say the same. */
export async function writeRunFile({ path }: Pick<RunDirectory, "path">, text: string | RunConfig): Promise<void> {
  const file = join(path, RUN_FILE);
  try {
    await writeDurably(file, typeof text === "string" ? text : runFileText(text));
  } catch (error) {
    throw storageError(error, file);
  }
}

/** The text of run.yaml; nothing where there is none. @throws CONFIG_INVALID for what is no plain file, or huge */
export function readRunFile(runDir: string): Promise<string | undefined> {
  return readPlainText(join(runDir, RUN_FILE), { code: "CONFIG_INVALID", mostBytes: MOST_RUN_FILE_BYTES });
}

/**
 * Finds the folder of a run that was started before, and claims it, and changes nothing else in it: `keepTokens` does.
 * @param token instead of the one that the run had
 * @throws CHECKPOINT_MISSING where it is no run's folder, RUN_IN_USE, STORAGE_FAILED
 */
export async function openRunDirectory(
  runDir: string,
  token?: string,
  onNotice: OnNotice = () => undefined,
): Promise<ClaimedDirectory> {
  const path = resolve(runDir);
  if (!(await isRunDirectory(path))) {
    throw new BitswarmError(
      "CHECKPOINT_MISSING",
      `${path} is not the folder of a run (no ${RUN_FILE} in it): give the folder that \`start\` named, under ./runs by default`,
    );
  }
  const claim = await claimRun(path, onNotice);
  try {
    return { directory: directoryAt(path, await tokensAt(path, token)), claim };
  } catch (error) {
    await claim.release();
    throw error;
  }
}

/** Whether a command's argument is the folder of a run. */
export async function isRunDirectory(path: string): Promise<boolean> {
  for (const file of [RUN_FILE, COMMIT_LOG, CHECKPOINTS]) {
    const there = await access(join(path, file)).then(
      () => true,
      () => false,
    );
    if (there) return true;
  }
  return false;
}
