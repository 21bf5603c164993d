// A virtual worker: comes, speaks the real protocol over virtual links, loses them and comes back, and goes.

import { BitswarmError } from "../../shared/base/errors.ts";
import { isChunk } from "../../shared/wire/chunk.ts";
import { isFrame } from "../../shared/wire/frame.ts";
import {
  type CoordinatorMessage,
  encodeMessage,
  PROTOCOL_VERSION,
  type WorkerMessage,
} from "../../shared/wire/protocol.ts";
import type { Profile } from "./profile.ts";
import { keyPairOf, type SigningPair, signProof } from "./signing-pair.ts";
import type { StallSchedule } from "./stall-schedule.ts";
import type { Surroundings } from "./surroundings.ts";
import type { VirtualLink } from "./virtual-link.ts";
import { VirtualMembership } from "./virtual-membership.ts";

/** Waits before another attempt: as a worker's (worker/session/session-limits.ts). */
const RECONNECT_MS = [500, 30_000] as const;
const HANDSHAKE_MS = 15_000;
/** Heartbeats without a word after which a worker gives its connection up. */
const SILENT_HEARTBEATS = 3;
/** A person reloads a page that has waited so long for work; needed only where messages get lost. */
const RELOAD_MS = 120_000;

export class Volunteer {
  readonly profile: Profile;
  readonly #world: Surroundings;
  readonly #identity: SigningPair;
  readonly #membership: VirtualMembership;
  #link: VirtualLink | undefined;
  #heardAt = 0;
  #attempts = 0;
  #gone = false;
  /** Counts connections: what was meant for one does not reach the next. */
  #connection = 0;

  constructor(profile: Profile, world: Surroundings, stalls: StallSchedule) {
    this.profile = profile;
    this.#world = world;
    this.#identity = keyPairOf(world.secret(profile.index));
    world.referee.suspects.arrived(this.#identity.account, profile.misdeed);
    this.#membership = new VirtualMembership({
      profile,
      world,
      stalls,
      later: (ms, call) => this.#later(ms, call),
      giveUp: () => this.#giveUp(),
    });
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
    this.#send({ type: "leave" });
    this.#go();
  }

  /** Is gone for good without a word. */
  die(): void {
    this.#missed("died");
    this.#link?.vanish();
    this.#go();
  }

  #go(): void {
    this.#gone = true;
    this.#disconnect();
    this.#membership.forget();
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
        ...this.#membership.resumption,
      });
    }
    this.#later(HANDSHAKE_MS, () => {
      if (!this.#membership.attached) this.#giveUp();
    });
  }

  #receive(bytes: Uint8Array): void {
    this.#heardAt = this.#world.timeline.now;
    try {
      if (isFrame(bytes)) this.#membership.takeFrame(bytes);
      else if (isChunk(bytes)) this.#membership.takeChunk(bytes);
      else this.#obey(this.#world.decoded(bytes));
    } catch (error) {
      if (!(error instanceof BitswarmError)) throw error;
      if (!this.#world.evil)
        this.#world.referee.violation(`the coordinator sent what cannot be read: ${error.message}`);
      this.#giveUp();
    }
  }

  #obey(message: CoordinatorMessage): void {
    const link = this.#link;
    if (!link) return;
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
        this.#membership.welcomed(message, link);
        this.#watch();
        return;
      case "resumed":
        this.#membership.resumed(message, link);
        this.#watch();
        return;
      case "accepted":
        this.#attempts = 0;
        this.#membership.receive(message);
        return;
      case "rejected":
        this.#world.referee.rejected(this.profile, message.code, message.message);
        this.#membership.receive(message);
        return;
      case "lease":
      case "cancel":
      case "offer":
      case "have":
        this.#membership.receive(message);
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
  #watch(): void {
    const { timeline, evil } = this.#world;
    const { heartbeatMs } = this.#membership;
    const waitingSince = timeline.now;
    const look = () => {
      if (timeline.now - this.#heardAt > SILENT_HEARTBEATS * heartbeatMs) return this.#giveUp();
      const { computing, idleSince } = this.#membership;
      const idle = !computing && timeline.now - Math.max(waitingSince, idleSince) > RELOAD_MS;
      if (evil && idle) return this.#giveUp();
      this.#later(heartbeatMs, look);
    };
    this.#later(heartbeatMs, look);
  }

  /** Its leases are not answered for now. */
  #missed(cause: "dropped" | "left" | "died" | "lost"): void {
    for (const lease of this.#membership.leases) this.#world.referee.taken(lease, cause);
  }

  #disconnect(): void {
    this.#connection++;
    this.#link = undefined;
    this.#membership.detach();
  }

  /** Closes this connection and tries another; where messages get lost, as a page that is loaded anew. */
  #giveUp(): void {
    const link = this.#link;
    if (!link) return;
    link.volunteerClose(4011);
    if (this.#world.evil) this.#membership.reload();
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
    if (!this.#membership.computing) this.#world.account.away(this.profile, ms);
    this.#later(ms, () => this.connect());
  }

  #send(message: WorkerMessage): void {
    this.#link?.volunteerSend(encodeMessage(message));
  }

  #later(ms: number, call: () => void): void {
    const { timeline } = this.#world;
    const connection = this.#connection;
    timeline.at(timeline.now + ms, "world", () => {
      if (this.#connection === connection) call();
    });
  }
}
