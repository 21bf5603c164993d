// What a virtual volunteer is to the run, from one welcome to the next and over whatever connections: parameters, leases, contributions.

import type { ParameterSet } from "../../shared/wire/parameter-set.ts";
import type { CoordinatorMessage } from "../../shared/wire/protocol.ts";
import {
  encodeMessage,
  type HelloMessage,
  type LeaseMessage,
  type WelcomeMessage,
} from "../../shared/wire/protocol.ts";
import { SessionLine } from "../../shared/wire/transfer/session-line.ts";
import type { Waste } from "./account.ts";
import type { Profile } from "./profile.ts";
import type { StallSchedule } from "./stall-schedule.ts";
import type { Surroundings } from "./surroundings.ts";
import type { VirtualLink } from "./virtual-link.ts";
import { Workbench } from "./workbench.ts";

/** Far above any frame of a simulated run. */
const FRAME_LIMIT = 1 << 30;

/** Messages about leases and what is on its way. */
export type MembershipMessage = Extract<
  CoordinatorMessage,
  { type: "lease" | "cancel" | "accepted" | "rejected" | "offer" | "have" }
>;

/** What the end of a lease says of the work on it. */
function wasteOf(message: Extract<MembershipMessage, { type: "cancel" | "accepted" | "rejected" }>): Waste | undefined {
  if (message.type === "accepted") return undefined;
  return message.type === "cancel" && message.reason === "answered" ? "repeated" : "late";
}

export interface VirtualMembershipOptions {
  readonly profile: Profile;
  readonly world: Surroundings;
  readonly stalls: StallSchedule;
  /** Calls after so many ms, unless the connection is another by then. */
  readonly later: (ms: number, call: () => void) => void;
  /** Closes the connection for another. */
  readonly giveUp: () => void;
}

export class VirtualMembership {
  readonly #options: VirtualMembershipOptions;
  readonly #bench: Workbench;
  #welcome: WelcomeMessage | undefined;
  /** As long as the session. */
  #line: SessionLine | undefined;
  /** The session goes on over a connection. */
  #attached = false;
  #asked = false;
  /** Hashes of the parameters that it holds. */
  readonly #parameters = new Map<ParameterSet, string>();
  #idleSince = 0;
  /** Of the coordinator. */
  #life = 0;

