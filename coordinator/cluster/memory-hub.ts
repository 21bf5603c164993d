// Bus, store and bulk of many nodes in one process: for tests, the simulation and chaos, with what a network does to
// messages. Deterministic: time and chance are arguments.

import type { Clock } from "../../shared/base/clock.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { Bulk } from "./bulk.ts";
import { type Bus, type BusMessage, matches, type Unsubscribe } from "./bus.ts";
import { BusBulk } from "./bus-bulk.ts";
import type { LeaseStore, StoredValue, SwapOutcome } from "./lease-store.ts";
import { subjectsOf } from "./subjects.ts";

/** What happens to what travels; nothing unless it is said. May be changed at any time. */
export interface Faults {
  /** Shares of messages in [0, 1]. */
  lose: number;
  duplicate: number;
  /** Of those that overtake others from one node to another, which else keep their order as on one connection. */
  overtake: number;
  /** Least and most of a message's way, and of a store's answer's. */
  delayMs: readonly [least: number, most: number];
  /** Nodes that reach nobody and that nobody reaches, the store among them. */
  readonly cut: Set<string>;
  /** The store answers nobody. */
  storeDown: boolean;
  /** Of a swap: whether it is done, and whether the answer comes back. */
  swap: (node: string, key: string) => { readonly done: boolean; readonly answered: boolean };
}

export interface MemoryHubOptions {
  readonly clock: Clock;
  /** In [0, 1). */
  readonly draw: () => number;
  readonly run: string;
  readonly faults?: Partial<Faults>;
  /** After which a node gives up on the store. */
  readonly timeoutMs?: number;
}

/** A message on its way. */
interface Delivery {
  readonly to: Subscription;
  readonly subject: string;
  readonly data: Uint8Array;
  readonly inbox: string | undefined;
}

interface Subscription {
  readonly node: string;
  readonly pattern: string;
  readonly take: (message: BusMessage) => void;
}

const STORE_TIMEOUT_MS = 500;
/** Subjects of which it is remembered whose patterns fit. */
const REMEMBERED_SUBJECTS = 4096;

export class MemoryHub {
  readonly faults: Faults;
  readonly #options: MemoryHubOptions;
  /** By subject those who hear no other, and those whose patterns fit several. */
  readonly #exact = new Map<string, Set<Subscription>>();
  readonly #patterns = new Set<Subscription>();
  #fitting = new Map<string, readonly Subscription[]>();
  /** On their way from one node to another, the oldest first. */
  readonly #ways = new Map<string, Delivery[]>();
  readonly #values = new Map<string, StoredValue>();
  #revision = 0;
  #inbox = 0;

  constructor(options: MemoryHubOptions) {
    this.#options = options;
    this.faults = {
      lose: 0,
      duplicate: 0,
      overtake: 0,
      delayMs: [0, 0],
      cut: new Set(),
      storeDown: false,
      swap: () => ({ done: true, answered: true }),
      ...options.faults,
    };
  }

