// The bytes that a round's gateways need, as the leader offers them: its parameters, and what a gateway that begins
// must know of the run.

import type { Bulk } from "../cluster/bulk.ts";
import type { Payload } from "../cluster/messages.ts";
import { contentHash } from "../disk/content-hash.ts";
import type { RoundPlan } from "../training/round-plan.ts";
import { encodeFacts, FACTS_NAME, type RunFacts } from "./run-facts.ts";

export class DeskFrames {
  readonly #bulk: Pick<Bulk, "offer" | "withdraw">;
  readonly #facts: Uint8Array | undefined;
  readonly #hashes = new WeakMap<Uint8Array, string>();
  #offered = new Set<string>();

  /** @param facts what a gateway that begins must know of the run; none where nobody begins by it */
  constructor(bulk: Pick<Bulk, "offer" | "withdraw">, facts: RunFacts | undefined) {
    this.#bulk = bulk;
    this.#facts = facts && encodeFacts(facts);
  }

  /** Makes a round's frames to be had, and withdraws what it does not name. */
  offer({ parameters, terms }: RoundPlan, blob: (name: string) => Uint8Array | undefined): Payload<"open">["frames"] {
    const names = parameters.flatMap(({ changes, whole }) => [...changes, whole].map(({ name }) => name));
    const about = this.#facts === undefined ? [] : [FACTS_NAME];
    const frames = [...names, ...Object.values(terms.frozen), ...about].map((name) => {
      const bytes = name === FACTS_NAME ? this.#facts : blob(name);
      if (!bytes) throw new RangeError(`the round names ${name}, which is not there`);
      const sha256 = this.#hashes.get(bytes) ?? contentHash(bytes);
      this.#hashes.set(bytes, sha256);
      this.#bulk.offer(name, bytes);
      return { name, bytes: bytes.length, sha256 };
    });
    const wanted = new Set(frames.map(({ name }) => name));
    for (const name of this.#offered) if (!wanted.has(name)) this.#bulk.withdraw(name);
    this.#offered = wanted;
    return frames;
  }

  close(): void {
    for (const name of this.#offered) this.#bulk.withdraw(name);
    this.#offered.clear();
  }
}
