// All connections of a run: who is let in, under which name, and the way from the rounds to them and back.

import { randomBytes, randomInt } from "node:crypto";
import { canaryLayers } from "../shared/canary.ts";
import { BitswarmError } from "../shared/errors.ts";
import { accountOf } from "../shared/identity.ts";
import { type LeaseId, type WorkerId, workerId } from "../shared/ids.ts";
import { buildNetworks } from "../shared/networks.ts";
import {
  type CancelReason,
  type ChallengeMessage,
  encodeMessage,
  type HelloMessage,
  PROTOCOL_VERSION,
  type RunStatus,
  type WelcomeMessage,
} from "../shared/protocol.ts";
import type { Clock } from "./clock.ts";
import type { PeerSocket } from "./peer-socket.ts";
import type { Outbox, RoundDriver } from "./round-driver.ts";
import { leaseMessage, type RoundPlan } from "./round-plan.ts";
import type { Lease, Refusal } from "./round-state.ts";
import type { OnRunEvent } from "./run-event.ts";
import { Session } from "./session.ts";
import type { SessionLimits } from "./session-limits.ts";
import type { LeaveCode } from "./session-state.ts";
import { isToken } from "./token.ts";
import type { Traffic } from "./traffic.ts";
import { AddressBook } from "./trust/address-limits.ts";
import { Newcomers } from "./trust/newcomers.ts";
import { requireProof } from "./trust/proof.ts";
import { restMessage } from "./trust/rests.ts";
import type { TrustDesk } from "./trust/trust-desk.ts";

export interface SessionsOptions {
  readonly token: string;
  /** What every worker is told when it joins. */
  readonly welcome: Pick<WelcomeMessage, "run" | "runTag" | "config" | "dataset">;
  readonly limits: SessionLimits;
  readonly clock: Clock;
  /** Who rests, and what devices there are; without it nobody is kept from asking. */
  readonly trust?: TrustDesk;
  /** 32 bytes in hex that nobody can foresee: of each challenge. */
  readonly nonce?: () => string;
  /** A u32 that nobody can foresee: of each newcomer's canary. */
  readonly canarySeed?: () => number;
  readonly onEvent: OnRunEvent;
  /** Counts what all sockets carry. */
  readonly traffic: Traffic;
}

/** What the sessions pass on of the workers' doings. */
export type RoundInbox = Pick<RoundDriver, "join" | "ready" | "pause" | "leave" | "giveBack" | "contribute">;

/** Connections beyond `maxWorkers`, for those who have not said hello yet. */
const STRANGERS = 256;
const NONCE_BYTES = 32;

export class Sessions implements Outbox {
  readonly #options: SessionsOptions;
  readonly #all = new Set<Session>();
  readonly #joined = new Map<WorkerId, Session>();
  readonly #addresses: AddressBook;
  readonly #newcomers: Newcomers;
  readonly #accounts = new Map<WorkerId, string>();
  #rounds: RoundInbox | undefined;
  #nextWorker = 1;
  #over: string | undefined;

