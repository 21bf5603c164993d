// A virtual worker: speaks the real protocol over a virtual link, and computes by letting virtual time pass.

import { BitswarmError } from "../../shared/errors.ts";
import { encodeFrame, isFrame } from "../../shared/frame.ts";
import type { ParameterSet } from "../../shared/parameter-set.ts";
import {
  type CoordinatorMessage,
  decodeCoordinatorMessage,
  encodeMessage,
  type HelloMessage,
  type LeaseMessage,
  PROTOCOL_VERSION,
  type WelcomeMessage,
  type WorkerMessage,
} from "../../shared/protocol.ts";
import { keyPairOf, type SigningPair, signProof } from "../trust/key-pair.ts";
import { type KnownSum, knownBody, knownSum } from "./known-gradient.ts";
import { altered } from "./misdeed.ts";
import type { Profile } from "./profile.ts";
import type { StallSchedule } from "./stall-schedule.ts";
import type { HeldParameters, Surroundings } from "./surroundings.ts";
import type { VirtualLink } from "./virtual-link.ts";

/** Waits before another attempt: as a worker's (worker/session-limits.ts). */
const RECONNECT_MS = [500, 30_000] as const;
const HANDSHAKE_MS = 15_000;
/** Heartbeats without a word after which a worker gives its connection up. */
const SILENT_HEARTBEATS = 3;
/** A person reloads a page that has waited so long for work; needed only where messages get lost. */
const RELOAD_MS = 120_000;

interface Computation {
  readonly lease: LeaseMessage;
  readonly since: number;
  readonly stop: () => void;
}

export class Volunteer {
  readonly profile: Profile;
  readonly #world: Surroundings;
  readonly #stalls: StallSchedule;
  readonly #identity: SigningPair;
  #link: VirtualLink | undefined;
  /** Of the session that it works in, over whatever connections. */
  #welcome: WelcomeMessage | undefined;
  /** The session goes on over this connection. */
  #attached = false;
  /** Hashes of the parameters that it was sent over this connection. */
  #parameters = new Map<ParameterSet, string>();
  #computing: Computation | undefined;
  /** The lease that it goes on with. */
  #next: LeaseMessage | undefined;
  /** Contributions that have no verdict yet, by lease: sent again after a lost connection. */
  #sent = new Map<number, Uint8Array>();
  #asked = false;
  #heardAt = 0;
  #attempts = 0;
  #gone = false;
  #before: KnownSum | undefined;
  /** Counts connections: what was meant for one does not reach the next. */
  #connection = 0;
  #idleSince = 0;

  constructor(profile: Profile, world: Surroundings, stalls: StallSchedule) {
    this.profile = profile;
    this.#world = world;
    this.#stalls = stalls;
    this.#identity = keyPairOf(world.secret(profile.index));
  }

  connect(): void {
    if (this.#gone) return;
    const connection = this.#connection;
    const ifSame = (call: () => void) => {
      if (this.#connection === connection) call();
    };
    this.#world.connect(this, {
      opened: (link) => ifSame(() => this.#greet(link)),
      refused: () => ifSame(() => this.#reconnect()),
      message: (bytes) => ifSame(() => this.#receive(bytes)),
      closed: () => ifSame(() => this.#lost()),
    });
  }

  /** Its connection breaks; it comes back after `awayMs`. */
  drop(awayMs: number): void {
    const link = this.#link;
    if (!link) return;
    this.#missed("dropped");
    this.#disconnect();
    link.cut();
    this.#connectAfter(awayMs);
  }

  /** Says goodbye and is gone for good. */
  leave(): void {
    this.#missed("left");
    this.#gone = true;
    this.#send({ type: "leave" });
    this.#disconnect();
    this.#forget();
    this.#world.account.gone(this.profile);
  }

  /** Is gone for good without a word. */
  die(): void {
    this.#missed("died");
    this.#gone = true;
    this.#link?.vanish();
    this.#disconnect();
    this.#forget();
    this.#world.account.gone(this.profile);
  }

  #greet(link: VirtualLink): void {
    const { timeline, token } = this.#world;
    this.#link = link;
    this.#heardAt = timeline.now;
    if (this.profile.misdeed !== "loris" || this.profile.draws.uniform() < 0.5) {
      this.#send({
        type: "hello",
        protocol: PROTOCOL_VERSION,
        token,
        name: `volunteer ${this.profile.index}`,
        runtime: "node",
        adapter: { vendor: "simulated", architecture: "", description: "", software: false },
        publicKey: this.#identity.publicKey,
        ...this.#resumption(),
      });
    }
    this.#later(HANDSHAKE_MS, () => {
      if (!this.#attached) this.#giveUp();
    });
  }

  #receive(bytes: Uint8Array): void {
    this.#heardAt = this.#world.timeline.now;
    try {
      if (isFrame(bytes)) this.#hold(this.#world.parameters(bytes));
      else this.#obey(this.#world.decoded(bytes, decodeCoordinatorMessage));
    } catch (error) {
      if (!(error instanceof BitswarmError)) throw error;
      if (!this.#world.evil)
        this.#world.referee.violation(`the coordinator sent what cannot be read: ${error.message}`);
      this.#giveUp();
    }
  }

