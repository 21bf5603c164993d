// Of all threads one at a time has a large image in memory, so that what they need together stays bounded.

import type { Alone } from "./convert-image.ts";

const FREE = 0;
const TAKEN = 1;

/** Memory that threads share. */
export function largeLock(): SharedArrayBuffer {
  return new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
}

/**
 * Waits by blocking its thread, which has nothing else to do.
 * @param release gives back what the work needed, before the next thread begins
 */
export function aloneBy(memory: SharedArrayBuffer, release: () => Promise<void>): Alone {
  const state = new Int32Array(memory);
  return async (work) => {
    while (Atomics.compareExchange(state, 0, FREE, TAKEN) !== FREE) Atomics.wait(state, 0, TAKEN);
    try {
      return await work();
    } finally {
      await release();
      Atomics.store(state, 0, FREE);
      Atomics.notify(state, 0, 1);
    }
  };
}
