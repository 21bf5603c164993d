// A volunteer: the worker's own session in virtual time, over virtual links, with a trainer whose gradients are known.
// Here is what happens to it: it comes, loses its network, is looked after by a person, leaves or dies.

import { createHash } from "node:crypto";
import type { Dataset } from "../../shared/data/dataset.ts";
import type { Decoding } from "../../shared/samples/decoding.ts";
import type { KeptContent } from "../../worker/content/kept-content.ts";
import { type RunningSession, runSession } from "../../worker/session/session.ts";
import type { SessionEnd, SessionEvent } from "../../worker/session/session-event.ts";
import type { SessionPorts, SocketEvents } from "../../worker/session/session-ports.ts";
import { ChunkShelf } from "./chunk-shelf.ts";
import { KnownTrainer, noSamples } from "./known-trainer.ts";
import type { Profile } from "./profile.ts";
import { keyPairOf, type SigningPair, signBytes } from "./signing-pair.ts";
import type { StallSchedule } from "./stall-schedule.ts";
import { type Caller, operatorTokenOf, type Surroundings } from "./surroundings.ts";
import { livingClock } from "./timeline.ts";
import { VirtualSocket } from "./virtual-socket.ts";
import { Witness } from "./witness.ts";

/** A person reloads a page that has waited so long for work; needed only where messages get lost. */
const PATIENCE_MS = 120_000;
/** And a page that has given up. */
const RELOAD_MS = 10_000;
/** Who never answers comes again with another key after so long. */
const RENEWED_MS = 10_000;
/** So long who gives its leases back keeps one, and so long it wants none. */
const BOUNCED_MS = 20;
/** How soon a machine without a network says that it has none. */
const NO_NETWORK_MS = 1;

/** What no honest volunteer's session breaks over unless messages are damaged. */
const unreadable: readonly string[] = [
  "MESSAGE_INVALID",
  "FRAME_TOO_LARGE",
  "FRAME_TRUNCATED",
  "FRAME_CORRUPT",
  "TRANSFER_INVALID",
  "PROTOCOL_MISMATCH",
  "COMPUTE_FAILED",
];

/** A page that is open. */
interface Visit {
  alive: boolean;
  readonly trainer: KnownTrainer;
  session?: RunningSession;
  /** The newest. */
  socket?: VirtualSocket;
}

type OpenShelf = (dataset: Dataset, kept: KeptContent | undefined) => Decoding;

export class Volunteer {
  readonly profile: Profile;
  readonly #world: Surroundings;
  #identity: SigningPair;
  #lives = 0;
  readonly #stalls: StallSchedule;
  readonly #witness: Witness;
  /** Of data that come in chunks. */
  readonly #shelf: ChunkShelf | undefined;
  #visit: Visit | undefined;
  #gone = false;
  /** Until when its network is down. */
  #awayUntil = 0;