  #hold({ set, hash, base }: HeldParameters): void {
    if (base !== null && this.#parameters.get(set) !== base) {
      if (!this.#world.evil)
        this.#world.referee.violation(`a change of ${set} came to a worker that does not hold its base`);
      this.#send({ type: "need", set });
      return;
    }
    this.#parameters.set(set, hash);
  }

  #obey(message: CoordinatorMessage): void {
    switch (message.type) {
      case "challenge": {
        const { nonce, run, protocol } = message;
        const signature = signProof(this.#identity, { nonce, run, protocol, token: this.#world.token });
        this.#send({ type: "proof", signature });
        return;
      }
      case "canary":
        this.#send({ type: "canary-answer", seed: message.seed, hash: this.#world.canary(message.seed) });
        return;
      case "welcome":
        // Also where the session before was meant: it is over, and its leases are others'.
        this.#forget();
        this.#welcome = message;
        this.#attached = true;
        this.#watch(message.heartbeatMs);
        this.#ask();
        return;
      case "resumed":
        this.#resumed(message.leases, message.waiting);
        return;
      case "lease":
        this.#asked = false;
        this.#offered(message);
        return;
      case "cancel":
        this.#cancelled(message.lease);
        return;
      case "accepted":
        this.#attempts = 0;
        this.#settled(message.lease);
        return;
      case "rejected":
        this.#world.referee.rejected(this.profile, message.code, message.message);
        this.#settled(message.lease);
        return;
      case "ping":
        this.#send({ type: "pong", nonce: message.nonce });
        return;
      case "ended":
        this.#gone = true;
        return;
      case "error":
        if (!message.retry && !this.#world.evil) this.#turnedAway(message.code);
        return;
      case "pong":
      case "rest":
      // Frames of the simulated model fit into one message.
      case "offer":
      case "have":
      case "status":
        return;
      default:
        message satisfies never;
    }
  }

  #turnedAway(code: string): void {
    this.#gone = true;
    this.#world.account.gone(this.profile);
    if (this.profile.misdeed === undefined && code !== "RUN_ENDED") {
      this.#world.referee.violation(`an honest volunteer was turned away for good: ${code}`);
    }
  }

  /** Looks at each heartbeat whether the coordinator still says anything. */
  #watch(heartbeatMs: number): void {
    const { timeline, evil } = this.#world;
    const waitingSince = timeline.now;
    const look = () => {
      if (timeline.now - this.#heardAt > SILENT_HEARTBEATS * heartbeatMs) return this.#giveUp();
      const idle = !this.#computing && timeline.now - Math.max(waitingSince, this.#idleSince) > RELOAD_MS;
      if (evil && idle) return this.#giveUp();
      this.#later(heartbeatMs, look);
    };
    this.#later(heartbeatMs, look);
  }

