// A leader's hold on a run: the lease, which it renews, and the head, which it rewrites first, so that no revision that
// the leader before knows is good any more. Only a refused swap of the head ends it.

import type { Clock } from "../../../shared/base/clock.ts";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { encodePlain } from "../../../shared/wire/plain-message.ts";
import { BEAT_EVERY_MS, type HeadValue, type LeaseValue } from "../../cluster/fence.ts";
import { type Found, HEAD_KEY, LEASE_KEY, readHead, readLease } from "../../cluster/keys.ts";
import { isUnreachable, type LeaseStore, swapped } from "../../cluster/lease-store.ts";

/** Between two tries of a swap whose answer nobody knows. */
const AGAIN_MS = 100;

export function fenced(id: string, epoch: number, by: Pick<HeadValue, "leader" | "epoch">): BitswarmError {
  return new BitswarmError(
    "ENGINE_FENCED",
    `${id} led with epoch ${epoch}; ${by.leader} leads with ${by.epoch} now: ${id} commits nothing more, and stands by`,
  );
}

export interface LeadOptions {
  readonly store: LeaseStore;
  readonly clock: Clock;
  readonly id: string;
}

/** What a coordinator has that would lead. */
export interface Standing {
  /** Records of its log, and the hash of the last. */
  readonly length: number;
  readonly chain: string;
  /** Committed steps. */
  readonly step: number;
  /** Of the last line. */
  readonly line: string;
  readonly before: string;
  /** Above this its epoch must be, where the store knows of none. */
  readonly fence: number;
  /** Hash of its record that is the last of so many. */
  hashAt(length: number): string | undefined;
}

/** Why a coordinator does not lead. */
export type NoLead =
  /** Another was quicker. */
  | { readonly kind: "lost" }
  /** The head is not in its log: what is committed is more, or another run's. */
  | { readonly kind: "behind"; readonly head: HeadValue };

export class Lead {
  readonly epoch: number;
  readonly #options: LeadOptions;
  #lease: Found<LeaseValue>;
  #head: Found<HeadValue>;
  #stop = () => {};
  #beating = false;
  /** Rejects once another leads. */
  readonly over: Promise<never>;
  readonly #end: (error: BitswarmError) => void;
  #ended = false;

  /**
   * Takes the lease at the revision that was seen, and fences the head.
   * @param seen of the lease; nothing where there is none
   * @throws ENGINE_UNREACHABLE
   */
  static async take(options: LeadOptions, seen: Found<LeaseValue> | undefined, own: Standing): Promise<Lead | NoLead> {
    const { store, id } = options;
    const before = await readHead(store);
    if (before && !knows(own, before.value)) return { kind: "behind", head: before.value };
    const epoch = Math.max(seen?.value.epoch ?? 0, before?.value.epoch ?? 0, own.fence) + 1;
    const over = seen?.value.over === true ? { over: true } : {};
    const value: LeaseValue = { leader: id, epoch, beat: 0, ...over };
    const took = await swapped(store, { key: LEASE_KEY, value: encodePlain(value), revision: seen?.revision ?? 0 });
    if (took === "undone" || took.kind === "lost") return { kind: "lost" };
    for (;;) {
      // What the leader before commits until the head is fenced is committed.
      const head = await readHead(store);
      if (head && head.value.epoch > epoch) return { kind: "lost" };
      if (head && !knows(own, head.value)) return { kind: "behind", head: head.value };
      const { length, chain, step, line, before: link } = own;
      const fencing = { leader: id, epoch, length, step, line, chain, before: link, fenced: epoch };
      const outcome = await swapped(store, {
        key: HEAD_KEY,
        value: encodePlain(fencing),
        revision: head?.revision ?? 0,
      });
      if (outcome === "undone" || outcome.kind === "lost") continue;
      const lease = { value, revision: took.revision };
      return new Lead(options, epoch, lease, { value: fencing, revision: outcome.revision });
    }
  }

