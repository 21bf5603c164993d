// One WebSocket from opening to closing: decodes what arrives, keeps the heartbeat, and remembers why it ended.

import { BitswarmError, type ErrorCode, errorCodes } from "../../shared/base/errors.ts";
import { isChunk } from "../../shared/wire/chunk.ts";
import { isFrame } from "../../shared/wire/frame.ts";
import {
  type CoordinatorMessage,
  decodeCoordinatorMessage,
  encodeMessage,
  type WorkerMessage,
} from "../../shared/wire/protocol.ts";
import { sleep } from "../clock.ts";
import { Heartbeat } from "./heartbeat.ts";
import type { SessionPorts, SessionSocket } from "./session-ports.ts";

/** Messages that the connection does not answer by itself. */
export type SessionMessage = Exclude<CoordinatorMessage, { type: "ping" | "pong" | "error" }>;

/** Why a connection is over; `retry` is false when trying again cannot help. */
export type Closing =
  | { readonly kind: "left" }
  | { readonly kind: "fault"; readonly error: BitswarmError; readonly retry: boolean };

export interface ConnectionEvents {
  opened(): void;
  message(message: SessionMessage): void;
  /** Undecoded bytes of a frame. What this or `message` throws ends the connection. */
  frame(bytes: Uint8Array): void;
  /** Undecoded bytes of a chunk. */
  chunk(bytes: Uint8Array): void;
  closed(): void;
}

/** Codes after which the same worker would be turned away again. */
const finalCodes: readonly ErrorCode[] = [
  "TOKEN_INVALID",
  "PROTOCOL_MISMATCH",
  "RUN_ENDED",
  "WORKER_DRAINED",
  "SESSION_REPLACED",
];
/** Longest reason of a WebSocket close, in bytes (RFC 6455, section 5.5). */
const MAX_CLOSE_REASON = 123;

function codeOf(closeCode: number): ErrorCode | undefined {
  return (Object.keys(errorCodes) as ErrorCode[]).find((code) => errorCodes[code] === closeCode);
}

export class Connection {
  readonly #socket: SessionSocket;
  readonly #clock: SessionPorts["clock"];
  readonly #events: ConnectionEvents;
  #heartbeat: Heartbeat | undefined;
  #closing: Closing | undefined;
  #opened = false;
  /** Aborts when the socket is closed. */
  readonly #closed = new AbortController();
  #heard = false;

  constructor(
    { openSocket, clock }: Pick<SessionPorts, "openSocket" | "clock">,
    url: string,
    events: ConnectionEvents,
  ) {
    this.#events = events;
    this.#clock = clock;
    this.#socket = openSocket(url, {
      opened: () => {
        this.#opened = true;
        events.opened();
      },
      message: (data) => this.#receive(data),
      closed: (code, reason) => {
        this.#closed.abort();
        this.#end(this.#closingOf(code, reason));
      },
    });
  }

  /** Whether the socket ever opened. */
  get opened(): boolean {
    return this.#opened;
  }

  /** Whether the coordinator ever said anything that could be read. */
  get heard(): boolean {
    return this.#heard;
  }

  /** Why it is over; undefined while it is not. */
  get closing(): Closing | undefined {
    return this.#closing;
  }

  startHeartbeat(intervalMs: number): void {
    this.#heartbeat?.stop();
    this.#heartbeat = new Heartbeat({
      clock: this.#clock,
      intervalMs,
      ping: (nonce) => this.send({ type: "ping", nonce }),
      lost: (silentMs) =>
        this.fail(new BitswarmError("HEARTBEAT_LOST", `the coordinator has been silent for ${silentMs} ms`)),
    });
  }

  /** Sends unless the connection is over: whoever waits for an answer then sees that instead. */
  send(message: WorkerMessage): void {
    this.sendBytes(encodeMessage(message));
  }

  sendBytes(bytes: Uint8Array<ArrayBuffer>): void {
    if (!this.#closing && this.#opened) this.#socket.send(bytes);
  }

  /** Closes because of a fault on the way; what is queued is still sent. */
  fail(error: BitswarmError, retry = true): void {
    this.#close({ kind: "fault", error, retry }, error.closeCode, error.message);
  }

  /** Closes because this worker is done; resolves when the other side agreed, or after `timeoutMs`. */
  async leave(timeoutMs: number): Promise<void> {
    if (this.#closing) return;
    this.#close({ kind: "left" }, 1000, "");
    await sleep(this.#clock, timeoutMs, this.#closed.signal);
  }

  #close(closing: Closing, code: number, reason: string): void {
    if (this.#closing) return;
    // Browsers let pages send 1000 and 3000-4999 only.
    const allowed = code === 1000 || code >= 3000 ? code : errorCodes.MESSAGE_INVALID;
    this.#socket.close(allowed, clip(reason));
    this.#end(closing);
  }

  #end(closing: Closing): void {
    if (this.#closing) return;
    this.#closing = closing;
    this.#heartbeat?.stop();
    this.#events.closed();
  }

  #closingOf(closeCode: number, reason: string): Closing {
    const code = codeOf(closeCode) ?? "RUN_UNREACHABLE";
    const what = this.#opened ? "the connection was lost" : "the coordinator cannot be reached";
    const text = reason || (code === "RUN_UNREACHABLE" ? what : `closed by the coordinator: ${code}`);
    return { kind: "fault", error: new BitswarmError(code, text), retry: !finalCodes.includes(code) };
  }

  #receive(data: unknown): void {
    if (this.#closing) return;
    this.#heartbeat?.heard();
    try {
      if (!(data instanceof ArrayBuffer))
        throw new BitswarmError("MESSAGE_INVALID", "a text message came; every message is binary");
      const bytes = new Uint8Array(data);
      if (isChunk(bytes)) this.#events.chunk(bytes);
      else if (isFrame(bytes)) this.#events.frame(bytes);
      else this.#dispatch(decodeCoordinatorMessage(bytes));
      this.#heard = true;
    } catch (error) {
      if (!(error instanceof BitswarmError)) throw error;
      this.fail(error);
    }
  }

  #dispatch(message: CoordinatorMessage): void {
    switch (message.type) {
      case "ping":
        this.send({ type: "pong", nonce: message.nonce });
        return;
      case "pong":
        return;
      case "error": {
        const retry = message.retry && !finalCodes.includes(message.code);
        this.#heard = true;
        this.#close({ kind: "fault", error: new BitswarmError(message.code, message.message), retry }, 1000, "");
        return;
      }
      default:
        this.#events.message(message);
    }
  }
}

/** A text cut to what a close frame carries; counted as if every character took three bytes. */
function clip(reason: string): string {
  return reason.slice(0, Math.floor(MAX_CLOSE_REASON / 3));
}
