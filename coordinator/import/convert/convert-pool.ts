// Threads that convert images: each question gets its answer, in whatever order they come.

import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { compileJpegCodec } from "../../../shared/image/jpeg-codec.ts";
import { readJpegModule } from "../../base/jpeg-module.ts";
import { builtFolder } from "../../base/package-root.ts";
import type { ConvertOrder, ConvertReply, ConvertStart } from "./convert-messages.ts";
import { largeLock } from "./large-lock.ts";
import type { ImageTarget, Outcome } from "./outcome.ts";

/** Of a thread's own heap; pixels lie outside of it. */
const THREAD_HEAP_MIB = 64;

interface Pending {
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  readonly pending: Map<number, Pending>;
}

export class ConvertPool {
  readonly #threads: readonly Thread[];
  #nextId = 1;
  #failure: Error | undefined;
  #closing = false;

  /** @throws THREAD_FAILED from `convert`, where the program was not built or the memory does not suffice */
  static async start(threads: number): Promise<ConvertPool> {
    const decoder = await compileJpegCodec(await readJpegModule());
    return new ConvertPool(threads, { decoder, lock: largeLock() });
  }

  private constructor(threads: number, workerData: ConvertStart) {
    const program = join(builtFolder(), "coordinator", "import", "convert", "convert-thread.js");
    const resourceLimits = { maxOldGenerationSizeMb: THREAD_HEAP_MIB };
    this.#threads = Array.from({ length: threads }, () => {
      const worker = new Worker(program, { workerData, stdin: false, resourceLimits });
      const pending = new Map<number, Pending>();
      worker.on("message", ({ id, outcome, failure }: ConvertReply) => {
        if (failure) return this.#fail(new BitswarmError(failure.code, failure.message));
        pending.get(id)?.resolve(outcome);
        pending.delete(id);
      });
      worker.on("error", (error) => this.#fail(error));
      worker.on("exit", (code) => this.#fail(new Error(`it exited with ${code}`)));
      return { worker, pending };
    });
  }

  /**
   * @param content moves to a thread, and is gone here
   * @param mostCrops of a clip, whose plan the content is
   */
  convert(content: Uint8Array<ArrayBuffer>, target: ImageTarget, mostCrops?: number): Promise<Outcome> {
    if (this.#failure) return Promise.reject(this.#failure);
    const idle = this.#threads.reduce((a, b) => (b.pending.size < a.pending.size ? b : a));
    const order: ConvertOrder = { id: this.#nextId++, content, target, ...(mostCrops !== undefined && { mostCrops }) };
    return new Promise((resolve, reject) => {
      idle.pending.set(order.id, { resolve, reject });
      idle.worker.postMessage(order, [content.buffer]);
    });
  }

  #fail(error: Error): void {
    if (this.#closing || this.#failure) return;
    this.#failure =
      error instanceof BitswarmError
        ? error
        : new BitswarmError(
            "THREAD_FAILED",
            `a thread that converts images ended: ${error.message}; give the command again, it goes on`,
            {
              cause: error,
            },
          );
    for (const { pending } of this.#threads) {
      for (const { reject } of pending.values()) reject(this.#failure);
      pending.clear();
    }
  }

  async close(): Promise<void> {
    this.#closing = true;
    const error = new Error("the pool was closed");
    for (const { pending } of this.#threads) {
      for (const { reject } of pending.values()) reject(error);
      pending.clear();
    }
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()));
  }
}
