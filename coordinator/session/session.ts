// A worker's membership of a run: what it may do next, what it holds and what is on its way to and from it. It outlives
// connections: a worker that comes back with the session's token goes on where it was (SPEC.md, S and T).

import { BitswarmError, type ErrorCode, type Refusal } from "../../shared/base/errors.ts";
import { type LeaseId, leaseId, type WorkerId } from "../../shared/base/ids.ts";
import { isChunk } from "../../shared/wire/chunk.ts";
import { isFrame } from "../../shared/wire/frame.ts";
import {
  type CancelReason,
  type CoordinatorMessage,
  decodeWorkerMessage,
  type HelloMessage,
  type LeaseMessage,
  type OfferMessage,
  type WorkerMessage,
} from "../../shared/wire/protocol.ts";
import { fullBucket, type TokenBucket, takeToken } from "../base/token-bucket.ts";
import type { HeldChunks, Inbox, ReturnedLease, Wish } from "../engine/inbox.ts";
import type { LeaveCode } from "../engine/leave-code.ts";
import type { OnRunEvent } from "../engine/run-event.ts";
import type { ParameterVersion } from "../training/parameter-version.ts";
import type { Newcomers } from "../trust/newcomers.ts";
import { type Activity, asked, isHolding, isWaiting, leasesOf, withLease, withoutLease } from "./activity.ts";
import { ChecksInFlight } from "./checks-in-flight.ts";
import type { Connection, ConnectionOwner } from "./connection.ts";
import { BASE_COST, EARNED_BY_LEASE, messageCosts } from "./message-costs.ts";
import { SessionTransfers, type TransferOptions } from "./session-transfers.ts";
import { type Verdict, Verdicts } from "./verdicts.ts";

type Resume = NonNullable<HelloMessage["resume"]>;

export interface SessionOptions extends TransferOptions {
  readonly inbox: Inbox;
  /** Keep what a worker wishes from the inbox until its canary is right. */
  readonly newcomers: Pick<Newcomers, "answer" | "whenCleared">;
  readonly onEvent: OnRunEvent;
  /** Its account wants to be seen on the run's board under a nickname, or not at all. */
  readonly onListed: (nickname: string | null) => void;
  /** Of the training split, of which workers say what they hold. */
  readonly chunks: number;
  /** Whether those who lost their connection are waited for. */
  readonly patient: () => boolean;
  /** Called once, before the engine is told. */
  readonly over: (worker: WorkerId) => void;
}

const GOING_AWAY = 1001;
/** Losses of a connection after which the session waits for its worker to come back. */
const resumableCodes: readonly LeaveCode[] = ["GONE", "HEARTBEAT_LOST", "TRANSFER_STALLED"];
/** What a chunk is called that the way has spoilt. */
const damage: readonly ErrorCode[] = ["FRAME_CORRUPT", "FRAME_TRUNCATED"];

export class Session implements ConnectionOwner {
  readonly worker: WorkerId;
  readonly #options: SessionOptions;
  readonly #transfers: SessionTransfers;
  #connection: Connection | undefined;
  #over = false;
  #activity: Activity = { kind: "idle" };
  /**
   * What it asked for when it held as many leases as it may: perhaps a lease or a verdict crossed its word on the wire.
   */
  #deferred: Wish | undefined;
  /** Leases in a row that came to nothing by the worker's fault, and chunks that came damaged. */
  #failures = 0;
  readonly #checks = new ChecksInFlight();
  readonly #verdicts = new Verdicts();
  /** The connection's end is no reason to end the session, whatever its code. */
  #forgiven = false;
  #stopGrace = () => {};
  #returns: TokenBucket;
  /** What was left of its messages when its last connection was lost. */
  #allowance: TokenBucket | undefined;
  /** Bytes of its connections that are over. */
  #carried = { down: 0, up: 0 };

  constructor(worker: WorkerId, options: SessionOptions) {
    this.worker = worker;
    this.#options = options;
    this.#returns = fullBucket(options.clock.now(), options.limits.resumeRate);
    this.#transfers = new SessionTransfers(options);
  }