  /** Asks for the lease after those in hand: at most two are held, and one that is asked for ahead is computed without a pause. */
  #ask(): void {
    if (!this.#welcome || !this.#attached || this.#asked) return;
    const held = this.#sent.size + (this.#computing ? 1 : 0) + (this.#next ? 1 : 0);
    if (held === 0) this.#idleSince = this.#world.timeline.now;
    if (held > (this.#welcome.config.lease.ahead ? 1 : 0)) return;
    this.#asked = true;
    this.#send(held === 0 ? { type: "ready" } : { type: "ready", ahead: true });
  }

  #resumption(): Pick<HelloMessage, "resume" | "holds"> {
    if (!this.#welcome) return {};
    const leases = this.#leases();
    return { resume: { session: this.#welcome.session, leases }, holds: Object.fromEntries(this.#parameters) };
  }

  #leases(): number[] {
    const working = [this.#computing?.lease, this.#next].flatMap((lease) => lease?.lease ?? []);
    return [...this.#sent.keys(), ...working];
  }

  /** Verdicts that were missed follow; what was sent and may not have arrived is sent again. */
  #resumed(leases: readonly number[], waiting: boolean): void {
    const known = this.#leases();
    this.#attached = true;
    this.#watch(this.#welcome?.heartbeatMs ?? Number.POSITIVE_INFINITY);
    for (const [lease, frame] of this.#sent) if (leases.includes(lease)) this.#upload(lease, frame);
    // A lease that this worker does not know of is on its way.
    this.#asked = waiting || leases.some((lease) => !known.includes(lease));
    this.#ask();
  }

  #upload(lease: number, frame: Uint8Array): void {
    if (!this.#attached) return;
    this.#link?.volunteerSend(frame);
    this.#later(this.#welcome?.config.lease.timeoutMs ?? 0, () => {
      if (this.#sent.has(lease)) this.#giveUp();
    });
  }

  #settled(lease: number): void {
    this.#sent.delete(lease);
    this.#ask();
  }

  #cancelled(lease: number): void {
    const { timeline, account } = this.#world;
    const computing = this.#computing;
    if (this.#next?.lease === lease) this.#next = undefined;
    if (computing?.lease.lease === lease) {
      computing.stop();
      account.computed(this.profile, timeline.now - computing.since);
      this.#computing = undefined;
      this.#goOn();
    }
    this.#settled(lease);
  }

  #offered(lease: LeaseMessage): void {
    const { referee, evil } = this.#world;
    if (this.#parameters.get(lease.network) !== lease.parametersHash) {
      if (!evil) referee.violation(`lease ${lease.lease} names parameters that its worker was not sent`);
      this.#giveUp();
      return;
    }
    if (this.#computing && this.#next) {
      this.#send({ type: "return", lease: lease.lease, reason: "error", detail: "not asked for a lease now" });
      return;
    }
    if (this.#computing) this.#next = lease;
    else this.#start(lease);
    this.#ask();
  }

  #goOn(): void {
    const next = this.#next;
    this.#next = undefined;
    if (next) this.#start(next);
  }

  #start(lease: LeaseMessage): void {
    const { timeline, account, referee } = this.#world;
    const { misdeed, samplesPerSecond, draws } = this.profile;
    const { jitter } = this.#world.scenario.speed;
    const samples = lease.to - lease.from;
    const workMs = ((1000 * samples) / samplesPerSecond) * Math.exp(jitter * draws.normal());
    const since = timeline.now;
    if (misdeed === "hoard") {
      this.#computing = { lease, since, stop: () => undefined };
      return;
    }
    const { at, stalls } = this.#stalls.finish(since, workMs);
    for (const { from, to } of stalls) {
      account.stalled(this.profile, to - from);
      timeline.at(from, "world", () => {
        if (this.#computing?.lease === lease) referee.taken(lease.lease, "stalled");
      });
    }
    const stop = timeline.at(at, "world", () => this.#handIn(lease, workMs));
    this.#computing = { lease, since, stop };
  }

  #handIn(lease: LeaseMessage, workMs: number): void {
    const { account, referee, microbatch } = this.#world;
    const { misdeed } = this.profile;
    this.#computing = undefined;
    account.computed(this.profile, workMs);
    const layout = this.#world.layout(lease);
    const honest = knownSum(lease, layout, [lease], microbatch);
    let sum = honest;
    if (misdeed !== undefined) {
      sum = altered({ misdeed, lease, layout, microbatch, honest, before: this.#before });
      if (misdeed === "replay" && this.#before === undefined) this.#before = honest;
      if (sum !== honest) referee.lie(lease.lease, sum);
    }
    const body = knownBody(lease, layout, sum.units, lease.to - lease.from);
    const sent = misdeed === "shape" ? body.subarray(0, body.length - 64) : body;
    const header = {
      kind: "contribution",
      codec: lease.codec,
      round: lease.round,
      lease: lease.lease,
      samples: lease.to - lease.from,
      tensors: sum.peaks.length,
      run: this.#welcome?.runTag ?? "",
      parametersHash: lease.parametersHash,
    } as const;
    const frame = encodeFrame(header, new Uint8Array(sum.peaks.buffer), sent);
    this.#sent.set(lease.lease, frame);
    this.#upload(lease.lease, frame);
    this.#goOn();
    this.#ask();
  }

  /** Its leases are not answered for now. */
  #missed(cause: "dropped" | "left" | "died" | "lost"): void {
    for (const lease of this.#leases()) this.#world.referee.taken(lease, cause);
  }

  #disconnect(): void {
    this.#connection++;
    this.#link = undefined;
    this.#attached = false;
  }

  /** The session is over, and the work in hand comes to nothing. */
  #forget(): void {
    const { account, timeline } = this.#world;
    if (this.#computing) account.computed(this.profile, timeline.now - this.#computing.since);
    this.#computing?.stop();
    this.#welcome = undefined;
    this.#computing = undefined;
    this.#next = undefined;
    this.#sent = new Map();
    this.#asked = false;
  }

  /** Closes this connection and tries another; where messages get lost, as a page that is loaded anew. */
  #giveUp(): void {
    const link = this.#link;
    if (!link) return;
    link.volunteerClose(4011);
    if (this.#world.evil) {
      this.#forget();
      this.#parameters = new Map();
    }
    this.#lost();
  }

  #lost(): void {
    this.#missed("lost");
    this.#disconnect();
    if (!this.#gone) this.#reconnect();
  }

  #reconnect(): void {
    const [base, cap] = RECONNECT_MS;
    const ceiling = Math.min(cap, base * 2 ** Math.min(++this.#attempts, 10));
    this.#connectAfter(base + this.profile.draws.uniform() * (ceiling - base));
  }

  #connectAfter(ms: number): void {
    if (!this.#computing) this.#world.account.away(this.profile, ms);
    this.#later(ms, () => this.connect());
  }

  #send(message: WorkerMessage): void {
    this.#link?.volunteerSend(encodeMessage(message));
  }

  #later(ms: number, call: () => void): () => void {
    const { timeline } = this.#world;
    const connection = this.#connection;
    return timeline.at(timeline.now + ms, "world", () => {
      if (this.#connection === connection) call();
    });
  }
}