  constructor(options: VirtualMembershipOptions) {
    const { profile, world, stalls } = options;
    this.#options = options;
    this.#bench = new Workbench({
      profile,
      world,
      stalls,
      runTag: () => this.#welcome?.runTag ?? "",
      life: () => this.#life,
      handIn: (lease, frame) => this.#handIn(lease, frame),
    });
  }

  get attached(): boolean {
    return this.#attached;
  }

  get computing(): boolean {
    return this.#bench.computing;
  }

  /** Those without a verdict. */
  get leases(): readonly number[] {
    return this.#bench.leases;
  }

  /** When it last had nothing in hand. */
  get idleSince(): number {
    return this.#idleSince;
  }

  get heartbeatMs(): number {
    return this.#welcome?.heartbeatMs ?? Number.POSITIVE_INFINITY;
  }

  /** What a hello says of a session before. */
  get resumption(): Pick<HelloMessage, "resume" | "holds"> {
    if (!this.#welcome) return {};
    const leases = [...this.#bench.leases];
    return { resume: { session: this.#welcome.session, leases }, holds: Object.fromEntries(this.#parameters) };
  }

  /** A session begins; where one went before, its leases are others'. */
  welcomed(message: WelcomeMessage, link: VirtualLink): void {
    this.forget();
    this.#welcome = message;
    this.#life = this.#options.world.referee.life;
    this.#line = new SessionLine({ session: message.session, frameLimit: FRAME_LIMIT });
    this.#attach(link, []);
    this.#ask();
  }

  /** Verdicts that were missed follow; what was sent and may not have arrived is sent again. */
  resumed({ leases, waiting }: Extract<CoordinatorMessage, { type: "resumed" }>, link: VirtualLink): void {
    const known = this.#bench.leases;
    this.#attach(link, leases);
    for (const lease of known) if (leases.includes(lease) && this.#bench.awaits(lease)) this.#expectVerdict(lease);
    // A lease that this worker does not know of is on its way.
    this.#asked = waiting || leases.some((lease) => !known.includes(lease));
    this.#ask();
  }

  /** Its connection is gone. */
  detach(): void {
    this.#attached = false;
  }

  /** The session is over, and the work in hand comes to nothing. */
  forget(): void {
    this.#bench.clear();
    this.#line?.end();
    this.#line = undefined;
    this.#welcome = undefined;
    this.#asked = false;
  }

  /** As a page that is loaded anew: not even the parameters are left. */
  reload(): void {
    this.forget();
    this.#parameters.clear();
  }

  /** @throws what is wrong with the frame */
  takeFrame(bytes: Uint8Array): void {
    const { world } = this.#options;
    const { set, hash, base } = world.parameters(bytes);
    if (base === null || this.#parameters.get(set) === base) {
      this.#parameters.set(set, hash);
      return;
    }
    if (!world.evil) world.referee.violation(`a change of ${set} came to a worker that does not hold its base`);
    this.#line?.send({ type: "need", set });
  }

  /** @throws what is wrong with the chunk, or with the frame that it completes */
  takeChunk(bytes: Uint8Array): void {
    const frame = this.#line?.takeChunk(bytes);
    if (frame) this.takeFrame(frame);
  }

  /** @throws TRANSFER_INVALID, FRAME_TOO_LARGE */
  receive(message: MembershipMessage): void {
    switch (message.type) {
      case "lease":
        this.#asked = false;
        this.#offered(message);
        break;
      case "cancel":
      case "accepted":
      case "rejected":
        this.#line?.settled(message.lease);
        this.#bench.settled(message.lease, wasteOf(message));
        this.#ask();
        break;
      case "offer":
        this.#line?.offered(message);
        break;
      case "have":
        this.#line?.told(message);
        break;
      default:
        message satisfies never;
    }
  }

  #attach(link: VirtualLink, leases: readonly number[]): void {
    this.#attached = true;
    const carrier = {
      send: (message: Parameters<SessionLine["send"]>[0]) => link.volunteerSend(encodeMessage(message)),
      sendBytes: (bytes: Uint8Array<ArrayBuffer>) => link.volunteerSend(bytes),
      fail: () => this.#options.giveUp(),
    };
    this.#line?.attach(carrier, leases);
  }

  /** Asks for the lease after those in hand: at most two are held, and one that is asked for ahead is computed without a pause. */
  #ask(): void {
    if (!this.#welcome || !this.#attached || this.#asked) return;
    const held = this.#bench.leases.length;
    if (held === 0) this.#idleSince = this.#options.world.timeline.now;
    if (held > (this.#welcome.config.lease.ahead ? 1 : 0)) return;
    this.#asked = true;
    this.#line?.send(held === 0 ? { type: "ready" } : { type: "ready", ahead: true });
  }

  #offered(lease: LeaseMessage): void {
    const { world, giveUp } = this.#options;
    const { network, parametersHash, companions } = lease;
    const named = [[network, parametersHash] as const, ...Object.entries(companions)];
    if (named.some(([set, hash]) => this.#parameters.get(set) !== hash)) {
      if (!world.evil) world.referee.violation(`lease ${lease.lease} names parameters that its worker was not sent`);
      giveUp();
      return;
    }
    if (this.#bench.take(lease)) this.#ask();
    else {
      const detail = "not asked for a lease now";
      this.#line?.send({ type: "return", lease: lease.lease, reason: "error", detail });
    }
  }

  #handIn(lease: number, frame: Uint8Array<ArrayBuffer>): void {
    this.#line?.upload(lease, frame);
    if (this.#attached) this.#expectVerdict(lease);
    this.#ask();
  }

  #expectVerdict(lease: number): void {
    this.#options.later(this.#welcome?.config.lease.timeoutMs ?? 0, () => {
      if (this.#bench.awaits(lease)) this.#options.giveUp();
    });
  }
}