  /** What is measured of it. */
  get vitals() {
    const { rttMs, waitingBytes = 0, bytes = { down: 0, up: 0 } } = this.#connection ?? {};
    const { down, up } = this.#carried;
    return {
      connected: this.#connection !== undefined,
      rttMs,
      waitingBytes,
      uploadBytes: this.#transfers.uploadBytes,
      bytes: { down: down + bytes.down, up: up + bytes.up },
    };
  }

  /** Speaks over a fresh connection from now on, first these words. */
  attach(connection: Connection, welcome: CoordinatorMessage): void {
    this.#carry();
    this.#connection = connection;
    this.#stopGrace();
    connection.send(welcome);
    this.#transfers.attach(connection);
  }

  /** Adds what the connection at hand carried, which is over. */
  #carry(): void {
    const { down = 0, up = 0 } = this.#connection?.bytes ?? {};
    this.#carried = { down: this.#carried.down + down, up: this.#carried.up + up };
  }

  /** Counts a worker that would come back, before it shows that it is the same. @throws RATE_LIMITED */
  countReturn(): void {
    const { clock, limits } = this.#options;
    const taken = takeToken(this.#returns, clock.now(), limits.resumeRate);
    this.#returns = taken.bucket;
    if (taken.kind === "taken") return;
    const { perSecond, burst } = limits.resumeRate;
    const often = `more often than ${perSecond} times a second, after ${burst} at once`;
    const seconds = Math.ceil(taken.retryMs / 1000);
    throw new BitswarmError("RATE_LIMITED", `the session was resumed ${often}; come back in ${seconds} s or later`);
  }

  /** Goes on with a worker that came back; an older connection that still stands gives way. */
  resume(connection: Connection, { leases }: Resume, holds: HelloMessage["holds"] = {}): void {
    const older = this.#connection;
    const held = leasesOf(this.#activity);
    // Those that are still on their way to the worker are its leases too.
    const theirs = held.filter((lease) => leases.includes(lease) || this.#transfers.undelivered(lease));
    this.#transfers.detach();
    const gone = this.#transfers.reconcile(holds);
    const kept = theirs.filter((lease) => !gone.includes(lease));
    const waiting = isWaiting(this.#activity) || this.#deferred !== undefined;
    const allowance = older?.allowance ?? this.#allowance;
    if (allowance) connection.adopt(allowance);
    this.attach(connection, { type: "resumed", worker: this.worker, leases: kept, waiting });
    older?.fail(new BitswarmError("SESSION_REPLACED", "the worker came back over another connection"));
    this.#options.inbox.resume(this.worker);
    for (const lease of leases) if (!isHolding(this.#activity, lease)) this.send(this.#verdicts.of(lease));
    const detail = "the worker came back without it";
    for (const lease of held) {
      if (!kept.includes(lease)) this.#return(lease, { reason: "leave", detail });
    }
  }

  send(message: CoordinatorMessage): void {
    this.#connection?.send(message);
  }

  /** Sends a status, which is worth nothing to a worker that is behind already. */
  sendStatus(bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#connection?.waitingBytes === 0) this.#connection.put(bytes);
  }

  /** Takes the worker's word for the parameters that it holds from a session before. */
  claim(holds: HelloMessage["holds"] = {}): void {
    this.#transfers.reconcile(holds);
  }

  /** Sends the parameters, once per set and hash, then the lease. */
  lease(lease: LeaseMessage, parameters: readonly ParameterVersion[]): void {
    this.#activity = withLease(this.#activity, leaseId(lease.lease));
    this.#verdicts.granted(lease.lease);
    this.#transfers.deliver({ lease, parameters });
  }

  accepted(lease: LeaseId, samples: number): void {
    this.#failures = 0;
    this.#transfers.useful();
    this.#connection?.earn(EARNED_BY_LEASE);
    this.#release(lease);
    this.#give({ type: "accepted", lease, samples });
    this.#askDeferred();
  }

  rejected(lease: LeaseId, { code, message }: Refusal): void {
    // A late answer to another lease leaves those in hand alone.
    this.#release(lease);
    this.#give({ type: "rejected", lease, code, message });
    // Being late is no fault: the lease was sized by somebody else. Being late twice is.
    if (code !== "CONTRIBUTION_STALE" || !this.#verdicts.forgivesLate(lease)) this.#failed(code, message);
    this.#askDeferred();
  }

  /** Takes a lease away. */
  cancelled(lease: LeaseId, reason: CancelReason): void {
    this.#connection?.earn(EARNED_BY_LEASE);
    this.#release(lease);
    this.#transfers.dropUpload(lease);
    if (this.#transfers.withdraw(lease)) {
      // It never came to the worker, which still waits for one.
      this.#ask({ ahead: leasesOf(this.#activity).length > 0 });
      return;
    }
    this.#give({ type: "cancel", lease, reason });
    this.#askDeferred();
  }

  /** Says that the run is over, after how it stands then, and closes. */
  ended(message: string, status?: Uint8Array<ArrayBuffer>): void {
    if (status) this.#connection?.put(status);
    this.send({ type: "ended", message });
    this.fail(new BitswarmError("RUN_ENDED", message));
  }

  /** Waits no longer for a worker that has lost its connection. */
  hurry(): void {
    if (!this.#connection) this.#end("GONE", "its connection was lost, and the run stops");
  }

  /** Closes because the coordinator goes, perhaps to come back. */
  goAway(): void {
    const message = "the coordinator stops";
    const connection = this.#connection;
    this.#end("GONE", message);
    connection?.close(GOING_AWAY, message, "GONE");
  }

  /** Says what is wrong, closes the connection with the code's close code, and ends. */
  fail(error: BitswarmError): void {
    this.#connection?.fail(error);
    this.#end(error.code, error.message);
  }

  receive(connection: Connection, bytes: Uint8Array): void {
    if (connection !== this.#connection) return;
    if (isChunk(bytes)) this.#receiveChunk(bytes);
    else if (isFrame(bytes)) this.#contribute(bytes);
    else {
      const message = decodeWorkerMessage(bytes);
      connection.spend(messageCosts[message.type] - BASE_COST);
      this.#obey(message);
    }
  }

  beat(): void {
    this.#transfers.checkProgress();
  }

  lost(connection: Connection, code: LeaveCode, message: string): void {
    if (connection !== this.#connection) return;
    this.#carry();
    this.#connection = undefined;
    this.#allowance = connection.allowance;
    if (this.#over) return;
    this.#transfers.detach();
    const resumable = this.#forgiven || resumableCodes.includes(code);
    this.#forgiven = false;
    const { clock, limits, inbox, patient } = this.#options;
    if (!resumable || limits.graceMs === 0 || !patient()) {
      this.#end(code, message);
      return;
    }
    this.#stopGrace = clock.after(limits.graceMs, () => this.#end(code, message));
    inbox.suspend(this.worker, { code, message });
  }

  #end(code: LeaveCode, message: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#stopGrace();
    this.#connection = undefined;
    this.#transfers.close();
    this.#options.over(this.worker);
    this.#options.inbox.leave(this.worker, { code, message });
  }

  #release(lease: LeaseId): void {
    this.#activity = withoutLease(this.#activity, lease);
  }

  #give(verdict: Verdict): void {
    this.send(this.#verdicts.keep(verdict));
  }

  #failed(code: ErrorCode, message: string): void {
    this.#failures++;
    const limit = this.#options.limits.failures;
    if (this.#failures < limit) return;
    const what = `${this.#failures} leases in a row came to nothing, the limit is ${limit}; the last: ${message}`;
    this.fail(new BitswarmError(code, what));
  }

  #receiveChunk(bytes: Uint8Array): void {
    let contribution: ReturnType<SessionTransfers["takeChunk"]>;
    try {
      contribution = this.#transfers.takeChunk(bytes);
    } catch (error) {
      // Damage on the way: the connection is worth nothing, what arrived before is.
      if (error instanceof BitswarmError && damage.includes(error.code)) {
        this.#forgiven = ++this.#failures < this.#options.limits.failures;
      }
      throw error;
    }
    if (contribution) this.#contribute(contribution.frame, contribution.release);
  }

  /** @throws RATE_LIMITED */
  #contribute(bytes: Uint8Array, release = () => {}): void {
    const checked = this.#checks.begin(() => this.#options.inbox.contribute(this.worker, bytes), release);
    // What a peer caused ends its session; anything else is a bug, and ends the process.
    checked.catch((error) => {
      if (!(error instanceof BitswarmError)) throw error;
      this.fail(error);
    });
  }

  #takeOffer({ transfer, bytes, lease }: OfferMessage): void {
    if (lease === null) throw new BitswarmError("TRANSFER_INVALID", `transfer ${transfer} answers no lease`);
    if (isHolding(this.#activity, lease)) {
      this.#transfers.offered({ transfer, bytes, lease });
      return;
    }
    const verdict = this.#verdicts.of(lease);
    this.send(verdict);
    if (verdict.type === "rejected" && verdict.code === "LEASE_UNKNOWN") this.#failed(verdict.code, verdict.message);
  }

  #return(lease: LeaseId, { reason, detail }: ReturnedLease): void {
    this.#release(lease);
    this.#transfers.dropUpload(lease);
    this.#options.inbox.giveBack(this.worker, lease, { reason, detail });
    this.#askDeferred();
  }

  /** Asks the engine for a lease, or keeps that for when there is room for one. */
  #ask(wish: Wish): void {
    const activity = asked(this.#activity, wish.ahead ?? false);
    this.#deferred = activity ? undefined : wish;
    if (!activity) return;
    this.#activity = activity;
    this.#wish(wish);
  }

  /** A lease is over, and there may be room for what was asked before. */
  #askDeferred(): void {
    if (this.#deferred && !this.#over) this.#ask(this.#deferred);
  }

  #wish({ ahead, maxMicrobatches }: Wish): void {
    const { inbox, newcomers } = this.#options;
    newcomers.whenCleared(this.worker, () => inbox.ready(this.worker, { ahead, maxMicrobatches }));
  }

  /** @throws MESSAGE_INVALID for chunks that the data set has not */
  #holds({ from, bits }: HeldChunks): void {
    const { chunks, inbox } = this.#options;
    const behind = from + 8 * bits.length - chunks;
    const spare = behind > 0 ? (bits.at(-1) ?? 0) >> (8 - behind) : 0;
    if (behind >= 8 || spare !== 0) {
      const what = `chunks ${from} to ${from + 8 * bits.length} are told of`;
      throw new BitswarmError("MESSAGE_INVALID", `${what}; the training split has ${chunks} to tell of`);
    }
    inbox.holds(this.worker, { from, bits });
  }

  #calibrated(answer: Parameters<Newcomers["answer"]>[1]): void {
    const { newcomers, onEvent } = this.#options;
    const elapsedMs = newcomers.answer(this.worker, answer);
    onEvent({ type: "calibrated", worker: this.worker, elapsedMs });
  }

  #pause(): void {
    for (const lease of leasesOf(this.#activity)) this.#transfers.withdraw(lease);
    this.#activity = { kind: "paused" };
    this.#deferred = undefined;
    this.#transfers.dropUpload();
    const { inbox, newcomers } = this.#options;
    newcomers.whenCleared(this.worker, () => inbox.pause(this.worker));
  }

  #obey(message: WorkerMessage): void {
    switch (message.type) {
      case "hello":
      case "proof":
        throw new BitswarmError("MESSAGE_INVALID", `a second ${message.type} came; one a connection is due`);
      case "ready":
        this.#ask(message);
        break;
      case "canary-answer":
        this.#calibrated(message);
        break;
      case "chunks":
        this.#holds(message);
        break;
      case "need":
        this.#transfers.needed(message.set);
        break;
      case "return":
        // One that expired meanwhile, or crossed a pause on the wire, is nobody's any more.
        if (!isHolding(this.#activity, message.lease)) break;
        this.#return(leaseId(message.lease), message);
        if (message.reason === "error") this.#failed("COMPUTE_FAILED", message.detail);
        if (message.reason === "not-finite") this.#failed("GRADIENT_NOT_FINITE", message.detail);
        break;
      case "paused":
        this.#pause();
        break;
      case "list":
        this.#options.onListed(message.nickname);
        break;
      case "leave":
        this.#connection?.close(1000, "goodbye");
        this.#end("LEFT", "the volunteer left");
        break;
      case "ping":
        this.send({ type: "pong", nonce: message.nonce });
        break;
      case "pong":
        this.#connection?.answered(message.nonce);
        break;
      case "offer":
        this.#takeOffer(message);
        break;
      case "have":
        this.#transfers.told(message);
        break;
      case "tracked":
        throw new BitswarmError("MESSAGE_INVALID", "boxes came, and this run follows no films");
      default:
        message satisfies never;
    }
  }
}
