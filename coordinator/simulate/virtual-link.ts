// A connection that no network carries: latency, bandwidth, cuts, partitions, and on request what no TCP would do to
// messages. The coordinator's end has what a session uses of the ws package's WebSocket. Sizes are payloads, without
// headers of WebSocket and below.

import type { RawData } from "ws";
import type { Rng } from "../../shared/base/rng.ts";
import { frameHeaderBytes, isFrame } from "../../shared/wire/frame.ts";
import { type PeerSocket, SOCKET_OPEN } from "../session/peer-socket.ts";
import type { Scenario } from "./scenario.ts";
import type { Owner, Timeline } from "./timeline.ts";

const CLOSING = 2;
const CLOSED = 3;
/** Close code of a connection that ended without a close frame (RFC 6455, section 7.1.5). */
export const ABNORMAL = 1006;

export interface LinkQuality {
  /** One way. */
  readonly latencyMs: number;
  readonly jitterMs: number;
  readonly uploadBytesPerMs: number;
  readonly downloadBytesPerMs: number;
  readonly payloadScale: number;
  readonly evil: Scenario["link"]["evil"];
}

interface InFlight {
  readonly bytes: number;
  /** Its first byte arrives, and its last. */
  readonly from: number;
  readonly to: number;
}

interface Direction {
  readonly owner: Owner;
  readonly bytesPerMs: number;
  /** When the bytes sent before have left. */
  freeAt: number;
  lastArrival: number;
  readonly inFlight: Set<InFlight>;
  /** Bytes that arrived. */
  arrived: number;
}

/** The volunteer's end. */
export interface VolunteerEnd {
  message(bytes: Uint8Array): void;
  closed(code: number, reason: string): void;
}

export interface LinkOptions {
  readonly timeline: Timeline;
  readonly quality: LinkQuality;
  readonly draws: Rng;
  readonly volunteer: VolunteerEnd;
  /** Whose the other end is. */
  readonly owner: Owner;
  /** Until when nothing passes between this volunteer and the coordinator. */
  readonly blockedUntil: () => number;
  readonly onBytes: (way: "up" | "down", bytes: number) => void;
}

/** How much later a reordered message comes, at most. */
const REORDER_MS = 500;

export class VirtualLink implements PeerSocket {
  readonly #options: LinkOptions;
  readonly #up: Direction;
  readonly #down: Direction;
  #readyState = SOCKET_OPEN;
  /** The volunteer's process is gone without a word: nothing arrives there, nothing comes from there. */
  #vanished = false;
  #volunteerGone = false;
  #onMessage: ((data: RawData, isBinary: boolean) => void) | undefined;
  #paused = false;
  /** What arrived at the coordinator's end, and has not been read there; the end of the connection comes last. */
  readonly #unread: (() => void)[] = [];
  readonly #onClose: ((code: number) => void)[] = [];

  constructor(options: LinkOptions) {
    this.#options = options;
    const { quality, owner } = options;
    const { uploadBytesPerMs, downloadBytesPerMs } = quality;
    const direction = (end: Owner, bytesPerMs: number): Direction => {
      return { owner: end, bytesPerMs, freeAt: 0, lastArrival: 0, inFlight: new Set(), arrived: 0 };
    };
    this.#up = direction(owner, uploadBytesPerMs);
    this.#down = direction("world", downloadBytesPerMs);
  }

  get readyState(): number {
    return this.#readyState;
  }

  get bufferedAmount(): number {
    const { timeline, quality } = this.#options;
    const { freeAt, bytesPerMs } = this.#down;
    return Math.round((Math.max(0, freeAt - timeline.now) * bytesPerMs) / quality.payloadScale);
  }

