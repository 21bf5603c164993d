// One WebSocket of a worker from opening to closing: says hello, keeps the heartbeat, and remembers why it ended. What
// is said over it is the session's business, which outlives it.

import type { Clock } from "../../shared/base/clock.ts";
import { BitswarmError, type ErrorCode } from "../../shared/base/errors.ts";
import { isChunk } from "../../shared/wire/chunk.ts";
import { isFrame } from "../../shared/wire/frame.ts";
import {
  type ChallengeMessage,
  type CoordinatorMessage,
  decodeWorkerMessage,
  encodeMessage,
  type HelloMessage,
  helloProtocol,
  PROTOCOL_VERSION,
  type WorkerMessage,
} from "../../shared/wire/protocol.ts";
import { addTokens, fullBucket, type TokenBucket, takeToken } from "../base/token-bucket.ts";
import type { LeaveCode } from "../engine/leave-code.ts";
import type { Traffic, TrafficClass } from "../engine/traffic.ts";
import { closeInWords } from "./close-words.ts";
import { type Beat, firstBeat, nextBeat } from "./heartbeat.ts";
import { BASE_COST, EARNED_BY_CHUNK, EARNED_BY_PING } from "./message-costs.ts";
import type { TurnBudget } from "./paced-messages.ts";
import { PacedMessages, type RawMessage } from "./paced-messages.ts";
import { type PeerSocket, SOCKET_OPEN } from "./peer-socket.ts";
import type { SessionLimits } from "./session-limits.ts";

export interface ConnectionOptions {
  readonly clock: Clock;
  readonly limits: SessionLimits;
  readonly heartbeatMs: number;
  /** The peer's. */
  readonly address: string;
  /** Bytes that the socket has received so far: a long message on its way is a sign of life. */
  readonly received: () => number;
  readonly traffic: Traffic;
  /** What all connections together may take in during one turn of the event loop. */
  readonly turns: TurnBudget;
}

/** Who a connection speaks for, once it has said hello. */
export interface ConnectionOwner {
  /** @throws BitswarmError, which closes the connection with its code */
  receive(connection: Connection, bytes: Uint8Array): void;
  /** Called at each heartbeat. @throws BitswarmError, which closes the connection with its code */
  beat(): void;
  /** Called once, when the connection is over. */
  lost(connection: Connection, code: LeaveCode, message: string): void;
}

/** Who a connection speaks to until it has joined. */
export interface Reception {
  /** What a hello is to sign. @throws RATE_LIMITED, TOKEN_INVALID, TOO_MANY_WORKERS, RUN_ENDED */
  challenge(connection: Connection, hello: HelloMessage): ChallengeMessage;
  /**
   * Finds or makes the session of whoever holds the hello's key; it then owns the connection.
   * @throws IDENTITY_INVALID, TOO_MANY_WORKERS, RUN_ENDED
   */
  admit(connection: Connection, hello: HelloMessage, challenge: ChallengeMessage, signature: string): ConnectionOwner;
  /** Called once for every connection, with whether it had joined. */
  gone(connection: Connection, joined: boolean, code: LeaveCode, message: string): void;
}

type State =
  | { readonly kind: "awaiting-hello" }
  /** Has named its key and not shown yet that it holds it. */
  | { readonly kind: "awaiting-proof"; readonly hello: HelloMessage; readonly challenge: ChallengeMessage }
  | { readonly kind: "joined"; readonly owner: ConnectionOwner }
  | { readonly kind: "closed" };

/** Codes after which the same worker would be turned away again. */
const finalCodes: readonly ErrorCode[] = [
  "TOKEN_INVALID",
  "PROTOCOL_MISMATCH",
  "RUN_ENDED",
  "WORKER_DRAINED",
  "MESSAGE_INVALID",
  "IDENTITY_INVALID",
  "CALIBRATION_FAILED",
  "SESSION_REPLACED",
  "DATA_MISMATCH",
];
/** Longest reason of a WebSocket close, in bytes (RFC 6455, section 5.5). */
const MAX_CLOSE_REASON = 123;
/** Close codes with which a worker says goodbye: its own, and a browser's for a tab that is closed. */
const goodbyes: readonly number[] = [1000, 1001];
/** Weight of the newest measurement in the moving average of the round trip. */
const RTT_WEIGHT = 0.25;
/** Messages of one socket that may wait for their turn: several times what any worker has to say at once. */
export const MESSAGES_AT_MOST = 256;
/** Messages that may come after the last word, before the socket is cut: those that crossed it on the wire. */
export const MESSAGES_AFTER_END = 64;

