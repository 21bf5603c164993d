// All connections of a run: who is let in, under which name, and the way from the rounds to them and back.

import { randomInt } from "node:crypto";
import { BitswarmError, type Refusal } from "../../shared/base/errors.ts";
import { accountOf } from "../../shared/base/identity.ts";
import { type LeaseId, type WorkerId, workerId } from "../../shared/base/ids.ts";
import { canaryLayers } from "../../shared/model/canary.ts";
import { buildNetworks } from "../../shared/run/networks.ts";
import {
  type CancelReason,
  encodeMessage,
  type HelloMessage,
  PROTOCOL_VERSION,
  type RunStatus,
} from "../../shared/wire/protocol.ts";
import { createToken } from "../base/token.ts";
import { type RoundInbox, sessionHouse } from "../engine/inbox.ts";
import type { LeaveCode, SessionHouse } from "../engine/leave-code.ts";
import type { Outbox } from "../engine/outbox.ts";
import type { OnRunEvent } from "../engine/run-event.ts";
import type { Traffic } from "../engine/traffic.ts";
import type { Lease } from "../round/state.ts";
import { leaseMessage, type RoundPlan } from "../training/round-plan.ts";
import { addressKey } from "../trust/address-limits.ts";
import { restMessage } from "../trust/cooldown.ts";
import { Newcomers } from "../trust/newcomers.ts";
import { requireProof } from "../trust/proof.ts";
import type { TrustDesk } from "../trust/run-trust.ts";
import { Door, type DoorOptions, type Opening } from "./admission.ts";
import { ChunkedParameters } from "./chunked-parameters.ts";
import { Connection, type ConnectionHouse } from "./connection.ts";
import type { PeerSocket } from "./peer-socket.ts";
import { SessionBook } from "./registry.ts";
import { Session } from "./session.ts";
import type { SessionLimits } from "./session-limits.ts";
import { StatusFeed } from "./status-feed.ts";
import { TurnBudget } from "./turn-budget.ts";
import { UploadMemory } from "./upload-memory.ts";

export interface SessionsOptions extends DoorOptions {
  readonly limits: SessionLimits;
  /** Bytes of the largest contribution frame of the run. */
  readonly contributionLimit: number;
  /** Who rests, and what devices there are; without it nobody is kept from asking. */
  readonly trust?: TrustDesk;
  /** 128 bits that nobody can guess: of each session. */
  readonly sessionToken?: () => string;
  /** A u32 that nobody can foresee: of each newcomer's canary. */
  readonly canarySeed?: () => number;
  readonly onEvent: OnRunEvent;
  /** Counts what all sockets carry. */
  readonly traffic: Traffic;
}

const GOING_AWAY = 1001;

/** What is measured of one session. */
export type SessionVitals = Session["vitals"] & { readonly worker: WorkerId };

