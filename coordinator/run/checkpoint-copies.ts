// Copies of a run's checkpoints in a bucket, made beside the training: one at a time, of the newest, and a copy that
// fails is told and tried again with the next checkpoint. The run waits for the last one before it ends.

import { BitswarmError } from "../../shared/base/errors.ts";
import { BucketCheckpoints, type StoredCheckpoint } from "../checkpoint/bucket-checkpoints.ts";
import type { Environment } from "../store/bucket-access.ts";
import type { OpenRun } from "./open-run.ts";

interface CopiesOptions {
  readonly bucket: Pick<BucketCheckpoints, "put">;
  /** The run's folder. */
  readonly path: string;
  /** Number of whoever writes. */
  readonly epoch: () => number;
  readonly keep: number;
  readonly onStored: (stored: StoredCheckpoint) => void;
  readonly onFailure: (message: string) => void;
}

export class CheckpointCopies {
  readonly #options: CopiesOptions;
  /** The newest checkpoint's folder that is not on its way yet. */
  #next: string | undefined;
  #working: Promise<void> | undefined;

  constructor(options: CopiesOptions) {
    this.#options = options;
  }

  /** A checkpoint is on the disk. @param folder its own */
  take(folder: string): void {
    this.#next = folder;
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  /** Resolves when the newest is in the bucket, or has failed. */
  async close(): Promise<void> {
    await this.#working;
  }

  async #work(): Promise<void> {
    const { bucket, path, epoch, keep, onStored, onFailure } = this.#options;
    for (let folder = this.#next; folder !== undefined; folder = this.#next) {
      this.#next = undefined;
      try {
        onStored(await bucket.put(path, folder, epoch(), keep));
      } catch (error) {
        // The disk keeps a few: a slow bucket may find that one gone, and a newer one in its place.
        if ((error as NodeJS.ErrnoException).code === "ENOENT" && this.#next !== undefined) continue;
        const { message } = error as Error;
        const code = error instanceof BitswarmError ? `${error.code}: ` : "";
        onFailure(`the copy of ${folder} in the bucket failed, the run goes on: ${code}${message}`);
      }
    }
  }
}

/**
 * Copies as a run's configuration wishes them; none where it names no bucket. The storage is tried before anything is
 * computed. @param environment has the bucket's keys @throws CONFIG_INVALID, BUCKET_REFUSED
 */
export async function openCopies(
  { state, directory, log }: Pick<OpenRun, "state" | "directory" | "log">,
  onNotice: (message: string) => void,
  environment: Environment = process.env,
): Promise<CheckpointCopies | undefined> {
  const { bucket: where, keep } = state.config.checkpoint;
  if (where === "") return undefined;
  const bucket = new BucketCheckpoints(where, environment);
  await bucket.require();
  return new CheckpointCopies({
    bucket,
    path: directory.path,
    epoch: () => log.fence,
    keep,
    onStored: ({ where: stored, step }) => onNotice(`the checkpoint of step ${step} is in the bucket: ${stored}`),
    onFailure: onNotice,
  });
}
