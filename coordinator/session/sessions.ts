// All connections of a run: who is let in, under which name, and the way from the rounds to them and back.

import { randomInt } from "node:crypto";
import { BitswarmError, type Refusal } from "../../shared/base/errors.ts";
import { accountOf } from "../../shared/base/identity.ts";
import type { LeaseId, WorkerId } from "../../shared/base/ids.ts";
import { toldChunks } from "../../shared/data/train-chunks.ts";
import { canaryLayers } from "../../shared/model/canary.ts";
import { buildNetworks, networkNamed } from "../../shared/run/networks.ts";
import {
  type CancelReason,
  type ChallengeMessage,
  encodeMessage,
  type HelloMessage,
  type LeaseMessage,
  PROTOCOL_VERSION,
  type WelcomeMessage,
} from "../../shared/wire/protocol.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import { createToken } from "../base/token.ts";
import type { Engine } from "../engine/engine.ts";
import type { LeaveCode } from "../engine/leave-code.ts";
import type { Outbox } from "../engine/outbox.ts";
import type { OnRunEvent } from "../engine/run-event.ts";
import type { Traffic } from "../engine/traffic.ts";
import type { ParameterVersion } from "../training/parameter-version.ts";
import { addressKey } from "../trust/address-limits.ts";
import type { Board } from "../trust/board.ts";
import { restMessage } from "../trust/cooldown.ts";
import { Newcomers } from "../trust/newcomers.ts";
import { requireProof } from "../trust/proof.ts";
import { Admission, type AdmissionOptions, type Opening } from "./admission.ts";
import { Connection, type Reception } from "./connection.ts";
import { TurnBudget } from "./paced-messages.ts";
import type { PeerSocket } from "./peer-socket.ts";
import { SessionRegistry } from "./registry.ts";
import { ChunkedParameters } from "./sent-parameters.ts";
import { Session } from "./session.ts";
import type { SessionLimits } from "./session-limits.ts";
import { StatusFeed } from "./status-feed.ts";
import { UploadMemory } from "./upload-memory.ts";
import { numberedFrom, type WorkerNames } from "./worker-names.ts";

export interface SessionsOptions extends AdmissionOptions {
  /** What every worker is told when it joins. */
  readonly welcome: Pick<WelcomeMessage, "run" | "runTag" | "config" | "dataset" | "program">;
  readonly limits: SessionLimits;
  /** Bytes of the largest contribution frame of the run. */
  readonly contributionLimit: number;
  /** Names of the workers of these sessions; w1, w2 and so on unless given. */
  readonly workerNames?: WorkerNames;
  /** 128 bits that nobody can guess: of each session. */
  readonly sessionToken?: () => string;
  /** A u32 that nobody can foresee: of each newcomer's canary. */
  readonly canarySeed?: () => number;
  readonly onEvent: OnRunEvent;
  /** The run's board, where it has one. */
  readonly board?: Pick<Board, "list">;
  /** Counts what all sockets carry. */
  readonly traffic: Traffic;
}

const GOING_AWAY = 1001;

/** What is measured of one session. */
export type SessionVitals = Session["vitals"] & { readonly worker: WorkerId };

/** Workers of other makes, and of before it was told, know no more of the end than when it is. */
function toWorkers({ eta: _eta, ...status }: RunStatus): RunStatus {
  return status;
}

