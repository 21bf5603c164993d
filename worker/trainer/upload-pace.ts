// Keeps what is written to the device and not computed yet within bounds: a queue takes whatever it is given, and a
// lease of large images would lie in it whole.

/** Bytes of samples that wait in the device's queue, about. */
export const MOST_QUEUED_BYTES = 64 * 2 ** 20;

export class UploadPace {
  readonly #queue: Pick<GPUQueue, "onSubmittedWorkDone">;
  readonly #most: number;
  #bytes = 0;
  /** Settles when the half before the one that fills now is computed. */
  #before: Promise<unknown> = Promise.resolve();

  constructor(queue: Pick<GPUQueue, "onSubmittedWorkDone">, mostBytes: number = MOST_QUEUED_BYTES) {
    this.#queue = queue;
    this.#most = mostBytes;
  }

  /** So many bytes were submitted; resolves when there is room for more. */
  async submitted(bytes: number): Promise<void> {
    this.#bytes += bytes;
    if (this.#bytes < this.#most / 2) return;
    this.#bytes = 0;
    const before = this.#before;
    // A device that is lost says so elsewhere.
    this.#before = this.#queue.onSubmittedWorkDone().catch(() => undefined);
    await before;
  }
}