  constructor(options: SessionsOptions) {
    this.#options = options;
    const { socketsPerAddress, joinsPerMinute, limitLoopback, calibration } = options.welcome.config.trust;
    this.#addresses = new AddressBook({ sockets: socketsPerAddress, joinsPerMinute, loopback: limitLoopback });
    const { clock, limits, welcome, canarySeed = () => randomInt(2 ** 32) } = options;
    if (options.trust) options.trust.onRest = (account, ms) => this.#rest(account, ms);
    this.#newcomers = new Newcomers({
      mode: calibration,
      layers: () => canaryLayers(buildNetworks(welcome.config, welcome.dataset).student.graph),
      clock,
      seed: canarySeed,
      timeoutMs: limits.calibrationMs,
    });
  }

  /** Names the rounds that the workers of these sessions compute; must come before the first connection. */
  serve(rounds: RoundInbox): void {
    this.#rounds = rounds;
  }

  /** Counts a connection that opens; says why where it does not fit. Whoever calls it calls `closed` when the socket is gone. */
  open(address: string): { readonly kind: "opened" } | { readonly kind: "full"; readonly message: string } {
    if (this.#all.size >= this.#options.welcome.config.maxWorkers + STRANGERS) {
      return { kind: "full", message: "too many connections; try again later" };
    }
    return this.#addresses.open(this.#options.clock.now(), address);
  }

  closed(address: string): void {
    this.#addresses.close(this.#options.clock.now(), address);
  }

  /**
   * Takes over a fresh connection.
   * @param address of the other end
   * @param received bytes that its socket has received so far
   */
  accept(socket: PeerSocket, address: string, received: () => number): void {
    const { clock, limits, traffic, welcome } = this.#options;
    const rounds = this.#inbox();
    const session: Session = new Session(
      socket,
      {
        challenge: (hello) => this.#challenge(hello, address),
        admit: (hello, challenge, signature) => this.#admit(hello, challenge, signature),
        joined: (worker, hello) => this.#enter(session, worker, hello, address),
        canaryAnswered: (worker, answer) => {
          const elapsedMs = this.#newcomers.answer(worker, answer);
          this.#options.onEvent({ type: "calibrated", worker, elapsedMs });
        },
        ready: (worker, { ahead, maxMicrobatches }) =>
          this.#whenFree(worker, () => rounds.ready(worker, { ahead, maxMicrobatches })),
        paused: (worker) => this.#whenFree(worker, () => rounds.pause(worker)),
        returned: (worker, { lease, reason, detail }) => {
          this.#options.onEvent({ type: "returned", worker, reason, detail });
          rounds.giveBack(worker, lease as LeaseId, reason);
        },
        contribution: (worker, bytes) => rounds.contribute(worker, bytes),
        left: (worker, code, message) => this.#leave(session, worker, code, message),
      },
      { clock, limits, heartbeatMs: welcome.config.heartbeatMs, received, traffic },
    );
    this.#all.add(session);
  }

  lease(worker: WorkerId, lease: Lease, plan: RoundPlan): void {
    this.#joined.get(worker)?.lease(leaseMessage(plan, lease), plan.parameters);
  }

  accepted(worker: WorkerId, lease: LeaseId, samples: number): void {
    this.#joined.get(worker)?.accepted(lease, samples);
  }

  rejected(worker: WorkerId, lease: LeaseId, refusal: Refusal): void {
    const { code, message } = refusal;
    this.#options.onEvent({ type: "refused", worker, code, message });
    this.#joined.get(worker)?.rejected(lease, refusal);
  }

  cancelled(worker: WorkerId, lease: LeaseId, reason: CancelReason): void {
    this.#joined.get(worker)?.cancelled(lease, reason);
  }

  broadcast(status: RunStatus): void {
    const bytes = encodeMessage({ type: "status", status });
    for (const session of this.#joined.values()) session.sendStatus(bytes);
  }

  /** Tells everybody that the run is over; who comes later is told too. */
  end(message: string): void {
    this.#over = message;
    for (const session of [...this.#all]) session.ended(message);
  }

  /** Lets everybody go without a word about the run: a resumed coordinator may take them back. */
  goAway(): void {
    for (const session of [...this.#all]) session.goAway();
  }

  /** Does what a worker wishes once its canary is right and its account has rested. */
  #whenFree(worker: WorkerId, call: () => void): void {
    const { trust } = this.#options;
    const account = this.#accounts.get(worker);
    this.#newcomers.whenCleared(worker, () => {
      if (trust && account !== undefined) trust.rests.whenRested(worker, account, call);
      else call();
    });
  }

  /** Tells the workers of an account that they rest. */
  #rest(account: string, ms: number): void {
    for (const [worker, its] of this.#accounts) {
      if (its === account)
        this.#joined.get(worker)?.send({ type: "rest", ms: Math.ceil(ms), message: restMessage(ms) });
    }
  }

  #inbox(): RoundInbox {
    if (!this.#rounds) throw new RangeError("a connection came before the rounds were named");
    return this.#rounds;
  }

  /** @throws RUN_ENDED, TOO_MANY_WORKERS */
  #requireRoom(): void {
    if (this.#over !== undefined) throw new BitswarmError("RUN_ENDED", this.#over);
    const { maxWorkers } = this.#options.welcome.config;
    if (this.#joined.size < maxWorkers) return;
    throw new BitswarmError(
      "TOO_MANY_WORKERS",
      `the run has ${this.#joined.size} workers, its limit is ${maxWorkers}; try again later`,
    );
  }

  #challenge({ token }: HelloMessage, address: string): ChallengeMessage {
    const { clock, nonce = () => randomBytes(NONCE_BYTES).toString("hex"), welcome } = this.#options;
    this.#addresses.join(clock.now(), address);
    if (!isToken(this.#options.token, token)) {
      throw new BitswarmError(
        "TOKEN_INVALID",
        "the token is not that of this run: copy the whole link that the coordinator printed",
      );
    }
    this.#requireRoom();
    return { type: "challenge", nonce: nonce(), run: welcome.run, protocol: PROTOCOL_VERSION };
  }

  #admit({ publicKey }: HelloMessage, challenge: ChallengeMessage, signature: string): WelcomeMessage {
    const { token, welcome } = this.#options;
    const { heartbeatMs } = welcome.config;
    requireProof(publicKey, signature, { ...challenge, token });
    this.#requireRoom();
    const worker = workerId(`w${this.#nextWorker++}`);
    return { type: "welcome", protocol: PROTOCOL_VERSION, worker, heartbeatMs, ...welcome };
  }

  #enter(session: Session, worker: WorkerId, hello: HelloMessage, address: string): void {
    const { name, runtime, adapter, publicKey, maxMicrobatches } = hello;
    const { trust } = this.#options;
    const account = accountOf(publicKey);
    this.#joined.set(worker, session);
    this.#options.onEvent({ type: "joined", worker, account, name, runtime, adapter });
    this.#accounts.set(worker, account);
    trust?.joined(worker, hello);
    this.#inbox().join(worker, { account, maxMicrobatches });
    const ms = trust?.rests.restMs(account) ?? 0;
    if (ms > 0) session.send({ type: "rest", ms: Math.ceil(ms), message: restMessage(ms) });
    if (!this.#newcomers.asks(address)) return;
    const seed = this.#newcomers.ask(worker, (error) => session.fail(error));
    session.send({ type: "canary", seed });
  }

  #leave(session: Session, worker: WorkerId | null, code: LeaveCode, message: string): void {
    this.#all.delete(session);
    if (worker === null) {
      this.#options.onEvent({ type: "turned-away", code, message });
      return;
    }
    this.#joined.delete(worker);
    this.#newcomers.forget(worker);
    this.#options.trust?.left(worker);
    this.#accounts.delete(worker);
    this.#options.onEvent({ type: "left", worker, code, message });
    this.#inbox().leave(worker);
  }
}
