// What waits to be sent to one peer, in order: small messages at once, long frames chunk by chunk as the peer grants
// credit. It outlives connections: after a reconnect a half-sent frame is offered again, and goes on from what the peer
// has.

import { CHUNK_BYTES } from "../chunk.ts";
import { type ChunkedFrame, ChunkSender, type Have } from "./chunk-sender.ts";

/** A transfer's announcement. */
export interface Offer {
  readonly transfer: number;
  /** Of the whole frame. */
  readonly bytes: number;
  /** The lease that the frame answers; null for parameters. */
  readonly lease: number | null;
}

/** `label` names an item for `withdraw`. A frame carries `lease` in its offer. */
export type OutgoingItem =
  | { readonly kind: "message"; readonly bytes: Uint8Array<ArrayBuffer>; readonly label?: string }
  | { readonly kind: "frame"; readonly frame: ChunkedFrame; readonly lease: number | null; readonly label?: string };

/** Whether a frame of this many bytes travels in chunks. */
export function isLong(bytes: number): boolean {
  return bytes > CHUNK_BYTES;
}

export type Sending =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array<ArrayBuffer>; readonly label: string | undefined }
  | { readonly kind: "offer"; readonly offer: Offer };

interface Active {
  readonly item: Extract<OutgoingItem, { kind: "frame" }>;
  readonly sender: ChunkSender;
  offered: boolean;
}

export class Outgoing {
  readonly #waiting: OutgoingItem[] = [];
  #active: Active | undefined;

  push(item: OutgoingItem): void {
    this.#waiting.push(item);
  }

  /** Items that wait, a half-sent frame included. */
  get length(): number {
    return this.#waiting.length + (this.#active ? 1 : 0);
  }

  /** Whether the peer owes an answer: to an offer, or to chunks on their way. */
  get expecting(): boolean {
    return this.#active?.offered === true;
  }

  /** Whether an item of this label has not been sent whole. */
  holds(label: string): boolean {
    return this.#active?.item.label === label || this.#waiting.some((item) => item.label === label);
  }

  /** What to send now; undefined where nothing may be. Ask until it is. */
  next(): Sending | undefined {
    const active = this.#active;
    if (active && !active.offered) {
      active.offered = true;
      const { frame, lease } = active.item;
      return { kind: "offer", offer: { transfer: frame.transfer, bytes: frame.bytes.length, lease } };
    }
    const chunk = active?.sender.take();
    if (chunk) return { kind: "bytes", bytes: chunk, label: active?.item.label };
    if (active && !active.sender.written) return undefined;
    const [head] = this.#waiting;
    if (head?.kind === "message") {
      this.#waiting.shift();
      return { kind: "bytes", bytes: head.bytes, label: head.label };
    }
    // The peer takes one transfer at a time.
    if (!head || active) return undefined;
    this.#waiting.shift();
    this.#active = { item: head, sender: new ChunkSender(head.frame), offered: false };
    return this.next();
  }

  /**
   * Takes the peer's word on a transfer; whether it brought the transfer further. One about a transfer that is over
   * says nothing. @throws TRANSFER_INVALID
   */
  told(have: Have): boolean {
    const active = this.#active;
    if (active?.item.frame.transfer !== have.transfer) return false;
    const before = active.sender.arrived;
    active.sender.told(have);
    const further = active.sender.arrived > before;
    if (active.sender.done) this.#active = undefined;
    return further;
  }

  /**
   * The connection is gone: messages that it may have lost are the business of those who resume, a half-sent frame is
   * offered again.
   */
  interrupted(): void {
    this.#active?.sender.interrupted();
    if (this.#active) this.#active.offered = false;
  }

  /** Forgets items of this label; whether one was there. */
  withdraw(label: string): boolean {
    const before = this.length;
    const rest = this.#waiting.filter((item) => item.label !== label);
    this.#waiting.splice(0, this.#waiting.length, ...rest);
    if (this.#active?.item.label === label) this.#active = undefined;
    return this.length < before;
  }

  clear(): void {
    this.#waiting.length = 0;
    this.#active = undefined;
  }
}