  bus(node: string): Bus {
    const own = new Set<Subscription>();
    let closed = false;
    const subscribe = (pattern: string, take: (message: BusMessage) => void): Unsubscribe => {
      const subscription = { node, pattern, take };
      own.add(subscription);
      this.#add(subscription);
      return () => {
        own.delete(subscription);
        this.#remove(subscription);
      };
    };
    return {
      subscribe,
      publish: (subject, data) => {
        if (!closed) this.#publish(node, subject, data);
      },
      request: (subject, data, timeoutMs) =>
        new Promise((resolve, reject) => {
          const inbox = `_INBOX.${node}.${++this.#inbox}`;
          const end = () => {
            stop();
            stopWaiting();
          };
          const stop = subscribe(inbox, (message) => {
            end();
            resolve(message.data);
          });
          const stopWaiting = this.#options.clock.after(timeoutMs, () => {
            end();
            reject(unreachable(`no answer to ${subject} within ${timeoutMs} ms`));
          });
          this.#publish(node, subject, data, inbox);
        }),
      flush: () => this.#turn(),
      close: async () => {
        closed = true;
        for (const subscription of own) this.#remove(subscription);
      },
    };
  }

  /** Long bytes go the same way, and are lost as other messages are. */
  bulk(node: string): Bulk {
    const { clock, run } = this.#options;
    return new BusBulk({ bus: this.bus(node), subjects: subjectsOf(run), id: node, clock });
  }

  store(node: string): LeaseStore {
    const swap = async (key: string, value: Uint8Array, revision: number): Promise<SwapOutcome> => {
      await this.#reach(node);
      const { done, answered } = this.faults.swap(node, key);
      const fits = (this.#values.get(key)?.revision ?? 0) === revision;
      if (fits && done) this.#values.set(key, { value: value.slice(), revision: ++this.#revision });
      if (!answered || !done) await this.#silence();
      await this.#reach(node);
      return fits ? { kind: "won", revision: this.#values.get(key)?.revision ?? 0 } : { kind: "lost" };
    };
    return {
      read: async (key) => {
        await this.#reach(node);
        const found = this.#values.get(key);
        await this.#reach(node);
        return found && { value: found.value.slice(), revision: found.revision };
      },
      create: (key, value) => swap(key, value, 0),
      update: (key, value, revision) => swap(key, value, revision),
    };
  }

  /** As a server that lost its disk comes back. */
  emptyStore(): void {
    this.#values.clear();
  }

  /** As somebody removes one by hand. */
  removeKey(key: string): void {
    this.#values.delete(key);
  }

  /** One way to the store or back. @throws ENGINE_UNREACHABLE */
  async #reach(node: string): Promise<void> {
    if (this.faults.storeDown || this.faults.cut.has(node)) await this.#silence();
    await this.#turn();
  }

  async #silence(): Promise<never> {
    const { clock, timeoutMs = STORE_TIMEOUT_MS } = this.#options;
    await new Promise<void>((resolve) => void clock.after(timeoutMs, resolve));
    throw unreachable(`no answer of the store within ${timeoutMs} ms`);
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => void this.#options.clock.after(this.#delay(), resolve));
  }

  #delay(): number {
    const [least, most] = this.faults.delayMs;
    return most > least ? least + this.#options.draw() * (most - least) : least;
  }

  #add(subscription: Subscription): void {
    const { pattern } = subscription;
    if (/[*>]/.test(pattern)) {
      this.#patterns.add(subscription);
      this.#fitting.clear();
      return;
    }
    const same = this.#exact.get(pattern) ?? new Set<Subscription>();
    this.#exact.set(pattern, same.add(subscription));
  }

  #remove(subscription: Subscription): void {
    const { pattern } = subscription;
    if (this.#patterns.delete(subscription)) this.#fitting.clear();
    const same = this.#exact.get(pattern);
    same?.delete(subscription);
    if (same?.size === 0) this.#exact.delete(pattern);
  }

  #isThere(subscription: Subscription): boolean {
    return this.#patterns.has(subscription) || this.#exact.get(subscription.pattern)?.has(subscription) === true;
  }

  #hearersOf(subject: string): readonly Subscription[] {
    let fitting = this.#fitting.get(subject);
    if (!fitting) {
      fitting = [...this.#patterns].filter(({ pattern }) => matches(pattern, subject));
      if (this.#fitting.size >= REMEMBERED_SUBJECTS) this.#fitting = new Map();
      this.#fitting.set(subject, fitting);
    }
    return [...(this.#exact.get(subject) ?? []), ...fitting];
  }

  #publish(from: string, subject: string, data: Uint8Array, inbox?: string): void {
    const { clock, draw } = this.#options;
    const { cut, lose, duplicate, overtake } = this.faults;
    if (cut.has(from)) return;
    const copy = data.slice();
    for (const to of this.#hearersOf(subject)) {
      if (lose > 0 && draw() < lose) continue;
      const delivery = { to, subject, data: copy, inbox };
      const alone = () => void clock.after(this.#delay(), () => this.#deliver(delivery));
      if (duplicate > 0 && draw() < duplicate) alone();
      if (overtake > 0 && draw() < overtake) {
        alone();
        continue;
      }
      const way = `${from} ${to.node}`;
      const before = this.#ways.get(way) ?? [];
      this.#ways.set(way, before);
      before.push(delivery);
      // Whichever is due first, the oldest comes.
      clock.after(this.#delay(), () => {
        const oldest = before.shift();
        if (oldest) this.#deliver(oldest);
      });
    }
  }

  #deliver({ to, subject, data, inbox }: Delivery): void {
    const { node } = to;
    if (!this.#isThere(to) || this.faults.cut.has(node)) return;
    const reply = inbox === undefined ? {} : { reply: (answer: Uint8Array) => this.#publish(node, inbox, answer) };
    to.take({ subject, data: data.slice(), ...reply });
  }
}

function unreachable(what: string): BitswarmError {
  return new BitswarmError("ENGINE_UNREACHABLE", `${what}: it is tried again`);
}