export class Sessions implements Outbox, Reception {
  readonly #options: SessionsOptions;
  readonly #connections = new Set<Connection>();
  /** Those that have not joined yet, the oldest first, and what gives back what they count for their address. */
  readonly #arrivals = new Map<Connection, () => void>();
  readonly #sessions = new SessionRegistry();
  readonly #admission: Admission;
  readonly #newcomers: Newcomers;
  readonly #memory: UploadMemory;
  /** Of the training split, of which workers say what they hold. */
  readonly #chunks: number;
  readonly #chunked = new ChunkedParameters();
  readonly #turns: TurnBudget;
  readonly #statuses: StatusFeed;
  readonly #workerNames: WorkerNames;
  #engine: Pick<Engine, "inbox" | "blob"> | undefined;
  #stopping = false;
  /** The status that was told last. */
  #newest: Uint8Array<ArrayBuffer> | undefined;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#chunks = toldChunks(options.welcome.dataset);
    this.#turns = new TurnBudget(options.clock);
    this.#statuses = new StatusFeed(options.clock, this.#sessions);
    this.#memory = new UploadMemory(options.limits.uploadBytes);
    this.#admission = new Admission(options, this.#sessions);
    const { clock, limits, welcome, canarySeed = () => randomInt(2 ** 32) } = options;
    this.#workerNames = options.workerNames ?? numberedFrom(1);
    this.#newcomers = new Newcomers({
      mode: welcome.config.trust.calibration,
      layers: () => {
        const { config, dataset, program } = welcome;
        return canaryLayers(networkNamed(buildNetworks(config, dataset, program), program.primary).graph);
      },
      clock,
      seed: canarySeed,
      timeoutMs: limits.calibrationMs,
      againMs: limits.canaryMs,
    });
  }

  /** Names the engine that the workers of these sessions compute for; must come before the first connection. */
  serve(engine: Pick<Engine, "inbox" | "blob">): void {
    this.#engine = engine;
  }

  /**
   * Counts a connection that opens; says why where it does not fit. At a limit the oldest of those that have not joined
   * makes room: sockets that say nothing must not keep out those who would.
   */
  open(address: string): Opening {
    const opening = this.#admission.open(address, this.#connections.size);
    const yielding = opening.kind === "full" ? this.#yielding(address, opening.of) : undefined;
    if (!yielding) return opening;
    const [arrival, release] = yielding;
    arrival.drop("RATE_LIMITED", "it had not joined when others wanted its place");
    release();
    return this.#admission.open(address, this.#connections.size);
  }

  /** Why a connection would not fit now; undefined where it would. */
  fullness(address: string): string | undefined {
    const opening = this.#admission.open(address, this.#connections.size);
    if (opening.kind === "full") return this.#yielding(address, opening.of) ? undefined : opening.message;
    opening.release();
    return undefined;
  }

  #yielding(address: string, of: "address" | "all"): readonly [Connection, () => void] | undefined {
    const key = addressKey(address);
    for (const arrival of this.#arrivals) if (of === "all" || addressKey(arrival[0].address) === key) return arrival;
    return undefined;
  }

  /** Counts a wrong token that came over HTTP. @throws RATE_LIMITED */
  wrongToken(address: string): void {
    this.#admission.wrongToken(address);
  }

  /** Every session, those that wait for their worker included. */
  get vitals(): readonly SessionVitals[] {
    return this.#sessions.all.map(({ worker, vitals: { connected, rttMs, waitingBytes, uploadBytes, bytes } }) => {
      return { worker, connected, rttMs, waitingBytes, uploadBytes, bytes };
    });
  }

  /** `maxWorkers` have joined. */
  get full(): boolean {
    return this.#sessions.size >= this.#options.welcome.config.maxWorkers;
  }

  /** Bytes of half-received contributions, of all workers together. */
  get uploadBytes(): number {
    return this.#memory.usedBytes;
  }

  /**
   * Takes over a fresh connection.
   * @param address of the other end
   * @param received bytes that its socket has received so far
   * @param release gives back what `open` counted; none for one that was not counted
   */
  accept(socket: PeerSocket, address: string, received: () => number, release?: () => void): void {
    const { clock, limits, traffic, welcome } = this.#options;
    const { heartbeatMs } = welcome.config;
    const turns = this.#turns;
    const options = { clock, limits, heartbeatMs, address, received, traffic, turns };
    const connection = new Connection(socket, this, options);
    this.#connections.add(connection);
    if (release) this.#arrivals.set(connection, release);
  }

  challenge({ address }: Connection, hello: HelloMessage): ChallengeMessage {
    this.#sessions.resumable(hello)?.countReturn();
    return this.#admission.challenge(hello, address);
  }

  admit(connection: Connection, hello: HelloMessage, challenge: ChallengeMessage, signature: string): Session {
    requireProof(hello.publicKey, signature, { ...challenge, token: hello.token });
    this.#arrivals.delete(connection);
    const known = this.#sessions.resumable(hello);
    if (!known || !hello.resume) return this.#enter(hello, connection);
    known.resume(connection, hello.resume, hello.holds);
    const seed = this.#newcomers.pending(known.worker);
    if (seed !== undefined) known.send({ type: "canary", seed });
    return known;
  }

  gone(connection: Connection, joined: boolean, code: LeaveCode, message: string): void {
    this.#connections.delete(connection);
    this.#arrivals.delete(connection);
    if (joined) return;
    this.#options.onEvent({ type: "turned-away", code, message, address: addressKey(connection.address) });
  }

  lease(worker: WorkerId, lease: LeaseMessage, parameters: readonly ParameterVersion[]): void {
    this.#sessions.get(worker)?.lease(lease, parameters);
  }

  accepted(worker: WorkerId, lease: LeaseId, samples: number): void {
    this.#sessions.get(worker)?.accepted(lease, samples);
  }

  rejected(worker: WorkerId, lease: LeaseId, refusal: Refusal): void {
    const { code, message } = refusal;
    this.#options.onEvent({ type: "refused", worker, code, message });
    this.#sessions.get(worker)?.rejected(lease, refusal);
  }

  cancelled(worker: WorkerId, lease: LeaseId, reason: CancelReason): void {
    this.#sessions.get(worker)?.cancelled(lease, reason);
  }

  rests(worker: WorkerId, ms: number): void {
    this.#sessions.get(worker)?.send({ type: "rest", ms: Math.ceil(ms), message: restMessage(ms) });
  }

  audited(worker: WorkerId): void {
    const session = this.#sessions.get(worker);
    const seed = session && this.#newcomers.askAgain(worker, (error) => session.fail(error));
    if (seed !== undefined) session?.send({ type: "canary", seed });
  }

  dismissed(worker: WorkerId): void {
    const thanks = "whoever runs this training let this worker go, which has finished what it held: all of that counts";
    this.#sessions.get(worker)?.fail(new BitswarmError("WORKER_DRAINED", thanks));
  }

  /** Tells workers how the run is doing, of many some at a time; who comes later begins with the newest. */
  broadcast(status: RunStatus): void {
    this.#newest = encodeMessage({ type: "status", status: toWorkers(status) });
    this.#statuses.broadcast(this.#newest);
  }

  /** The run stops: who has lost the connection, or loses it now, is not waited for. */
  hurry(): void {
    this.#stopping = true;
    for (const session of this.#sessions.all) session.hurry();
  }

  /**
   * Tells everybody that the run is over, and what came of it; who comes later is told that it is over. Nobody waits
   * for a turn: a page goes on showing the last status that it got.
   */
  end(message: string, status?: RunStatus): void {
    this.#admission.close(message);
    const last = status && encodeMessage({ type: "status", status: toWorkers(status) });
    for (const session of this.#sessions.all) session.ended(message, last);
    for (const connection of [...this.#connections]) connection.fail(new BitswarmError("RUN_ENDED", message));
  }

  /** Lets everybody go without a word about the run: a resumed coordinator may take them back. */
  goAway(): void {
    for (const session of this.#sessions.all) session.goAway();
    for (const connection of [...this.#connections]) connection.close(GOING_AWAY, "the coordinator stops", "GONE");
  }

  #served(): Pick<Engine, "inbox" | "blob"> {
    if (!this.#engine) throw new RangeError("a connection came before the engine was named");
    return this.#engine;
  }

  #enter(hello: HelloMessage, connection: Connection): Session {
    const { address } = connection;
    this.#admission.requireRoom(hello);
    const { name, runtime, adapter, publicKey, maxMicrobatches } = hello;
    const account = accountOf(publicKey);
    const { welcome, limits, clock, contributionLimit, sessionToken = createToken, onEvent } = this.#options;
    const { inbox } = this.#served();
    const { heartbeatMs } = welcome.config;
    const { graceMs } = limits;
    const worker = this.#workerNames();
    const token = sessionToken();
    const own = this.#admission.isOwn(hello);
    const memory = this.#memory.roomFor(own ? undefined : addressKey(address));
    const chunked = this.#chunked;
    const session = new Session(worker, {
      clock,
      limits,
      contributionLimit,
      memory,
      chunked,
      inbox,
      blob: (name) => this.#served().blob(name),
      newcomers: this.#newcomers,
      onEvent,
      onListed: (nickname) => this.#options.board?.list(account, nickname),
      chunks: this.#chunks,
      patient: () => !this.#stopping,
      over: (gone) => {
        this.#sessions.remove(gone);
        this.#newcomers.forget(gone);
      },
    });
    this.#sessions.add(session, token, account);
    session.claim(hello.holds);
    const fields = { protocol: PROTOCOL_VERSION, worker, heartbeatMs, session: token, graceMs };
    session.attach(connection, { type: "welcome", ...fields, ...welcome });
    // It makes ready for the phase that the run is in.
    if (this.#newest) connection.put(this.#newest);
    inbox.join(worker, { account, name, runtime, adapter, address: addressKey(address), own, maxMicrobatches });
    if (this.#newcomers.asks(own)) {
      const seed = this.#newcomers.ask(worker, (error) => session.fail(error));
      session.send({ type: "canary", seed });
    }
    return session;
  }
}
