// The page's end of a thread that follows with one network.

import type { Answered, Answers, Ask, Asked } from "./messages.ts";

/** What went wrong in the thread, in words for whoever looks on. */
export class Trouble extends Error {}

export class Follower {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, { resolve(answer: never): void; reject(error: Error): void }>();
  #asked = 0;

  constructor() {
    this.#worker = new Worker(new URL("./compute.ts", import.meta.url), { type: "module", name: "bitswarm tracker" });
    this.#worker.addEventListener("message", ({ data }: MessageEvent<Answered>) => {
      const waiting = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if ("trouble" in data) waiting?.reject(new Trouble(data.trouble));
      else waiting?.resolve(data.answer as never);
    });
    this.#worker.addEventListener("error", () => {
      for (const { reject } of this.#waiting.values()) reject(new Trouble("the thread that computes does not start"));
      this.#waiting.clear();
    });
  }

  /** @throws Trouble */
  ask<Kind extends Ask["kind"]>(ask: Extract<Ask, { readonly kind: Kind }>): Promise<Answers[Kind]> {
    const id = this.#asked++;
    return new Promise<Answers[Kind]>((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (answer: never) => void, reject });
      this.#worker.postMessage({ id, ask } satisfies Asked);
    });
  }

  end(): void {
    this.#worker.terminate();
  }
}
