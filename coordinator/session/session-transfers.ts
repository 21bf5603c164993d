// What is on its way to and from one worker, over as many connections as it takes (SPEC.md, T): parameters and leases
// in order, contributions in chunks, both within bounds of memory and time.

import type { Clock } from "../../shared/base/clock.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import { decodeChunk } from "../../shared/wire/chunk.ts";
import type { ParameterSet } from "../../shared/wire/parameter-set.ts";
import { type CoordinatorMessage, encodeMessage, type LeaseMessage } from "../../shared/wire/protocol.ts";
import type { Have } from "../../shared/wire/transfer/chunk-sender.ts";
import { Incoming } from "../../shared/wire/transfer/incoming.ts";
import { isLong, type Offer, Outgoing } from "../../shared/wire/transfer/outgoing.ts";
import type { Engine } from "../engine/engine.ts";
import type { ParameterVersion } from "../training/parameter-version.ts";
import type { Connection } from "./connection.ts";
import { STALE_CHUNK_COST } from "./message-costs.ts";
import type { ChunkedParameters } from "./sent-parameters.ts";
import { SentParameters } from "./sent-parameters.ts";
import type { SessionLimits } from "./session-limits.ts";
import { allowedMs, beganAt, type TransferTerm } from "./transfer-patience.ts";
import type { UploadRoom } from "./upload-memory.ts";

export interface TransferOptions {
  readonly clock: Clock;
  readonly limits: SessionLimits;
  /** Bytes of the largest contribution frame of the run. */
  readonly contributionLimit: number;
  readonly memory: UploadRoom;
  /** Shared by all sessions. */
  readonly chunked: ChunkedParameters;
  /** Frames of parameters by name. */
  readonly blob: Engine["blob"];
}

const labelOfLease = (lease: number) => `lease ${lease}`;
const PARAMETERS = "parameters";
/** A contribution is checked where the sums are, perhaps in another thread, and nobody copies it there. */
const inSharedMemory = (bytes: number) => new Uint8Array(new SharedArrayBuffer(bytes));

/** A lease, and what is needed to compute it. */
interface Delivery {
  readonly lease: LeaseMessage;
  readonly parameters: readonly ParameterVersion[];
}

export class SessionTransfers {
  readonly #options: TransferOptions;
  readonly #outgoing = new Outgoing();
  readonly #incoming: Incoming<SharedArrayBuffer>;
  #connection: Connection | undefined;
  readonly #sent = new SentParameters();
  /** What may not have been sent yet, by lease. */
  readonly #deliveries = new Map<number, Delivery>();
  #releaseUpload = () => {};
  /** When a transfer last got further. */
  #progressAt = 0;
  #upload: TransferTerm | undefined;
  #download: TransferTerm | undefined;

