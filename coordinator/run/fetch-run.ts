// A run that another machine drove, from the bucket that has copies of its checkpoints, into a folder of this machine.

import { mkdir, readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { commandText } from "../base/command-text.ts";
import { BucketCheckpoints } from "../checkpoint/bucket-checkpoints.ts";
import { storageError } from "../disk/storage-error.ts";
import type { Environment } from "../store/bucket-access.ts";
import type { OnNotice } from "./run-claim.ts";

export interface FetchRunOptions {
  /** New or empty; by default runs/<id>, with the id that the run had. */
  readonly runDir?: string | undefined;
  /** Has the bucket's keys. */
  readonly environment?: Environment;
  readonly onNotice?: OnNotice;
}

/**
 * Fetches the newest checkpoint that is whole, the commit log and the standings of accounts.
 * @param where `s3://bucket/prefix`, the run's checkpoint.bucket
 * @returns the run's folder, to be resumed
 * @throws RUN_EXISTS where there is something in the folder, CHECKPOINT_MISSING, CHECKPOINT_CORRUPT, BUCKET_REFUSED,
 * CONFIG_INVALID, STORAGE_FAILED
 */
export async function fetchRun(where: string, options: FetchRunOptions = {}): Promise<string> {
  const { environment = process.env, onNotice = () => undefined } = options;
  const bucket = new BucketCheckpoints(where, environment);
  const path = resolve(options.runDir ?? join("runs", await bucket.run()));
  await mkdir(path, { recursive: true }).catch((error) => {
    throw storageError(error, path, "Name another --run-dir");
  });
  if ((await readdir(path)).length > 0) {
    throw new BitswarmError(
      "RUN_EXISTS",
      `${path} is not empty: \`${commandText("coordinator", ["resume", path])}\` goes on with the run in it; name another --run-dir to go on with ${where}`,
    );
  }
  const { where: found, step, skipped } = await bucket.fetch(path);
  for (const { path: damaged, reason } of skipped) onNotice(`skipped ${damaged}: ${reason}`);
  onNotice(`${found}, of step ${step}, is in ${path} now`);
  return path;
}