export class Sessions implements Outbox {
  readonly #options: SessionsOptions;
  readonly #connections = new Set<Connection>();
  readonly #sessions = new SessionBook();
  readonly #door: Door;
  readonly #newcomers: Newcomers;
  readonly #memory: UploadMemory;
  readonly #chunked = new ChunkedParameters();
  readonly #turns: TurnBudget;
  readonly #statuses: StatusFeed;
  #rounds: RoundInbox | undefined;
  #nextWorker = 1;
  #stopping = false;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#turns = new TurnBudget(options.clock);
    this.#statuses = new StatusFeed(options.clock, this.#sessions);
    this.#memory = new UploadMemory(options.limits.uploadBytes);
    this.#door = new Door(options, this.#sessions);
    const { clock, limits, welcome, canarySeed = () => randomInt(2 ** 32) } = options;
    if (options.trust) {
      options.trust.onRest = (account, ms) => this.#rest(account, ms);
      options.trust.onAudited = (worker) => this.#askAgain(worker);
    }
    this.#newcomers = new Newcomers({
      mode: welcome.config.trust.calibration,
      layers: () => canaryLayers(buildNetworks(welcome.config, welcome.dataset).student.graph),
      clock,
      seed: canarySeed,
      timeoutMs: limits.calibrationMs,
      againMs: limits.canaryMs,
    });
  }

  /** Names the rounds that the workers of these sessions compute; must come before the first connection. */
  serve(rounds: RoundInbox): void {
    this.#rounds = rounds;
  }

  /** Counts a connection that opens; says why where it does not fit. Whoever calls it calls `closed` when the socket is gone. */
  open(address: string): Opening {
    return this.#door.open(address, this.#connections.size);
  }

  closed(address: string): void {
    this.#door.closed(address);
  }

  /** Every session, those that wait for their worker included. */
  get vitals(): readonly SessionVitals[] {
    return this.#sessions.all.map((session) => ({ worker: session.worker, ...session.vitals }));
  }

  /** Bytes of half-received contributions, of all workers together. */
  get uploadBytes(): number {
    return this.#memory.usedBytes;
  }

  /**
   * Takes over a fresh connection.
   * @param address of the other end
   * @param received bytes that its socket has received so far
   */
  accept(socket: PeerSocket, address: string, received: () => number): void {
    const { clock, limits, traffic, welcome, onEvent } = this.#options;
    const house: ConnectionHouse = {
      challenge: (hello) => this.#door.challenge(hello, address),
      admit: (hello, challenge, signature, connection) => {
        requireProof(hello.publicKey, signature, { ...challenge, token: this.#options.token });
        return this.#admit(hello, address, connection);
      },
      closed: (connection, joined, code, message) => {
        this.#connections.delete(connection);
        if (!joined) onEvent({ type: "turned-away", code, message });
      },
    };
    const { heartbeatMs } = welcome.config;
    const turns = this.#turns;
    this.#connections.add(new Connection(socket, house, { clock, limits, heartbeatMs, received, traffic, turns }));
  }

  lease(worker: WorkerId, lease: Lease, plan: RoundPlan): void {
    const voids = this.#options.trust?.rounds.voidsOf(lease.account) ?? 0;
    this.#sessions.get(worker)?.lease(leaseMessage(plan, lease, voids), plan.parameters);
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

  /** Tells workers how the run is doing, of many some at a time. */
  broadcast(status: RunStatus): void {
    this.#statuses.broadcast(encodeMessage({ type: "status", status }));
  }

  /** The run stops: who has lost the connection, or loses it now, is not waited for. */
  hurry(): void {
    this.#stopping = true;
    for (const session of this.#sessions.all) session.hurry();
  }

  /** Tells everybody that the run is over; who comes later is told too. */
  end(message: string): void {
    this.#door.close(message);
    for (const session of this.#sessions.all) session.ended(message);
    for (const connection of [...this.#connections]) connection.fail(new BitswarmError("RUN_ENDED", message));
  }

  /** Lets everybody go without a word about the run: a resumed coordinator may take them back. */
  goAway(): void {
    for (const session of this.#sessions.all) session.goAway();
    for (const connection of [...this.#connections]) connection.close(GOING_AWAY, "the coordinator stops", "GONE");
  }

  /** Does what a worker wishes once its canary is right and its account has rested. */
  #whenFree(worker: WorkerId, call: () => void): void {
    const { trust } = this.#options;
    const account = this.#sessions.accountOf(worker);
    this.#newcomers.whenCleared(worker, () => {
      if (trust && account !== undefined) trust.rests.whenRested(worker, account, call);
      else call();
    });
  }

  /** A lease of a worker that was audited is answered: perhaps its GPU is asked for a sum, too. */
  #askAgain(worker: WorkerId): void {
    const session = this.#sessions.get(worker);
    const seed = session && this.#newcomers.askAgain(worker, (error) => session.fail(error));
    if (seed !== undefined) session?.send({ type: "canary", seed });
  }

  /** Tells the workers of an account that they rest, and gives them what they have asked for when it is over. */
  #rest(account: string, ms: number): void {
    const { trust } = this.#options;
    const message = { type: "rest", ms: Math.ceil(ms), message: restMessage(ms) } as const;
    for (const session of this.#sessions.ofAccount(account)) {
      session.send(message);
      trust?.rests.whenRested(session.worker, account, () => this.#inbox().rested(session.worker));
    }
  }

  #inbox(): RoundInbox {
    if (!this.#rounds) throw new RangeError("a connection came before the rounds were named");
    return this.#rounds;
  }

  #admit(hello: HelloMessage, address: string, connection: Connection): Session {
    const known = this.#sessions.resumable(hello);
    if (!known || !hello.resume) return this.#enter(hello, address, connection);
    known.resume(connection, hello.resume, hello.holds);
    const seed = this.#newcomers.pending(known.worker);
    if (seed !== undefined) known.send({ type: "canary", seed });
    return known;
  }

  #enter(hello: HelloMessage, address: string, connection: Connection): Session {
    this.#door.requireRoom();
    const { name, runtime, adapter, publicKey, maxMicrobatches } = hello;
    const account = accountOf(publicKey);
    const { welcome, limits, clock, contributionLimit, sessionToken = createToken, onEvent, trust } = this.#options;
    const { heartbeatMs } = welcome.config;
    const { graceMs } = limits;
    const worker = workerId(`w${this.#nextWorker++}`);
    const token = sessionToken();
    const memory = this.#memory.roomFor(this.#door.counted(address));
    const chunked = this.#chunked;
    const session = new Session(worker, this.#house(), { clock, limits, contributionLimit, memory, chunked });
    this.#sessions.add(session, token, account);
    session.claim(hello.holds);
    const fields = { protocol: PROTOCOL_VERSION, worker, heartbeatMs, session: token, graceMs };
    session.attach(connection, { type: "welcome", ...fields, ...welcome });
    onEvent({ type: "joined", worker, account, name, runtime, adapter });
    trust?.joined(worker, hello);
    const own = this.#door.counted(address) === undefined;
    this.#inbox().join(worker, { account, address: addressKey(address), own, maxMicrobatches });
    const ms = trust?.rests.restMs(account) ?? 0;
    if (ms > 0) session.send({ type: "rest", ms: Math.ceil(ms), message: restMessage(ms) });
    if (this.#newcomers.asks(address)) {
      const seed = this.#newcomers.ask(worker, (error) => session.fail(error));
      session.send({ type: "canary", seed });
    }
    return session;
  }

  #house(): SessionHouse {
    return sessionHouse({
      rounds: this.#inbox(),
      onEvent: this.#options.onEvent,
      newcomers: this.#newcomers,
      whenFree: (worker, call) => this.#whenFree(worker, call),
      patient: () => !this.#stopping,
      left: (worker, code, message) => this.#leave(worker, code, message),
    });
  }

  #leave(worker: WorkerId, code: LeaveCode, message: string): void {
    this.#sessions.remove(worker);
    this.#newcomers.forget(worker);
    this.#options.trust?.left(worker);
    this.#options.onEvent({ type: "left", worker, code, message });
    this.#inbox().leave(worker);
  }
}