  /** Bytes that the coordinator's end has received so far, those of a message on its way included. */
  received(): number {
    const { now } = this.#options.timeline;
    let bytes = this.#up.arrived;
    if (this.#options.blockedUntil() > now) return bytes;
    for (const message of this.#up.inFlight) {
      if (now > message.from) bytes += message.bytes * Math.min(1, (now - message.from) / (message.to - message.from));
    }
    return Math.floor(bytes);
  }

  on(event: "message", listener: (data: RawData, isBinary: boolean) => void): this;
  on(event: "error", listener: (error: Error & { readonly code?: string }) => void): this;
  on(event: "close", listener: (code: number) => void): this;
  on(event: "ping" | "pong", listener: () => void): this;
  on(event: string, listener: (...values: never[]) => void): this {
    if (event === "message") this.#onMessage = listener as (data: RawData, isBinary: boolean) => void;
    // A cut shows as a close; errors are those of bytes that break RFC 6455, and there are none here, nor its pings.
    if (event === "close") this.#onClose.push(listener as (code: number) => void);
    return this;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    while (!this.#paused && this.#unread.length > 0) this.#unread.shift()?.();
  }

  /** From the coordinator to the volunteer. */
  send(bytes: Uint8Array): void {
    if (this.#readyState !== SOCKET_OPEN) return;
    this.#carry(this.#down, "down", bytes, (arrived) => {
      if (!this.#volunteerGone) this.#options.volunteer.message(arrived);
    });
  }

  close(code: number, reason: string): void {
    if (this.#readyState !== SOCKET_OPEN) return;
    this.#readyState = CLOSING;
    this.#transmit(this.#down, 0, () => {
      if (this.#volunteerGone) return;
      this.#volunteerGone = true;
      this.#options.volunteer.closed(code, reason);
      this.#transmit(this.#up, 0, () => this.#closed(code));
    });
  }

  terminate(): void {
    this.#transmit(this.#down, 0, () => this.#volunteerCut());
    this.#options.timeline.at(0, this.#up.owner, () => this.#closed(ABNORMAL));
  }

  /** From the volunteer to the coordinator. */
  volunteerSend(bytes: Uint8Array): void {
    if (this.#volunteerGone) return;
    this.#carry(this.#up, "up", bytes, (arrived) => {
      this.#read(() => {
        // As the ws package does: nothing is delivered once closing began here.
        if (this.#readyState === SOCKET_OPEN)
          this.#onMessage?.(Buffer.from(arrived.buffer, arrived.byteOffset, arrived.byteLength), true);
      });
    });
  }

  /** The volunteer closes in order. */
  volunteerClose(code: number): void {
    if (this.#volunteerGone) return;
    this.#volunteerGone = true;
    this.#transmit(this.#up, 0, () => this.#read(() => this.#closed(code)));
  }

  /** Both ends lose the connection; what is on its way is lost. */
  cut(): void {
    this.#options.timeline.at(0, this.#up.owner, () => this.#closed(ABNORMAL));
    this.#volunteerCut();
  }

  /** The volunteer's machine is gone: the coordinator is not told. */
  vanish(): void {
    this.#vanished = true;
    this.#volunteerGone = true;
  }

  #read(take: () => void): void {
    if (this.#paused || this.#unread.length > 0) this.#unread.push(take);
    else take();
  }

  #volunteerCut(): void {
    if (this.#volunteerGone) return;
    this.#volunteerGone = true;
    this.#options.volunteer.closed(ABNORMAL, "");
  }

  #closed(code: number): void {
    if (this.#readyState === CLOSED) return;
    this.#readyState = CLOSED;
    for (const listener of this.#onClose) listener(code);
  }

  #carry(direction: Direction, way: "up" | "down", bytes: Uint8Array, deliver: (bytes: Uint8Array) => void): void {
    const { evil } = this.#options.quality;
    const { draws, onBytes } = this.#options;
    onBytes(way, bytes.length);
    const happens = (chance: number) => chance > 0 && draws.uniform() < chance;
    if (happens(evil.lose)) return;
    const times = happens(evil.duplicate) ? 2 : 1;
    for (let time = 0; time < times; time++) {
      const sent = happens(evil.corrupt) && isFrame(bytes) ? damaged(bytes, draws) : bytes;
      const late = happens(evil.reorder) ? draws.uniform() * REORDER_MS : undefined;
      this.#transmit(direction, sent.length, () => deliver(sent), late);
    }
  }

  /** Delivers after all that was sent before, or out of order and `lateMs` late. */
  #transmit(direction: Direction, bytes: number, deliver: () => void, lateMs?: number): void {
    const { timeline, quality, draws } = this.#options;
    const start = Math.max(timeline.now, direction.freeAt);
    direction.freeAt = start + (bytes * quality.payloadScale) / direction.bytesPerMs;
    const way = quality.latencyMs + (quality.jitterMs > 0 ? draws.uniform() * quality.jitterMs : 0);
    const arrival = Math.max(direction.freeAt + way, lateMs === undefined ? direction.lastArrival : 0);
    if (lateMs === undefined) direction.lastArrival = arrival;
    const message: InFlight = { bytes, from: start + way, to: arrival };
    direction.inFlight.add(message);
    const arrive = () => {
      const blocked = this.#options.blockedUntil();
      // TCP sends again until it passes; those that waited keep their order, that of the timeline.
      if (blocked > timeline.now) {
        timeline.at(blocked, direction.owner, arrive);
        return;
      }
      direction.inFlight.delete(message);
      if (this.#vanished || this.#readyState === CLOSED) return;
      direction.arrived += bytes;
      deliver();
    };
    timeline.at(arrival + (lateMs ?? 0), direction.owner, arrive);
  }
}

/** The frame with a bit turned behind its magic, or without its end. */
function damaged(frame: Uint8Array, draws: Rng): Uint8Array {
  const copy = Uint8Array.from(frame);
  if (draws.uniform() < 0.5) return copy.subarray(0, frameHeaderBytes + draws.below(copy.length - frameHeaderBytes));
  copy[4 + draws.below(copy.length - 4)] ^= 1 << draws.below(8);
  return copy;
}