  private constructor(options: LeadOptions, epoch: number, lease: Found<LeaseValue>, head: Found<HeadValue>) {
    this.#options = options;
    this.epoch = epoch;
    this.#lease = lease;
    this.#head = head;
    let end = (_error: BitswarmError) => {};
    this.over = new Promise((_, reject) => {
      end = reject;
    });
    this.over.catch(() => undefined);
    this.#end = end;
    this.#stop = options.clock.every(BEAT_EVERY_MS, () => void this.#beat());
  }

  get head(): HeadValue {
    return this.#head.value;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Renews the lease. That it cannot ends nothing: it may be the store that is gone. */
  async #beat(): Promise<void> {
    if (this.#beating || this.#ended) return;
    this.#beating = true;
    const { store } = this.#options;
    const { value, revision } = this.#lease;
    const next = { ...value, beat: value.beat + 1 };
    try {
      const outcome = await store.update(LEASE_KEY, encodePlain(next), revision);
      if (outcome.kind === "won") this.#lease = { value: next, revision: outcome.revision };
      else await this.#reread();
    } catch (error) {
      if (!isUnreachable(error)) this.#finish(error as BitswarmError);
    } finally {
      this.#beating = false;
    }
  }

  /** The lease is not as it was left: a swap without an answer, a store that lost it, or another's. */
  async #reread(): Promise<void> {
    const { store, id } = this.#options;
    const lease = await readLease(store);
    const head = await readHead(store);
    if (head && head.value.epoch > this.epoch) this.#finish(fenced(id, this.epoch, head.value));
    if (!lease || lease.value.epoch === this.epoch) this.#lease = lease ?? { value: this.#lease.value, revision: 0 };
  }

  #finish(error: BitswarmError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stop();
    this.#end(error);
  }

  /**
   * Makes a record the head: from then on it is committed, and not before. Tries on while nobody knows.
   * @throws ENGINE_FENCED where another leads
   */
  async commit(record: Pick<HeadValue, "length" | "step" | "line" | "chain" | "before">): Promise<void> {
    const { store, clock, id } = this.#options;
    const value: HeadValue = { leader: id, epoch: this.epoch, fenced: 0, ...record };
    while (!this.#ended) {
      try {
        const { revision } = this.#head;
        const outcome = await swapped(store, { key: HEAD_KEY, value: encodePlain(value), revision });
        if (outcome !== "undone" && outcome.kind === "won") {
          this.#head = { value, revision: outcome.revision };
          return;
        }
        if (outcome !== "undone") await this.#afterRefusal(record.before);
      } catch (error) {
        if (!isUnreachable(error)) throw error;
      }
      await new Promise<void>((resolve) => void clock.after(AGAIN_MS, resolve));
    }
    await this.over;
  }

  /** The head is another: another leads, or the store lost it and what it holds is older than what is committed. */
  async #afterRefusal(chain: string): Promise<void> {
    const { store, id } = this.#options;
    const found = await readHead(store);
    const { epoch } = this;
    if (found && (found.value.epoch > epoch || (found.value.epoch === epoch && found.value.leader !== id))) {
      this.#finish(fenced(id, epoch, found.value));
      return;
    }
    // Emptied, or a swap of ours of which no answer came: the chain before is what the record follows.
    if (!found || found.value.chain === chain || found.value.length < this.#head.value.length)
      this.#head = { value: this.#head.value, revision: found?.revision ?? 0 };
  }

  /**
   * Lets go: whoever stands by need not wait for its silence.
   * @param why over: the run has come to its end; stopped: whoever runs it had it end, for all
   */
  async release(why?: "over" | "stopped"): Promise<void> {
    this.#stop();
    if (this.#ended) return;
    this.#ended = true;
    const { store } = this.#options;
    const { value, revision } = this.#lease;
    // One that led on from what was over, and is stopped before its end, leaves a run that is not.
    const { over: _over, ...kept } = value;
    await store
      .update(
        LEASE_KEY,
        encodePlain({ ...kept, leader: "", beat: value.beat + 1, ...(why === undefined ? {} : { [why]: true }) }),
        revision,
      )
      .catch(() => undefined);
  }
}

/** Whether all that a head says is committed is in a log. */
function knows(own: Standing, head: HeadValue): boolean {
  return head.length <= own.length && own.hashAt(head.length) === head.chain;
}
