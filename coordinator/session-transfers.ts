// What is on its way to and from one worker, over as many connections as it takes (SPEC.md, T): parameters and leases in order,
// contributions in chunks, both within bounds of memory and time.

import { BitswarmError } from "../shared/errors.ts";
import { type CoordinatorMessage, encodeMessage, type LeaseMessage } from "../shared/protocol.ts";
import { decodeChunk } from "../shared/transfer/chunk.ts";
import type { ChunkedFrame, Have } from "../shared/transfer/chunk-sender.ts";
import { Incoming } from "../shared/transfer/incoming.ts";
import { isLong, type Offer, Outgoing } from "../shared/transfer/outgoing.ts";
import type { Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import type { ParametersFrame } from "./round-plan.ts";
import type { SessionLimits } from "./session-limits.ts";
import type { UploadMemory } from "./upload-memory.ts";

export interface TransferOptions {
  readonly clock: Clock;
  readonly limits: SessionLimits;
  /** Bytes of the largest contribution frame of the run. */
  readonly contributionLimit: number;
  readonly memory: UploadMemory;
  /** The one chunked form of parameters, shared by all sessions. */
  readonly chunked: (parameters: ParametersFrame) => ChunkedFrame;
}

const labelOfLease = (lease: number) => `lease ${lease}`;
const labelOfParameters = (hash: string) => `parameters ${hash}`;

export class SessionTransfers {
  readonly #options: TransferOptions;
  readonly #outgoing = new Outgoing();
  readonly #incoming: Incoming;
  #connection: Connection | undefined;
  /** Hash of the parameters that were sent last, of each network. */
  readonly #sent = new Map<string, string>();
  #releaseUpload = () => {};
  /** When a transfer last got further. */
  #progressAt = 0;

  constructor(options: TransferOptions) {
    this.#options = options;
    this.#incoming = new Incoming({ limitBytes: options.contributionLimit });
  }

  /** Bytes of the contribution that is half-received. */
  get uploadBytes(): number {
    return this.#incoming.heldBytes;
  }

  /** Sends over this connection from now on. */
  attach(connection: Connection): void {
    this.#connection = connection;
    this.#progressAt = this.#options.clock.now();
    this.pump();
  }

  detach(): void {
    this.#connection = undefined;
    this.#outgoing.interrupted();
  }

  close(): void {
    this.detach();
    this.#outgoing.clear();
    this.dropUpload();
  }

  /** Sends the parameters, once per network and hash, then the lease. */
  deliver(lease: LeaseMessage, parameters: ParametersFrame): void {
    const { network, hash, bytes } = parameters;
    const before = this.#sent.get(network);
    if (before !== hash) {
      // Each frame is whole in itself: what is half-sent of an older one serves nobody.
      if (before !== undefined) this.#outgoing.withdraw(labelOfParameters(before));
      this.#sent.set(network, hash);
      const label = labelOfParameters(hash);
      if (isLong(bytes.length)) {
        this.#outgoing.push({ kind: "frame", frame: this.#options.chunked(parameters), lease: null, label });
      } else this.#outgoing.push({ kind: "message", bytes, label });
    }
    this.#outgoing.push({ kind: "message", bytes: encodeMessage(lease), label: labelOfLease(lease.lease) });
    this.pump();
  }

  /** Whether the lease has not been sent yet. */
  undelivered(lease: number): boolean {
    return this.#outgoing.holds(labelOfLease(lease));
  }

  /** Takes a lease back that was not sent yet; whether it was so. */
  withdraw(lease: number): boolean {
    return this.#outgoing.withdraw(labelOfLease(lease));
  }

  /** What a worker that came back holds: the rest is sent again when a lease names it. */
  reconcile(holds: readonly string[]): void {
    for (const [network, hash] of this.#sent) {
      const label = labelOfParameters(hash);
      if (holds.includes(hash)) this.#outgoing.withdraw(label);
      else if (!this.#outgoing.holds(label)) this.#sent.delete(network);
    }
  }

  /** Sends what may be sent now. */
  pump(): void {
    for (;;) {
      // Sending may show that the connection is gone.
      const connection = this.#connection;
      const sending = connection && this.#outgoing.next();
      if (!sending) return;
      if (sending.kind === "offer") {
        this.#progressAt = this.#options.clock.now();
        connection.send({ type: "offer", ...sending.offer });
      } else connection.put(sending.bytes);
    }
  }

  /** Takes the worker's word on a download. @throws TRANSFER_INVALID */
  told(have: Have): void {
    if (this.#outgoing.told(have)) this.#progressAt = this.#options.clock.now();
    this.pump();
  }

  /** Takes the offer of a contribution to a lease that the worker holds. @throws FRAME_TOO_LARGE, TRANSFER_INVALID */
  offered(offer: Offer): void {
    let answered = false;
    const have = this.#incoming.offered(offer, (bytes) => {
      let room = false;
      this.#releaseUpload();
      this.#releaseUpload = this.#options.memory.claim(bytes, () => {
        room = true;
        if (answered) this.#tell(this.#incoming.admit());
      });
      return room;
    });
    answered = true;
    this.#tell(have);
  }

  /** Takes a chunk; returns the contribution once it is whole. @throws FRAME_TRUNCATED, FRAME_CORRUPT, PROTOCOL_MISMATCH, TRANSFER_INVALID */
  takeChunk(bytes: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
    const { fresh, have, frame } = this.#incoming.take(decodeChunk(bytes));
    if (fresh) this.#progressAt = this.#options.clock.now();
    if (have) this.#send({ type: "have", ...have });
    if (frame) this.#releaseUpload();
    return frame;
  }

  /** Lets the half-received contribution go, or only that to `lease`; whether there was one. */
  dropUpload(lease?: number): boolean {
    const { offer } = this.#incoming;
    if (!offer || (lease !== undefined && offer.lease !== lease)) return false;
    this.#incoming.abandon();
    this.#releaseUpload();
    return true;
  }

  /** @throws TRANSFER_STALLED where a transfer has not come further for too long */
  checkProgress(): void {
    const now = this.#options.clock.now();
    if (!this.#outgoing.expecting && !this.#incoming.expecting) {
      this.#progressAt = now;
      return;
    }
    const stalledMs = now - this.#progressAt;
    const limit = this.#options.limits.transferStallMs;
    if (stalledMs < limit) return;
    const what = this.#incoming.expecting ? "the worker's upload" : "the worker's download";
    throw new BitswarmError(
      "TRANSFER_STALLED",
      `${what} has not come further for ${Math.round(stalledMs)} ms, the limit is ${limit}; connect again to go on`,
    );
  }

  #tell(have: Have): void {
    this.#progressAt = this.#options.clock.now();
    this.#send({ type: "have", ...have });
  }

  #send(message: CoordinatorMessage): void {
    this.#connection?.send(message);
  }
}
