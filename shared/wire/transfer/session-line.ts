// A worker's line to the coordinator: it outlives the connections that carry it. What is said while there is none is
// lost, and told again by those who resume; contributions and parameters are not (SPEC.md, T).

import type { BitswarmError } from "../../base/errors.ts";
import { decodeChunk } from "../chunk.ts";
import type { HaveMessage, OfferMessage, WorkerMessage } from "../protocol.ts";
import { ChunkedFrame } from "./chunk-sender.ts";
import { Incoming, inOwnMemory } from "./incoming.ts";
import { isLong, Outgoing } from "./outgoing.ts";

/** What a line needs of the connection that carries it. */
export interface LineCarrier {
  send(message: WorkerMessage): void;
  sendBytes(bytes: Uint8Array<ArrayBuffer>): void;
  /** Closes because of a fault on the way. */
  fail(error: BitswarmError): void;
}

export interface SessionLineOptions {
  /** The welcome's session token. */
  readonly session: string;
  /** Bytes of the largest parameters frame of the run. */
  readonly frameLimit: number;
}

const labelOf = (lease: number) => `lease ${lease}`;

export class SessionLine {
  readonly session: string;
  readonly #outgoing = new Outgoing();
  readonly #incoming: Incoming;
  /** Contributions whose verdict is awaited, by lease. */
  readonly #uploads = new Map<number, Uint8Array<ArrayBuffer>>();
  #connection: LineCarrier | undefined;
  #nextTransfer = 1;
  #over = false;

  constructor({ session, frameLimit }: SessionLineOptions) {
    this.session = session;
    this.#incoming = new Incoming({ limitBytes: frameLimit, repeats: true, allocate: inOwnMemory });
  }

  /** The session is over: no connection will carry it any more. */
  get over(): boolean {
    return this.#over;
  }

  end(): void {
    this.#over = true;
    this.#connection = undefined;
  }

  /** Goes on over this connection. @param leases those that are still this worker's: their contributions are sent on */
  attach(connection: LineCarrier, leases: readonly number[]): void {
    this.#outgoing.interrupted();
    this.#connection = connection;
    for (const [lease, frame] of this.#uploads) {
      if (!leases.includes(lease)) this.settled(lease);
      else if (!isLong(frame.length)) connection.sendBytes(frame);
    }
    this.#pump();
  }

  send(message: WorkerMessage): void {
    this.#connection?.send(message);
  }

  /** Closes the connection, if there is one, for a fault on the way; the session may go on over the next. */
  fail(error: BitswarmError): void {
    this.#connection?.fail(error);
  }

  /** Sends the contribution to a lease, over as many connections as it takes, until `settled`. */
  upload(lease: number, frame: Uint8Array<ArrayBuffer>): void {
    this.#uploads.set(lease, frame);
    if (isLong(frame.length)) {
      const chunked = new ChunkedFrame(this.#nextTransfer++, frame);
      this.#outgoing.push({ kind: "frame", frame: chunked, lease, label: labelOf(lease) });
      this.#pump();
    } else this.#connection?.sendBytes(frame);
  }

  /** There is a verdict on the lease, or none is awaited any more. */
  settled(lease: number): void {
    this.#uploads.delete(lease);
    if (this.#outgoing.withdraw(labelOf(lease))) this.#pump();
  }

  /** @throws FRAME_TOO_LARGE, TRANSFER_INVALID */
  offered({ transfer, bytes, lease }: OfferMessage): void {
    this.send({ type: "have", ...this.#incoming.offered({ transfer, bytes, lease }, () => true) });
  }

  /** @throws TRANSFER_INVALID */
  told(have: HaveMessage): void {
    this.#outgoing.told(have);
    this.#pump();
  }

  /**
   * Takes a chunk; returns the frame once it is whole. @throws FRAME_TRUNCATED, FRAME_CORRUPT, PROTOCOL_MISMATCH,
   * TRANSFER_INVALID
   */
  takeChunk(bytes: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    const { have, frame } = this.#incoming.take(decodeChunk(bytes));
    if (have) this.send({ type: "have", ...have });
    return frame;
  }

  #pump(): void {
    const connection = this.#connection;
    if (!connection) return;
    for (let sending = this.#outgoing.next(); sending; sending = this.#outgoing.next()) {
      if (sending.kind === "offer") connection.send({ type: "offer", ...sending.offer });
      else connection.sendBytes(sending.bytes);
    }
  }
}
