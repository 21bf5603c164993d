// Workers that follow films: who is let in, and what each says. The same hello, proof, tokens and limits as a run's
// (session/), and a session that ends with its connection, as a film that was begun starts anew anyway.

import type { Clock } from "../../shared/base/clock.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import { accountOf } from "../../shared/base/identity.ts";
import { isChunk } from "../../shared/wire/chunk.ts";
import { isFrame } from "../../shared/wire/frame.ts";
import {
  type ChallengeMessage,
  type CoordinatorMessage,
  decodeWorkerMessage,
  encodeMessage,
  type HelloMessage,
  PROTOCOL_VERSION,
} from "../../shared/wire/protocol.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import { type TrackingMessage, unpackFrames } from "../../shared/wire/tracking.ts";
import type { LeaveCode } from "../engine/leave-code.ts";
import { Traffic } from "../engine/traffic.ts";
import { Admission, type AdmissionOptions, type Opening } from "../session/admission.ts";
import { Connection, type ConnectionOwner, type Reception } from "../session/connection.ts";
import { BASE_COST, EARNED_BY_LEASE, messageCosts } from "../session/message-costs.ts";
import { TurnBudget } from "../session/paced-messages.ts";
import type { PeerSocket } from "../session/peer-socket.ts";
import type { SessionLimits } from "../session/session-limits.ts";
import { numberedFrom } from "../session/worker-names.ts";
import { requireProof } from "../trust/proof.ts";
import type { FilmJob, FilmWorker, PreparedFilm } from "./film-job.ts";

export interface FilmSessionsOptions extends AdmissionOptions {
  readonly job: FilmJob;
  /** What every worker is told when it joins, but its name. */
  readonly tracking: Omit<TrackingMessage, "type" | "protocol" | "worker">;
  readonly limits: SessionLimits;
  readonly onJoined: (worker: string, hello: HelloMessage) => void;
  readonly onLeft: (worker: string, code: LeaveCode, message: string) => void;
}

const GOING_AWAY = 1001;

class FilmMember implements FilmWorker, ConnectionOwner {
  readonly worker: string;
  readonly account: string;
  readonly own: boolean;
  readonly #connection: Connection;
  readonly #job: FilmJob;
  readonly #left: (code: LeaveCode, message: string) => void;
  #over = false;

  constructor(
    who: Pick<FilmWorker, "worker" | "account" | "own">,
    connection: Connection,
    job: FilmJob,
    left: (code: LeaveCode, message: string) => void,
  ) {
    this.worker = who.worker;
    this.account = who.account;
    this.own = who.own;
    this.#connection = connection;
    this.#job = job;
    this.#left = left;
  }

  get connection(): Connection {
    return this.#connection;
  }

  send(message: CoordinatorMessage): void {
    this.#connection.send(message);
  }

  lend(lease: number, film: PreparedFilm): void {
    this.send({ type: "track", lease, ...film });
  }

  accepted(lease: number, frames: number): void {
    this.#connection.earn(EARNED_BY_LEASE);
    this.send({ type: "accepted", lease, samples: frames });
  }

  rejected(lease: number, { code, message }: BitswarmError): void {
    this.send({ type: "rejected", lease, code, message });
  }

  cancelled(lease: number, reason: "answered" | "expired"): void {
    this.#connection.earn(EARNED_BY_LEASE);
    this.send({ type: "cancel", lease, reason });
  }

  dismiss(error: BitswarmError): void {
    this.#connection.fail(error);
  }

  receive(connection: Connection, bytes: Uint8Array): void {
    if (isChunk(bytes) || isFrame(bytes)) {
      throw new BitswarmError("MESSAGE_INVALID", "a frame came, and a tracking job takes boxes alone");
    }
    const message = decodeWorkerMessage(bytes);
    connection.spend(messageCosts[message.type] - BASE_COST);
    switch (message.type) {
      case "ready":
        this.#job.ready(this);
        break;
      case "tracked":
        // A film has more frames than a lease has words.
        connection.earn(BASE_COST);
        this.#job.tracked(this, message.lease, message.from, unpackFrames(message.boxes));
        break;
      case "return":
        this.#job.giveBack(this, message.lease, message.reason === "error", message.detail);
        break;
      case "paused":
        this.#job.pause(this);
        break;
      case "leave":
        connection.close(1000, "goodbye");
        this.#end("LEFT", "the volunteer left");
        break;
      case "ping":
        this.send({ type: "pong", nonce: message.nonce });
        break;
      case "pong":
        connection.answered(message.nonce);
        break;
      // There is no board: everybody is thanked alike.
      case "list":
        break;
      case "hello":
      case "proof":
      case "canary-answer":
      case "chunks":
      case "need":
      case "offer":
      case "have":
        throw new BitswarmError("MESSAGE_INVALID", `${message.type} came, which no tracking job takes`);
      default:
        message satisfies never;
    }
  }