export class Connection {
  readonly #socket: PeerSocket;
  /** Of the other end. */
  readonly address: string;
  readonly #reception: Reception;
  readonly #options: ConnectionOptions;
  readonly #stopHello: () => void;
  #stopHeartbeat = () => {};
  #state: State = { kind: "awaiting-hello" };
  readonly #messages: PacedMessages;
  #messagesAfterEnd = 0;
  readonly #bytes = { down: 0, up: 0 };
  #allowance: TokenBucket;
  /** When the last message was here, whole. */
  #messageAt: number;
  /** When the pings that are not answered were sent, by nonce. */
  readonly #pings = new Map<number, number>();
  #rttMs: number | undefined;

  constructor(socket: PeerSocket, reception: Reception, options: ConnectionOptions) {
    this.#socket = socket;
    this.address = options.address;
    this.#reception = reception;
    this.#options = options;
    const { helloMs, messageRate } = options.limits;
    this.#allowance = fullBucket(options.clock.now(), messageRate);
    this.#messageAt = options.clock.now();
    this.#stopHello = options.clock.after(helloMs, () => {
      const what = this.#state.kind === "awaiting-proof" ? "proof of the key" : "hello";
      this.fail(new BitswarmError("HELLO_EXPECTED", `no ${what} came within ${helloMs} ms of the connection`));
    });
    const take = (message: RawMessage) => this.#receive(message);
    this.#messages = new PacedMessages({ budget: options.turns, take, source: socket });
    // The server leaves `binaryType` at "nodebuffer": one Buffer a message.
    socket.on("message", (data, isBinary) => this.#arrived({ bytes: data as Buffer, isBinary }));
    const beside = () => this.#guarded(() => this.spend(BASE_COST));
    socket.on("ping", beside);
    socket.on("pong", beside);
    // What came before is taken in first; meanwhile nobody is waited for.
    socket.on("error", (error) => {
      this.#cutSoon();
      this.#messages.whenTaken(() => this.#broken(error));
    });
    socket.on("close", (code) => {
      const text = closeInWords(code);
      this.#messages.whenTaken(() => this.#end(goodbyes.includes(code) ? "LEFT" : "GONE", text));
    });
  }

  get #over(): boolean {
    return this.#state.kind === "closed";
  }

  /** Moving average of the time from a ping to its pong, in ms; undefined before the first. */
  get rttMs(): number | undefined {
    return this.#rttMs;
  }

  /** What it carried. */
  get bytes(): { readonly down: number; readonly up: number } {
    return this.#bytes;
  }

  /** Bytes that were sent and have not left this machine. */
  get waitingBytes(): number {
    return this.#socket.bufferedAmount;
  }

  send(message: CoordinatorMessage): void {
    this.put(encodeMessage(message));
  }

  /** Sends unless the connection is over. A worker that does not read what it asked for is let go. */
  put(bytes: Uint8Array<ArrayBuffer>, of: TrafficClass = "control"): void {
    if (this.#state.kind === "closed") return;
    const limit = this.#options.limits.backlogBytes;
    const waiting = this.#socket.bufferedAmount;
    if (waiting <= limit) {
      if (this.#socket.readyState !== SOCKET_OPEN) return;
      this.#options.traffic.count("down", of, bytes.length);
      this.#bytes.down += bytes.length;
      if (isChunk(bytes)) this.earn(EARNED_BY_CHUNK);
      this.#socket.send(bytes, { binary: true });
      return;
    }
    // Nothing that is said now would arrive.
    this.#socket.terminate();
    this.#end("HEARTBEAT_LOST", `the worker does not read: ${waiting} bytes wait, the limit is ${limit}`);
  }

  /** Says what is wrong and closes with the code's close code. */
  fail(error: BitswarmError): void {
    const { code, message, closeCode } = error;
    if (this.#state.kind === "closed") return;
    this.send({ type: "error", code, message, retry: !finalCodes.includes(code) });
    this.close(closeCode, message, code);
  }

  /** Closes without a word. */
  close(closeCode: number, reason: string, code: LeaveCode = "LEFT"): void {
    if (this.#state.kind === "closed") return;
    let short = Buffer.from(reason).subarray(0, MAX_CLOSE_REASON).toString();
    while (Buffer.byteLength(short) > MAX_CLOSE_REASON) short = short.slice(0, -1);
    this.#socket.close(closeCode, short);
    this.#cutSoon();
    this.#end(code, reason);
  }

  /** Cuts the socket at once, without a word. */
  drop(code: LeaveCode, reason: string): void {
    this.#socket.terminate();
    this.#end(code, reason);
  }

  /** Takes a pong. One that answers no ping of ours says nothing. */
  answered(nonce: number): void {
    const sentAt = this.#pings.get(nonce);
    if (sentAt === undefined) return;
    this.#pings.delete(nonce);
    const rttMs = this.#options.clock.now() - sentAt;
    this.#rttMs = this.#rttMs === undefined ? rttMs : this.#rttMs + RTT_WEIGHT * (rttMs - this.#rttMs);
  }

  /** What is left of what the worker may say. */
  get allowance(): TokenBucket {
    return this.#allowance;
  }

  /** Goes on with what was left over another connection of the same session: a fresh one brings nothing in. */
  adopt(allowance: TokenBucket): void {
    this.#allowance = allowance;
  }

  /** Adds to what the worker may say: it has been given something to answer. */
  earn(tokens: number): void {
    this.#allowance = addTokens(this.#allowance, this.#options.limits.messageRate, tokens);
  }

  /** Takes what a message costs. @throws RATE_LIMITED */
  spend(cost: number): void {
    const { clock, limits } = this.#options;
    const taken = takeToken(this.#allowance, clock.now(), limits.messageRate, cost);
    this.#allowance = taken.bucket;
    if (taken.kind === "taken") return;
    const { perSecond, burst } = limits.messageRate;
    throw new BitswarmError(
      "RATE_LIMITED",
      `more control messages came than ${perSecond} tokens a second allow, after ${burst} at once (a ping costs one, a ready four); come back in ${taken.retryMs} ms or later, and send fewer`,
    );
  }

  /** Whatever the other end does: neither its words nor its silence keep the socket longer than this. */
  #cutSoon(): void {
    this.#options.clock.after(this.#options.limits.closeMs, () => this.#socket.terminate());
  }

  /** The ws package closes a connection that breaks RFC 6455 or its size limit by itself; this gives it our name. */
  #broken(error: Error & { readonly code?: string }): void {
    if (error.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH") {
      this.#end("FRAME_TOO_LARGE", `a message is larger than a chunk (${error.message})`);
    } else this.#end(error.code?.startsWith("WS_ERR_") ? "MESSAGE_INVALID" : "GONE", error.message);
  }

  #end(code: LeaveCode, message: string): void {
    const before = this.#state;
    if (before.kind === "closed") return;
    this.#state = { kind: "closed" };
    this.#stopHello();
    this.#stopHeartbeat();
    this.#messages.drop();
    this.#reception.gone(this, before.kind === "joined", code, message);
    if (before.kind === "joined") before.owner.lost(this, code, message);
  }

  /** What a peer caused closes the connection with its code; anything else is a bug. */
  #guarded(act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof BitswarmError)) throw error;
      this.fail(error);
    }
  }

  /** Counts a message before it waits for its turn, so that no more wait than may be said. */
  #arrived(message: RawMessage): void {
    if (this.#over) {
      if (++this.#messagesAfterEnd > MESSAGES_AFTER_END) this.#socket.terminate();
      return;
    }
    const { bytes, isBinary } = message;
    this.#guarded(() => {
      if (!isBinary || !(isFrame(bytes) || isChunk(bytes))) this.spend(BASE_COST);
      const { held } = this.#messages;
      if (held < MESSAGES_AT_MOST) return;
      const what = `${held} messages wait to be taken in, the limit is ${MESSAGES_AT_MOST}; wait for what is answered`;
      throw new BitswarmError("RATE_LIMITED", what);
    });
    if (!this.#over) this.#messages.receive(message);
  }

  #receive({ bytes, isBinary }: RawMessage): void {
    if (this.#state.kind === "closed") return;
    this.#messageAt = this.#options.clock.now();
    this.#guarded(() => {
      if (!isBinary) throw new BitswarmError("MESSAGE_INVALID", "a text message came; every message is binary");
      const bulk = this.#state.kind === "joined" && (isFrame(bytes) || isChunk(bytes));
      this.#options.traffic.count("up", bulk ? "contributions" : "control", bytes.length);
      this.#bytes.up += bytes.length;
      if (!bulk) this.#requireShort(bytes);
      switch (this.#state.kind) {
        case "awaiting-hello":
          this.#greet(bytes);
          break;
        case "awaiting-proof":
          this.#join(this.#state, decodeWorkerMessage(bytes));
          break;
        case "joined":
          this.#state.owner.receive(this, bytes);
          break;
        case "closed":
          break;
        default:
          this.#state satisfies never;
      }
    });
  }

  /** @throws FRAME_TOO_LARGE */
  #requireShort({ length }: Uint8Array): void {
    const { messageBytes } = this.#options.limits;
    if (length <= messageBytes) return;
    const what = `a control message has ${length} bytes; the limit is ${messageBytes}`;
    throw new BitswarmError("FRAME_TOO_LARGE", what);
  }

  #greet(bytes: Uint8Array): void {
    const protocol = helloProtocol(bytes);
    if (protocol === undefined) throw new BitswarmError("HELLO_EXPECTED", "the first message must be a hello");
    if (protocol !== PROTOCOL_VERSION) {
      throw new BitswarmError(
        "PROTOCOL_MISMATCH",
        `the worker speaks protocol ${protocol}, this coordinator ${PROTOCOL_VERSION}; reload the page or update the older side`,
      );
    }
    const hello = decodeWorkerMessage(bytes);
    if (hello.type !== "hello")
      throw new BitswarmError("HELLO_EXPECTED", `the first message must be a hello; got ${hello.type}`);
    const challenge = this.#reception.challenge(this, hello);
    this.#state = { kind: "awaiting-proof", hello, challenge };
    this.send(challenge);
  }

  #join({ hello, challenge }: Extract<State, { kind: "awaiting-proof" }>, message: WorkerMessage): void {
    if (message.type !== "proof") {
      throw new BitswarmError("HELLO_EXPECTED", `the second message must be a proof of the key; got ${message.type}`);
    }
    const owner = this.#reception.admit(this, hello, challenge, message.signature);
    this.#stopHello();
    // Sending the welcome may already have shown that nobody reads it.
    if (this.#state.kind === "closed") {
      owner.lost(this, "GONE", "the connection was lost at its welcome");
      return;
    }
    this.#state = { kind: "joined", owner };
    this.#startHeartbeat(owner);
  }

  #startHeartbeat(owner: ConnectionOwner): void {
    const { clock, heartbeatMs, limits, received } = this.#options;
    const pulse = () => ({ receivedBytes: received(), messageAt: this.#messageAt });
    let beat: Beat | undefined;
    let nonce = 0;
    this.#stopHeartbeat = clock.every(heartbeatMs, () => {
      const now = clock.now();
      this.#guarded(() => {
        beat = beat ? nextBeat(now, beat, pulse(), { ...limits, heartbeatMs }) : firstBeat(now, pulse());
        owner.beat();
        // Pings that were not answered by now are not waited for.
        if (this.#pings.size >= limits.missedPings) this.#pings.clear();
        this.#pings.set(nonce, now);
        this.earn(EARNED_BY_PING);
        this.send({ type: "ping", nonce: nonce++ });
      });
    });
  }
}
