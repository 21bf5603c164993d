// One worker's connection: a state for each thing it may do next, everything else closes it with a code (SPEC.md, S).

import type { RawData } from "ws";
import { BitswarmError, type ErrorCode } from "../shared/errors.ts";
import { isFrame } from "../shared/frame.ts";
import { type LeaseId, leaseId, type WorkerId } from "../shared/ids.ts";
import {
  type CancelReason,
  type CoordinatorMessage,
  decodeWorkerMessage,
  encodeMessage,
  helloProtocol,
  PROTOCOL_VERSION,
  type WorkerMessage,
} from "../shared/protocol.ts";
import type { Clock } from "./clock.ts";
import type { ParametersUpdate } from "./downlink.ts";
import { type PeerSocket, SOCKET_OPEN } from "./peer-socket.ts";
import type { Refusal } from "./round-state.ts";
import { SentParameters } from "./sent-parameters.ts";
import type { SessionLimits } from "./session-limits.ts";
import type { Activity, Joined, LeaveCode, SessionHouse, SessionState } from "./session-state.ts";
import type { Traffic, TrafficClass } from "./traffic.ts";
import { fullBucket, type TokenBucket, takeToken } from "./trust/token-bucket.ts";

export interface SessionOptions {
  readonly clock: Clock;
  readonly limits: SessionLimits;
  readonly heartbeatMs: number;
  /** Bytes that the socket has received so far: a long frame on its way is a sign of life. */
  readonly received: () => number;
  readonly traffic: Traffic;
}

/** Codes after which the same worker would be turned away again. */
const finalCodes: readonly ErrorCode[] = [
  "TOKEN_INVALID",
  "PROTOCOL_MISMATCH",
  "RUN_ENDED",
  "MESSAGE_INVALID",
  "IDENTITY_INVALID",
  "CALIBRATION_FAILED",
];
/** Longest reason of a WebSocket close, in bytes (RFC 6455, section 5.5). */
const MAX_CLOSE_REASON = 123;
const GOING_AWAY = 1001;
/** Leases of one worker: the one that it computes, and the one that it goes on with. */
const LEASES_HELD = 2;

export class Session {
  readonly #socket: PeerSocket;
  readonly #house: SessionHouse;
  readonly #options: SessionOptions;
  readonly #stopHello: () => void;
  #stopHeartbeat = () => {};
  #state: SessionState = { kind: "awaiting-hello" };
  #allowance: TokenBucket;
  readonly #sent = new SentParameters();
  #largestSent = 0;