  beat(): void {}

  lost(_connection: Connection, code: LeaveCode, message: string): void {
    this.#end(code, message);
  }

  #end(code: LeaveCode, message: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#job.leave(this);
    this.#left(code, message);
  }
}

export class FilmSessions implements Reception {
  readonly #options: FilmSessionsOptions;
  readonly #admission: Admission;
  readonly #connections = new Set<Connection>();
  readonly #members = new Set<FilmMember>();
  readonly #turns: TurnBudget;
  readonly #traffic = new Traffic();
  readonly #names = numberedFrom(1);
  #newest: Uint8Array<ArrayBuffer> | undefined;

  constructor(options: FilmSessionsOptions) {
    this.#options = options;
    this.#turns = new TurnBudget(options.clock);
    const members = this.#members;
    const registry = {
      get size() {
        return members.size;
      },
      resumable: () => undefined,
    };
    this.#admission = new Admission(options, registry);
  }

  get clock(): Clock {
    return this.#options.clock;
  }

  get full(): boolean {
    return this.#members.size >= this.#options.welcome.config.maxWorkers;
  }

  open(address: string): Opening {
    return this.#admission.open(address, this.#connections.size);
  }

  /** Why a connection would not fit now; undefined where it would. */
  fullness(address: string): string | undefined {
    const opening = this.open(address);
    if (opening.kind === "full") return opening.message;
    opening.release();
    return undefined;
  }

  /** @throws RATE_LIMITED */
  wrongToken(address: string): void {
    this.#admission.wrongToken(address);
  }

  accept(socket: PeerSocket, address: string, received: () => number): void {
    const { clock, limits, tracking } = this.#options;
    const { heartbeatMs } = tracking;
    const options = { clock, limits, heartbeatMs, address, received, traffic: this.#traffic, turns: this.#turns };
    this.#connections.add(new Connection(socket, this, options));
  }

  challenge({ address }: Connection, hello: HelloMessage): ChallengeMessage {
    return this.#admission.challenge(hello, address);
  }

  admit(connection: Connection, hello: HelloMessage, challenge: ChallengeMessage, signature: string): ConnectionOwner {
    requireProof(hello.publicKey, signature, { ...challenge, token: hello.token });
    this.#admission.requireRoom(hello);
    const { job, tracking, onJoined, onLeft } = this.#options;
    const account = accountOf(hello.publicKey);
    const own = this.#admission.isOwn(hello);
    if (!own && job.isBanned(account)) {
      throw new BitswarmError(
        "CONTRIBUTION_DISPUTED",
        "this worker's boxes were found wrong before; it is not asked again",
      );
    }
    const worker = this.#names();
    const member: FilmMember = new FilmMember({ worker, account, own }, connection, job, (code, message) => {
      this.#members.delete(member);
      onLeft(worker, code, message);
    });
    this.#members.add(member);
    member.send({ type: "tracking", protocol: PROTOCOL_VERSION, worker, ...tracking });
    if (this.#newest) connection.put(this.#newest);
    job.join(member);
    onJoined(worker, hello);
    return member;
  }

  gone(connection: Connection): void {
    this.#connections.delete(connection);
  }

  /** Tells workers how the job is doing. */
  broadcast(status: RunStatus): void {
    this.#newest = encodeMessage({ type: "status", status });
    for (const { connection } of this.#members) if (connection.waitingBytes === 0) connection.put(this.#newest);
  }

  /** Tells everybody that it is over; who comes later is told so. */
  end(message: string, status: RunStatus): void {
    this.#admission.close(message);
    const last = encodeMessage({ type: "status", status });
    for (const { connection } of [...this.#members]) {
      connection.put(last);
      connection.send({ type: "ended", message });
    }
    for (const connection of [...this.#connections]) connection.fail(new BitswarmError("RUN_ENDED", message));
  }

  /** Lets everybody go without a word: the same link may come back. */
  goAway(): void {
    for (const connection of [...this.#connections]) connection.close(GOING_AWAY, "the coordinator stops", "GONE");
  }
}