  constructor(profile: Profile, world: Surroundings, stalls: StallSchedule) {
    this.profile = profile;
    this.#world = world;
    this.#stalls = stalls;
    this.#identity = keyPairOf(world.secret(profile.index));
    this.#witness = new Witness(profile, world);
    const { chunk, kept } = world.scenario.data;
    const room = chunk > 0 ? Math.ceil((kept * world.dataset.train.samples) / chunk) : 0;
    if (chunk > 0) this.#shelf = new ChunkShelf(room, (chunks) => world.downloaded(chunks));
    world.referee.suspects.arrived(this.#identity.account, profile.misdeed);
  }

  /** Opens the page. */
  visit(): void {
    const { profile } = this;
    const [world, witness] = [this.#world, this.#witness];
    const begun = () => this.#bounce();
    const trainer = new KnownTrainer({ profile, world, stalls: this.#stalls, witness, begun });
    const visit: Visit = { alive: true, trainer };
    this.#visit = visit;
    if (profile.misdeed === "silent") this.#renew(visit);
    const ports: SessionPorts = {
      clock: livingClock(world.timeline.clock("world"), visit),
      random: () => profile.draws.uniform(),
      openSocket: (_url, events) => this.#connect(visit, events),
      fetch: (url) => world.fetch(this, url),
      sha256: async (bytes) => createHash("sha256").update(bytes).digest("hex"),
    };
    const open = (dataset: Dataset, kept: KeptContent | undefined) => this.#shelf?.decoding(dataset, kept) ?? noSamples;
    const run = (kept?: KeptContent) => this.#run(visit, ports, open, kept);
    if (this.#shelf) this.#shelf.open().then((kept) => visit.alive && run(kept));
    else run();
    if (world.evil) this.#lookAfter(visit);
  }

  #run(visit: Visit, ports: SessionPorts, open: OpenShelf, kept: KeptContent | undefined): void {
    const { profile } = this;
    const [world, identity] = [this.#world, this.#identity];
    const own = (world.scenario.own && profile.misdeed === undefined) || profile.crowd > 1;
    visit.session = runSession({
      url: `http://simulated/?token=${own ? operatorTokenOf(world.token) : world.token}`,
      name: `volunteer ${profile.index}`,
      runtime: "node",
      ports,
      openIdentity: async () => ({
        publicKey: identity.publicKey,
        sign: async (bytes) => signBytes(identity, bytes),
      }),
      openDevice: async () => visit.trainer.device,
      openDecoding: (_config, dataset) => open(dataset, kept),
      ...(kept ? { kept } : {}),
      onEvent: (event) => {
        if (visit.alive) this.#note(visit, event);
      },
    });
    visit.session.ended.then((end) => {
      if (visit.alive) this.#ended(visit, end);
    });
  }

  /** Its network breaks, and is back after `awayMs`. */
  drop(awayMs: number): void {
    const socket = this.#visit?.socket;
    if (!socket?.opened) return;
    this.#witness.missed("dropped");
    this.#awayUntil = this.#world.timeline.now + awayMs;
    socket.cut();
  }

  /** Lets its GPU compute so much of the time. */
  throttle(share: number): void {
    this.#visit?.session?.throttle(share);
    this.#visit?.trainer.throttled();
  }

  /** Says goodbye and is gone for good. */
  leave(): void {
    this.#witness.missed("left");
    this.#visit?.session?.leave();
    this.#visit?.trainer.look();
    this.#witness.forget();
    this.#goes();
  }

  /** Is gone for good without a word. */
  die(): void {
    this.#witness.missed("died");
    this.#close();
    this.#goes();
  }

  #goes(): void {
    this.#gone = true;
    this.#world.account.gone(this.profile);
  }

  /** The page is closed, in the middle of whatever it does. */
  #close(): void {
    const visit = this.#visit;
    this.#visit = undefined;
    if (!visit) return;
    visit.alive = false;
    visit.socket?.vanish();
    visit.trainer.stop();
    this.#witness.forget();
  }

  #reload(): void {
    const { timeline, account } = this.#world;
    this.#close();
    account.away(this.profile, RELOAD_MS);
    timeline.at(timeline.now + RELOAD_MS, "world", () => {
      if (!this.#gone) this.visit();
    });
  }

  /** Comes again as somebody else. */
  #renew(visit: Visit): void {
    const { timeline, referee } = this.#world;
    timeline.at(timeline.now + RENEWED_MS, "world", () => {
      if (!visit.alive || this.#visit !== visit) return;
      this.#close();
      this.#identity = keyPairOf(this.#world.secret(this.profile.index, ++this.#lives));
      referee.suspects.arrived(this.#identity.account, this.profile.misdeed);
      this.visit();
    });
  }

  /** Gives back what it has just been lent, and asks for another. */
  #bounce(): void {
    const visit = this.#visit;
    if (this.profile.misdeed !== "bounce" || !visit) return;
    const { timeline } = this.#world;
    timeline.at(timeline.now + BOUNCED_MS, "world", () => visit.alive && visit.session?.pause());
    timeline.at(timeline.now + 2 * BOUNCED_MS, "world", () => visit.alive && visit.session?.resume());
  }

  #connect(visit: Visit, events: SocketEvents): VirtualSocket {
    const { misdeed, draws } = this.profile;
    // A slow loris often opens a connection and says nothing.
    const mute = misdeed === "loris" && draws.uniform() < 0.5;
    const { timeline } = this.#world;
    const watch = {
      hears: (bytes: Uint8Array) => this.#witness.hears(bytes),
      heard: () => visit.trainer.look(),
      says: (bytes: Uint8Array) => {
        if (!mute) this.#witness.says(bytes);
        return !mute;
      },
      lost: () => this.#witness.missed("lost"),
    };
    const connect = (caller: Caller) => {
      if (timeline.now >= this.#awayUntil) this.#world.connect(this, caller);
      else timeline.at(timeline.now + NO_NETWORK_MS, "world", () => caller.refused());
    };
    const { latencyMs } = this.profile.quality;
    const socket = new VirtualSocket({ timeline, latencyMs, events, watch, connect });
    visit.socket = socket;
    return socket;
  }

  #note(visit: Visit, event: SessionEvent): void {
    const { account, referee, evil } = this.#world;
    if (event.type !== "state" || event.state.kind !== "reconnecting") return;
    const { code, message, delayMs } = event.state;
    if (!visit.trainer.computing) account.away(this.profile, delayMs);
    if (this.profile.misdeed !== undefined || evil || !unreadable.includes(code)) return;
    referee.violation(`the session of the honest volunteer ${this.profile.index} broke over ${code}: ${message}`);
  }

  #ended(visit: Visit, end: SessionEnd): void {
    if (end.kind === "ended") return;
    // A person tries again where nobody answered.
    if (this.#world.evil || end.code === "RUN_UNREACHABLE") {
      this.#reload();
      return;
    }
    visit.trainer.stop();
    this.#goes();
    if (this.profile.misdeed === undefined)
      this.#world.referee.violation(`an honest volunteer was turned away for good: ${end.code}: ${end.message}`);
  }

  /** Somebody looks now and then whether the page still does anything. */
  #lookAfter(visit: Visit): void {
    const { timeline } = this.#world;
    timeline.at(timeline.now + PATIENCE_MS / 4, "world", () => {
      if (!visit.alive || this.#visit !== visit) return;
      if (timeline.now - visit.trainer.busyUntil > PATIENCE_MS) this.#reload();
      else this.#lookAfter(visit);
    });
  }
}