  constructor(options: TransferOptions) {
    this.#options = options;
    this.#incoming = new Incoming({ limitBytes: options.contributionLimit, allocate: inSharedMemory });
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

  /** Sends the parameters, once per set and hash, then the lease. */
  deliver(delivery: Delivery): void {
    if (!this.#delivered(delivery))
      throw new RangeError(`lease ${delivery.lease.lease} needs parameters which are not there`);
  }

  /** Whether what it names is there to be sent. */
  #delivered(delivery: Delivery): boolean {
    const { lease, parameters } = delivery;
    for (const id of this.#deliveries.keys()) if (!this.undelivered(id)) this.#deliveries.delete(id);
    const names = parameters.flatMap((version) => this.#sent.framesTo(version));
    const frames = names.flatMap((name) => this.#options.blob(name) ?? []);
    if (frames.length < names.length) {
      this.#deliveries.delete(lease.lease);
      for (const { set } of parameters) this.#sent.forget(set);
      return false;
    }
    this.#deliveries.set(lease.lease, delivery);
    for (const frame of frames) this.#push(frame);
    this.#outgoing.push({ kind: "message", bytes: encodeMessage(lease), label: labelOfLease(lease.lease) });
    this.pump();
    return true;
  }

  /** Sends a set whole to a worker that does not hold what was changed. @throws MESSAGE_INVALID */
  needed(set: ParameterSet): void {
    const frame = this.#options.blob(this.#sent.whole(set));
    // Where there is a newer version, its lease is over or soon will be: the next one comes with the whole.
    if (frame) this.#push(frame);
    else this.#sent.forget(set);
    this.pump();
  }

  /** A contribution shows that the worker holds what it was sent. */
  useful(): void {
    this.#options.memory.proven();
    this.#sent.useful();
  }

  #push(bytes: Uint8Array<ArrayBuffer>): void {
    const frame = isLong(bytes.length) ? this.#options.chunked.of(bytes) : undefined;
    if (frame) this.#outgoing.push({ kind: "frame", frame, lease: null, label: PARAMETERS });
    else this.#outgoing.push({ kind: "message", bytes, label: PARAMETERS });
  }

  /** Whether the lease has not been sent yet. */
  undelivered(lease: number): boolean {
    return this.#outgoing.holds(labelOfLease(lease));
  }

  /**
   * Takes a lease back that was not sent yet; whether it was so. Nor are its parameters sent: by the next lease they
   * may be old.
   */
  withdraw(lease: number): boolean {
    if (!this.#outgoing.withdraw(labelOfLease(lease))) return false;
    const others = [...this.#deliveries.keys()].some((id) => this.undelivered(id));
    // Changes build on one another: without one of them the worker's state is unknown.
    if (!others && this.#outgoing.withdraw(PARAMETERS)) this.#sent.claim({});
    return true;
  }

  /**
   * What a worker holds: leases that are still to be sent are sent with what it lacks.
   * @returns those that cannot be: newcomers' leases last beyond their round, and its parameters may be gone meanwhile
   */
  reconcile(holds: Parameters<SentParameters["claim"]>[0]): readonly number[] {
    const waiting = [...this.#deliveries.values()].filter(({ lease }) => this.undelivered(lease.lease));
    this.#outgoing.withdraw(PARAMETERS);
    this.#sent.claim(holds);
    return waiting.flatMap((delivery) => {
      const { lease } = delivery.lease;
      this.#outgoing.withdraw(labelOfLease(lease));
      return this.#delivered(delivery) ? [] : [lease];
    });
  }

  /** Sends what may be sent now. */
  pump(): void {
    for (;;) {
      // Sending may show that the connection is gone.
      const connection = this.#connection;
      const sending = connection && this.#outgoing.next();
      if (!sending) return;
      if (sending.kind === "offer") {
        const now = this.#options.clock.now();
        const { transfer, bytes } = sending.offer;
        this.#progressAt = now;
        this.#download = beganAt(now, this.#download, { purpose: transfer, bytes });
        connection.send({ type: "offer", ...sending.offer });
      } else connection.put(sending.bytes, sending.label === PARAMETERS ? "parameters" : "control");
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
        const { lease } = offer;
        if (lease !== null) this.#upload = beganAt(this.#options.clock.now(), this.#upload, { purpose: lease, bytes });
        if (answered) this.#tell(this.#incoming.admit());
      });
      return room;
    });
    answered = true;
    this.#tell(have);
  }

  /**
   * Takes a chunk; returns the contribution once it is whole, whose memory counts until it is released.
   * @throws FRAME_TRUNCATED, FRAME_CORRUPT, PROTOCOL_MISMATCH, TRANSFER_INVALID, RATE_LIMITED
   */
  takeChunk(bytes: Uint8Array): { readonly frame: Uint8Array; readonly release: () => void } | undefined {
    const { fresh, have, frame } = this.#incoming.take(decodeChunk(bytes));
    if (fresh) this.#progressAt = this.#options.clock.now();
    else this.#connection?.spend(STALE_CHUNK_COST);
    if (have) this.#send({ type: "have", ...have });
    if (!frame) return undefined;
    const release = this.#releaseUpload;
    this.#releaseUpload = () => {};
    return { frame, release };
  }

  /** Lets the half-received contribution go, or only that to `lease`; whether there was one. */
  dropUpload(lease?: number): boolean {
    const { offer } = this.#incoming;
    if (!offer || (lease !== undefined && offer.lease !== lease)) return false;
    this.#incoming.abandon();
    this.#releaseUpload();
    return true;
  }

  /**
   * @throws TRANSFER_STALLED where a transfer has not come further for too long, TRANSFER_TOO_SLOW where it takes too
   * long in all
   */
  checkProgress(): void {
    const now = this.#options.clock.now();
    if (!this.#outgoing.expecting && !this.#incoming.expecting) {
      this.#progressAt = now;
      return;
    }
    if (this.#incoming.expecting) this.#requirePace(now, "upload", this.#upload);
    if (this.#outgoing.expecting) this.#requirePace(now, "download", this.#download);
    const stalledMs = now - this.#progressAt;
    const limit = this.#options.limits.transferStallMs;
    if (stalledMs < limit) return;
    const what = this.#incoming.expecting ? "the worker's upload" : "the worker's download";
    throw new BitswarmError(
      "TRANSFER_STALLED",
      `${what} has not come further for ${Math.round(stalledMs)} ms, the limit is ${limit}; connect again to go on`,
    );
  }

  #requirePace(now: number, what: "upload" | "download", term: TransferTerm | undefined): void {
    if (!term) return;
    const { limits } = this.#options;
    const [tookMs, limitMs] = [now - term.since, allowedMs(term.bytes, limits)];
    if (tookMs < limitMs) return;
    throw new BitswarmError(
      "TRANSFER_TOO_SLOW",
      `the worker's ${what} of ${term.bytes} bytes has taken ${Math.round(tookMs / 1000)} s, the limit is ${Math.round(limitMs / 1000)} s (${limits.slowestBytesPerSecond} bytes a second); join again over a faster line`,
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