  constructor(socket: PeerSocket, house: SessionHouse, options: SessionOptions) {
    this.#socket = socket;
    this.#house = house;
    this.#options = options;
    const { helloMs, messageRate } = options.limits;
    this.#allowance = fullBucket(options.clock.now(), messageRate);
    this.#stopHello = options.clock.after(helloMs, () => {
      const what = this.#state.kind === "awaiting-proof" ? "proof of the key" : "hello";
      this.fail(new BitswarmError("HELLO_EXPECTED", `no ${what} came within ${helloMs} ms of the connection`));
    });
    socket.on("message", (data, isBinary) => this.#receive(data, isBinary));
    socket.on("error", (error) => this.#broken(error));
    socket.on("close", (code) => this.#end("GONE", `the socket closed with code ${code}`));
  }

  get state(): SessionState {
    return this.#state;
  }

  /** Sends unless the session is over. A worker that does not read what it asked for is let go. */
  send(message: CoordinatorMessage): void {
    this.#sendBytes(encodeMessage(message));
  }

  /** Sends a status, which is worth nothing to a worker that is behind already. */
  sendStatus(bytes: Uint8Array): void {
    if (this.#state.kind === "joined" && this.#socket.bufferedAmount === 0) this.#sendBytes(bytes);
  }

  /** Sends the parameters, once per set and hash, then the lease. */
  lease(message: Extract<CoordinatorMessage, { type: "lease" }>, parameters: readonly ParametersUpdate[]): void {
    this.#sendParameters(parameters.flatMap((update) => this.#sent.framesFor(update)));
    this.#become({ kind: "leased", leases: [...this.#leases(), leaseId(message.lease)], waiting: false });
    this.send(message);
  }

  #sendParameters(frames: readonly Uint8Array[]): void {
    const bytes = frames.reduce((sum, frame) => sum + frame.length, 0);
    this.#largestSent = Math.max(this.#largestSent, bytes);
    for (const frame of frames) this.#sendBytes(frame, "parameters");
  }

  accepted(lease: LeaseId, samples: number): void {
    this.#sent.useful();
    this.#release(lease, 0);
    this.send({ type: "accepted", lease, samples });
  }

  rejected(lease: LeaseId, { code, message }: Refusal): void {
    // A late answer to another lease leaves those in hand alone.
    this.#release(lease);
    this.send({ type: "rejected", lease, code, message });
    // Being late is no fault: the lease was sized by somebody else.
    if (code !== "CONTRIBUTION_STALE") this.#failed(code, message);
  }

  /** Takes a lease away. */
  cancelled(lease: LeaseId, reason: CancelReason): void {
    this.#release(lease);
    this.send({ type: "cancel", lease, reason });
  }

  /** Says that the run is over and closes. */
  ended(message: string): void {
    this.send({ type: "ended", message });
    this.fail(new BitswarmError("RUN_ENDED", message));
  }

  /** Closes because the coordinator goes, perhaps to come back. */
  goAway(): void {
    this.#close(GOING_AWAY, "the coordinator stops");
    this.#end("GONE", "the coordinator stops");
  }

  /** Says what is wrong and closes with the code's close code. */
  fail(error: BitswarmError): void {
    const { code, message, closeCode } = error;
    if (this.#state.kind === "closed") return;
    this.#put(encodeMessage({ type: "error", code, message, retry: !finalCodes.includes(code) }));
    this.#close(closeCode, message);
    this.#end(code, message);
  }

  #become(activity: Activity, failures?: number): void {
    if (this.#state.kind !== "joined") return;
    this.#state = { ...this.#state, activity, failures: failures ?? this.#state.failures };
  }

  /** Leases in hand, the oldest first. */
  #leases(): readonly LeaseId[] {
    const state = this.#state;
    return state.kind === "joined" && state.activity.kind === "leased" ? state.activity.leases : [];
  }

  /** The lease is over; one that is not in hand changes nothing. */
  #release(lease: LeaseId, failures?: number): void {
    const state = this.#state;
    if (state.kind !== "joined" || state.activity.kind !== "leased") return;
    const { waiting } = state.activity;
    const leases = state.activity.leases.filter((held) => held !== lease);
    if (leases.length > 0) this.#become({ kind: "leased", leases, waiting }, failures);
    else this.#become({ kind: waiting ? "waiting" : "idle" }, failures);
  }

  #failed(code: ErrorCode, message: string): void {
    const state = this.#state;
    if (state.kind !== "joined") return;
    const failures = state.failures + 1;
    this.#state = { ...state, failures };
    const limit = this.#options.limits.failures;
    if (failures < limit) return;
    this.fail(
      new BitswarmError(
        code,
        `${failures} leases in a row came to nothing, the limit is ${limit}; the last: ${message}`,
      ),
    );
  }

  #sendBytes(bytes: Uint8Array, of: TrafficClass = "control"): void {
    if (this.#state.kind !== "joined") return;
    const limit = this.#options.limits.backlogBytes + 2 * this.#largestSent;
    const waiting = this.#socket.bufferedAmount;
    if (waiting <= limit) {
      this.#put(bytes, of);
      return;
    }
    // Nothing that is said now would arrive.
    this.#end("HEARTBEAT_LOST", `the worker does not read: ${waiting} bytes wait, the limit is ${limit}`);
    this.#socket.terminate();
  }

  #put(bytes: Uint8Array, of: TrafficClass = "control"): void {
    if (this.#socket.readyState !== SOCKET_OPEN) return;
    this.#options.traffic.count("down", of, bytes.length);
    this.#socket.send(bytes, { binary: true });
  }

  #close(code: number, reason: string): void {
    let short = Buffer.from(reason).subarray(0, MAX_CLOSE_REASON).toString();
    while (Buffer.byteLength(short) > MAX_CLOSE_REASON) short = short.slice(0, -1);
    this.#socket.close(code, short);
    this.#options.clock.after(this.#options.limits.closeMs, () => this.#socket.terminate());
  }

  /** The ws package closes a connection that breaks RFC 6455 or its size limit by itself; this gives it our name. */
  #broken(error: Error & { readonly code?: string }): void {
    if (error.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH") {
      this.#end("FRAME_TOO_LARGE", `a message is larger than any contribution of this run (${error.message})`);
    } else this.#end(error.code?.startsWith("WS_ERR_") ? "MESSAGE_INVALID" : "GONE", error.message);
  }

  #end(code: LeaveCode, message: string): void {
    const before = this.#state;
    if (before.kind === "closed") return;
    this.#state = { kind: "closed", code, message };
    this.#stopHello();
    this.#stopHeartbeat();
    this.#house.left(before.kind === "joined" ? before.worker : null, code, message);
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (this.#state.kind === "closed") return;
    try {
      if (!isBinary) throw new BitswarmError("MESSAGE_INVALID", "a text message came; every message is binary");
      // The server leaves `binaryType` at "nodebuffer": one Buffer a message.
      const bytes = data as Buffer;
      const { messageBytes } = this.#options.limits;
      const { traffic } = this.#options;
      if (this.#state.kind === "joined" && isFrame(bytes)) {
        traffic.count("up", "contributions", bytes.length);
        this.#house.contribution(this.#state.worker, bytes);
        return;
      }
      traffic.count("up", "control", bytes.length);
      this.#spend();
      if (bytes.length > messageBytes) {
        const what = `a control message has ${bytes.length} bytes; the limit is ${messageBytes}`;
        throw new BitswarmError("FRAME_TOO_LARGE", what);
      }
      switch (this.#state.kind) {
        case "awaiting-hello":
          this.#greet(bytes);
          break;
        case "awaiting-proof":
          this.#welcome(this.#state, decodeWorkerMessage(bytes));
          break;
        case "joined":
          this.#obey(this.#state, decodeWorkerMessage(bytes));
          break;
        default:
          this.#state satisfies never;
      }
    } catch (error) {
      if (!(error instanceof BitswarmError)) throw error;
      this.fail(error);
    }
  }

  /** Counts a control message. @throws RATE_LIMITED */
  #spend(): void {
    const { clock, limits } = this.#options;
    const taken = takeToken(this.#allowance, clock.now(), limits.messageRate);
    this.#allowance = taken.bucket;
    if (taken.kind === "taken") return;
    const { perSecond, burst } = limits.messageRate;
    throw new BitswarmError(
      "RATE_LIMITED",
      `more than ${perSecond} control messages a second came, after ${burst} at once; come back in ${taken.retryMs} ms or later, and send fewer`,
    );
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
    const challenge = this.#house.challenge(hello);
    this.#state = { kind: "awaiting-proof", hello, challenge };
    this.#put(encodeMessage(challenge));
  }

  #welcome({ hello, challenge }: Extract<SessionState, { kind: "awaiting-proof" }>, message: WorkerMessage): void {
    if (message.type !== "proof") {
      throw new BitswarmError("HELLO_EXPECTED", `the second message must be a proof of the key; got ${message.type}`);
    }
    const welcome = this.#house.admit(hello, challenge, message.signature);
    const worker = welcome.worker as WorkerId;
    this.#stopHello();
    this.#sent.claim(hello.holds ?? {});
    this.#state = { kind: "joined", worker, activity: { kind: "idle" }, failures: 0 };
    this.#startHeartbeat();
    this.send(welcome);
    this.#house.joined(worker, hello);
  }

  /** @throws MESSAGE_INVALID for more than one lease at a time, or one ahead */
  #wait(activity: Activity, ahead: boolean): void {
    const leases = this.#leases();
    if (activity.kind !== "leased") {
      this.#become({ kind: "waiting" });
      return;
    }
    if (!ahead || leases.length >= LEASES_HELD) {
      throw new BitswarmError(
        "MESSAGE_INVALID",
        `ready${ahead ? " ahead" : ""} came while ${leases.length === 1 ? "lease" : "leases"} ${leases.join(" and ")} ${leases.length === 1 ? "is" : "are"} held; answer or return one first`,
      );
    }
    this.#become({ kind: "leased", leases, waiting: true });
  }

  #startHeartbeat(): void {
    const { clock, heartbeatMs, limits, received } = this.#options;
    let before = received();
    let missed = 0;
    let nonce = 0;
    this.#stopHeartbeat = clock.every(heartbeatMs, () => {
      const now = received();
      missed = now === before && nonce > 0 ? missed + 1 : 0;
      before = now;
      if (missed >= limits.missedPings) {
        const what = `not a byte came in answer to ${missed} pings, one every ${heartbeatMs} ms`;
        this.fail(new BitswarmError("HEARTBEAT_LOST", what));
      } else this.send({ type: "ping", nonce: nonce++ });
    });
  }

  #obey({ worker, activity }: Joined, message: WorkerMessage): void {
    switch (message.type) {
      case "hello":
      case "proof":
        throw new BitswarmError("MESSAGE_INVALID", `a second ${message.type} came; one a connection is due`);
      case "canary-answer":
        this.#house.canaryAnswered(worker, message);
        break;
      case "ready":
        this.#wait(activity, message.ahead ?? false);
        this.#house.ready(worker, message);
        break;
      case "need":
        this.#sendParameters(this.#sent.whole(message.set));
        break;
      case "return":
        // One that expired meanwhile, or crossed a pause on the wire, is nobody's any more.
        if (!this.#leases().some((held) => held === message.lease)) break;
        this.#release(leaseId(message.lease));
        this.#house.returned(worker, message);
        if (message.reason === "error") this.#failed("COMPUTE_FAILED", message.detail);
        if (message.reason === "not-finite") this.#failed("GRADIENT_NOT_FINITE", message.detail);
        break;
      case "paused":
        this.#become({ kind: "paused" });
        this.#house.paused(worker);
        break;
      case "leave":
        this.#close(1000, "goodbye");
        this.#end("LEFT", "the volunteer left");
        break;
      case "ping":
        this.send({ type: "pong", nonce: message.nonce });
        break;
      case "pong":
        break;
      default:
        message satisfies never;
    }
  }
}
