// Long bytes over a bus that loses messages: pieces that the receiver asks for, so many at a time, and asks for again
// where they do not come. Nobody is sent more than they asked for.

import { createHash } from "node:crypto";
import type { Clock } from "../../shared/base/clock.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import { type Bulk, type BulkRequest, MOST_BULK_BYTES } from "./bulk.ts";
import type { Bus } from "./bus.ts";
import { CHUNK_BYTES, type ChunkMessage, decodeChunk, encodeChunk } from "./chunk-message.ts";
import { decode, encode } from "./messages.ts";
import type { Subjects } from "./subjects.ts";

/** Pieces on their way to one receiver: 4 MiB. */
export const WINDOW = 16;
/** A piece that has not come for so long is asked for again. */
export const ASK_AGAIN_MS = 500;
/** Nothing at all has come for so long: the holder is gone. */
export const SILENCE_MS = 4000;
/** How long a patient one listens before it asks. */
export const PATIENCE_MS = 400;
const LOOK_EVERY_MS = 100;

export interface BusBulkOptions {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly id: string;
  readonly clock: Clock;
}

interface Transfer extends BulkRequest {
  readonly into: Uint8Array<ArrayBuffer>;
  readonly count: number;
  readonly missing: Set<number>;
  /** When each piece that is on its way was asked for. */
  readonly asked: Map<number, number>;
  /** When something last came. */
  heard: number;
  readonly done: (error?: unknown) => void;
}

export class BusBulk implements Bulk {
  readonly #options: BusBulkOptions;
  readonly #offers = new Map<string, Uint8Array>();
  readonly #transfers = new Set<Transfer>();
  readonly #stop: (() => void)[] = [];

  constructor(options: BusBulkOptions) {
    const { bus, subjects, id } = options;
    this.#options = options;
    this.#stop.push(bus.subscribe(subjects.asksOf(id), ({ subject, data }) => this.#answer(subject, data)));
  }

  offer(name: string, bytes: Uint8Array): void {
    this.#offers.set(name, bytes);
  }

  withdraw(name: string): void {
    this.#offers.delete(name);
  }

  /** What is to be had of this node under a name. */
  offered(name: string): Uint8Array | undefined {
    return this.#offers.get(name);
  }

  #answer(subject: string, data: Uint8Array): void {
    const { bus, subjects, id } = this.#options;
    const ask = decode("ack", data);
    const asker = subject.split(".").at(-2);
    if (!ask || asker === undefined) return;
    const { name } = ask;
    const bytes = this.#offers.get(name);
    const to = subjects.bulk(id, asker);
    if (!bytes) {
      bus.publish(to, encodeChunk({ name, index: 0, count: 0, piece: new Uint8Array() }));
      return;
    }
    const count = Math.max(1, Math.ceil(bytes.length / CHUNK_BYTES));
    for (const index of ask.want) {
      if (index >= count) continue;
      const piece = bytes.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES);
      bus.publish(to, encodeChunk({ name, index, count, piece }));
    }
  }

  async fetch(request: BulkRequest): Promise<Uint8Array<ArrayBuffer>> {
    const { bus, subjects, id, clock } = this.#options;
    const { holder, bytes, sha256, patient = false, signal } = request;
    signal?.throwIfAborted();
    if (bytes > MOST_BULK_BYTES) throw lost(request, `is said to be of ${bytes} bytes; ${MOST_BULK_BYTES} at most`);
    const count = Math.max(1, Math.ceil(bytes / CHUNK_BYTES));
    const pattern = patient ? subjects.bulk(holder, "*") : subjects.bulk(holder, id);
    const into = new Uint8Array(bytes);
    let end = () => {};
    try {
      await new Promise<void>((resolve, reject) => {
        const transfer: Transfer = {
          ...request,
          into,
          count,
          missing: new Set(Array.from({ length: count }, (_, i) => i)),
          asked: new Map(),
          heard: clock.now(),
          done: (error) => (error === undefined ? resolve() : reject(error)),
        };
        this.#transfers.add(transfer);
        const abort = () => reject(signal?.reason);
        signal?.addEventListener("abort", abort);
        const unsubscribe = bus.subscribe(pattern, ({ data }) => this.#hear(transfer, data));
        const stopLooking = clock.every(LOOK_EVERY_MS, () => this.#look(transfer));
        end = () => {
          this.#transfers.delete(transfer);
          signal?.removeEventListener("abort", abort);
          unsubscribe();
          stopLooking();
        };
        if (!patient) this.#ask(transfer);
      });
    } finally {
      end();
    }
    const hash = createHash("sha256").update(into).digest("hex");
    if (hash !== sha256) throw lost(request, `has the hash ${hash} and not ${sha256}`);
    return into;
  }

  #hear(transfer: Transfer, data: Uint8Array): void {
    let chunk: ChunkMessage;
    try {
      chunk = decodeChunk(data);
    } catch {
      return;
    }
    const { name, index, count, piece } = chunk;
    if (name !== transfer.name) return;
    const at = index * CHUNK_BYTES;
    const fits = count === transfer.count && at + piece.length === Math.min(at + CHUNK_BYTES, transfer.into.length);
    if (!fits) {
      const why = count === 0 ? "is not there any more" : `is of another size than ${transfer.bytes} bytes`;
      transfer.done(lost(transfer, why));
      return;
    }
    transfer.heard = this.#options.clock.now();
    transfer.asked.delete(index);
    if (!transfer.missing.delete(index)) return;
    transfer.into.set(piece, at);
    if (transfer.missing.size === 0) transfer.done();
    else if (!transfer.patient && transfer.asked.size <= WINDOW / 2) this.#ask(transfer);
  }

  #look(transfer: Transfer): void {
    const now = this.#options.clock.now();
    const silent = now - transfer.heard;
    if (silent >= SILENCE_MS) {
      transfer.done(lost(transfer, `has not come for ${SILENCE_MS / 1000} s`));
      return;
    }
    for (const [index, since] of transfer.asked) if (now - since >= ASK_AGAIN_MS) transfer.asked.delete(index);
    if (!transfer.patient || silent >= PATIENCE_MS) this.#ask(transfer);
  }

  /** Asks for as many pieces as may be on their way, of those that are not. */
  #ask(transfer: Transfer): void {
    const { bus, subjects, id, clock } = this.#options;
    const want: number[] = [];
    for (const index of transfer.missing) {
      if (transfer.asked.size >= WINDOW) break;
      if (transfer.asked.has(index)) continue;
      transfer.asked.set(index, clock.now());
      want.push(index);
    }
    if (want.length === 0) return;
    bus.publish(subjects.ask(id, transfer.holder), encode("ack", { name: transfer.name, want }));
  }

  close(): void {
    for (const stop of this.#stop) stop();
    for (const transfer of this.#transfers) transfer.done(lost(transfer, "is not waited for any more"));
    this.#offers.clear();
  }
}

function lost({ name, holder }: BulkRequest, why: string): BitswarmError {
  return new BitswarmError("BULK_LOST", `${name} of ${holder} ${why}; what needs it is made anew`);
}
