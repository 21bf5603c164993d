// What a worker is where films are followed in place of a network being trained: asks for films, follows each, and says
// its boxes. It ends with its connection; the film in hand then starts anew, at whoever is free.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { JpegDecoder } from "../../shared/image/jpeg.ts";
import type { Backbone } from "../../shared/tracking/backbone.ts";
import { type CoordinatorMessage, PROTOCOL_VERSION, type ReturnReason } from "../../shared/wire/protocol.ts";
import { frameHashes, packFrames, type TrackingMessage, type TrackMessage } from "../../shared/wire/tracking.ts";
import { backoffMs } from "../backoff.ts";
import { sleep } from "../clock.ts";
import { fetchContent, wholeContent } from "../content/content-fetch.ts";
import type { ContentOrigin } from "../content/content-origin.ts";
import { followFilm } from "../tracking/follow-film.ts";
import { FramesAhead } from "../tracking/frames-ahead.ts";
import type { TrackingPorts } from "../tracking/tracking-ports.ts";
import type { Condition } from "./condition.ts";
import type { Connection } from "./connection.ts";
import type { Wish } from "./lease-loop.ts";
import type { LeaseSummary, PauseReason, SessionEvent } from "./session-event.ts";
import type { SessionLimits } from "./session-limits.ts";
import type { SessionPorts } from "./session-ports.ts";
import type { Tally } from "./tally.ts";

export type TrackingPlaceMessage = Extract<CoordinatorMessage, { type: "track" | "cancel" | "accepted" | "rejected" }>;

export interface TrackingPlaceOptions {
  readonly origin: ContentOrigin;
  /** Of the runtime; none where it follows no films. */
  readonly tracking: TrackingPorts | undefined;
  readonly changed: Condition;
  readonly wish: () => Wish;
  readonly pausedFor: () => PauseReason;
  readonly over: () => boolean;
  /** How much of the time may be computed, above 0. */
  readonly share: () => number;
  readonly tally: Tally;
  readonly limits: SessionLimits;
  readonly onEvent: (event: SessionEvent) => void;
  readonly ports: SessionPorts;
}

/** A network that is loaded, for as long as jobs want the same. */
export class LoadedBackbone {
  #loaded: { readonly key: string; readonly backbone: Backbone } | undefined;

  /** @param key names it @throws what loading throws */
  async of(key: string, load: () => Promise<Backbone>): Promise<Backbone> {
    if (this.#loaded?.key === key) return this.#loaded.backbone;
    this.drop();
    const backbone = await load();
    this.#loaded = { key, backbone };
    return backbone;
  }

  drop(): void {
    this.#loaded?.backbone.dispose();
    this.#loaded = undefined;
  }
}

interface HeldFilm {
  readonly film: TrackMessage;
  /** Its boxes are said, and the verdict is awaited. */
  answered: boolean;
  verdict?: Exclude<TrackingPlaceMessage, { type: "track" }>;
  over: boolean;
}

export class TrackingPlace {
  readonly #options: TrackingPlaceOptions;
  readonly #welcome: TrackingMessage;
  readonly #connection: Connection;
  readonly #loaded: LoadedBackbone;
  #jpeg: Pick<JpegDecoder, "decode"> | undefined;
  #held: HeldFilm | undefined;
  #asked = false;
  #ended = false;
  #failures = 0;
  #working: Promise<void> | undefined;

  /** @throws PROTOCOL_MISMATCH, CONFIG_INVALID for a worker that follows no films */
  constructor(welcome: TrackingMessage, connection: Connection, loaded: LoadedBackbone, options: TrackingPlaceOptions) {
    if (welcome.protocol !== PROTOCOL_VERSION) {
      throw new BitswarmError(
        "PROTOCOL_MISMATCH",
        `the coordinator speaks protocol ${welcome.protocol}, this worker ${PROTOCOL_VERSION}; reload the page or update the older side`,
      );
    }
    if (options.tracking === undefined) {
      throw new BitswarmError("CONFIG_INVALID", "this worker trains networks alone, and the link is of a tracking job");
    }
    this.#welcome = welcome;
    this.#connection = connection;
    this.#loaded = loaded;
    this.#options = options;
  }

  get heartbeatMs(): number {
    return this.#welcome.heartbeatMs;
  }

  get holdsLeases(): boolean {
    return this.#held !== undefined;
  }

  /** Settles when the work ends; rejects with what makes this worker useless. */
  get working(): Promise<void> | undefined {
    return this.#working;
  }

  begin(): void {
    const { run, name, worker } = this.#welcome;
    this.#options.onEvent({ type: "joined", run, name, worker });
    this.#working = this.#work();
    this.#working.catch(() => undefined);
  }

  receive(message: TrackingPlaceMessage): void {
    if (message.type === "track") {
      this.#asked = false;
      if (this.#held || this.#options.wish() !== "work") {
        this.#return(message.lease, "pause", "not asked for a film now");
      } else {
        this.#held = { film: message, answered: false, over: false };
      }
    } else if (this.#held?.film.lease === message.lease) {
      this.#held.verdict = message;
      this.#held.over = true;
    }
    this.#options.changed.notify();
  }

  /** Gives the film back, unless all its boxes are said. */
  giveBack(reason: ReturnReason, detail: string): void {
    const held = this.#held;
    if (!held || held.answered || held.over) return;
    held.over = true;
    this.#return(held.film.lease, reason, detail);
    this.#options.changed.notify();
  }

  async end(): Promise<void> {
    this.#ended = true;
    if (this.#held) this.#held.over = true;
    this.#options.changed.notify();
    await this.#working?.catch(() => undefined);
  }

  #return(lease: number, reason: ReturnReason, detail: string): void {
    this.#connection.send({ type: "return", lease, reason, detail: detail.slice(0, 500) });
  }

  #stopped(): boolean {
    const { over, wish } = this.#options;
    return this.#ended || this.#connection.closing !== undefined || over() || wish() === "leave";
  }

  async #work(): Promise<void> {
    const { changed, onEvent, wish } = this.#options;
    while (!this.#stopped()) {
      if (wish() === "pause") {
        this.#connection.send({ type: "paused" });
        this.#asked = false;
        await this.#rest();
        continue;
      }
      onEvent({ type: "state", state: { kind: "preparing" } });
      // Before asking: a film is not to wait while kernels compile.
      const backbone = await changed.unless(() => this.#stopped(), this.#backbone());
      if (!backbone || this.#stopped()) return;
      if (!this.#held && wish() === "work") {
        if (!this.#asked) this.#connection.send({ type: "ready" });
        this.#asked = true;
        onEvent({ type: "state", state: { kind: "waiting" } });
      }
      await changed.until(() => this.#held !== undefined || this.#stopped() || wish() === "pause");
      if (this.#held) await this.#answer(this.#held, backbone);
    }
  }

  async #rest(): Promise<void> {
    const { changed, onEvent, pausedFor, wish } = this.#options;
    const over = () => wish() !== "pause" || this.#stopped();
    while (!over()) {
      const why = pausedFor();
      onEvent({ type: "state", state: { kind: "paused", why } });
      await changed.until(() => over() || pausedFor() !== why);
    }
  }

  async #backbone(): Promise<Backbone> {
    const { origin, tracking } = this.#options;
    const { sha256, bytes } = this.#welcome.model;
    if (!tracking) throw new RangeError("a place was made without ports");
    this.#jpeg ??= await tracking.openJpeg();
    return this.#loaded.of(`${sha256} ${this.#welcome.backend}`, async () => {
      const model = await fetchContent(wholeContent("blobs", sha256, bytes), origin, new AbortController().signal);
      return tracking.openBackbone(model.bytes, this.#welcome.backend);
    });
  }

  async #answer(held: HeldFilm, backbone: Backbone): Promise<void> {
    const { changed, onEvent, origin, ports, tally } = this.#options;
    const { film } = held;
    const hashes = frameHashes(film.frames);
    const summary = summaryOf(film, hashes.length);
    const frames = new FramesAhead({
      hashes,
      fetchFrame: async (sha256, signal) => (await fetchContent(wholeContent("shards", sha256), origin, signal)).bytes,
    });
    const aborted = () => held.over || this.#stopped();
    const since = ports.clock.now();
    if (!this.#jpeg) throw new RangeError("a film came before the decoder");
    try {
      if (aborted()) return;
      onEvent({ type: "state", state: { kind: "computing", lease: summary } });
      const following = followFilm({
        film,
        options: this.#welcome.options,
        backbone,
        jpeg: this.#jpeg,
        next: () => frames.next(),
        now: () => ports.clock.now(),
        rest: (busyMs) => this.#restAfter(busyMs),
        aborted,
        tell: (from, told) => {
          if (aborted()) return;
          // From the last on it is not taken back.
          held.answered = from + told.length === hashes.length;
          this.#connection.send({ type: "tracked", lease: film.lease, from, boxes: packFrames(told) });
        },
      });
      const followed = await following;
      if (followed === "aborted" || !held.answered) return;
      await changed.until(() => held.over || this.#stopped());
      const seconds = (ports.clock.now() - since) / 1000;
      if (held.verdict?.type === "accepted") {
        this.#failures = 0;
        onEvent({ type: "contributed", lease: summary, ...tally.add(held.verdict.samples, seconds) });
      } else if (held.verdict?.type === "rejected") {
        onEvent({ type: "trouble", code: held.verdict.code, message: held.verdict.message });
      }
    } catch (error) {
      if (!aborted()) await this.#failed(held, error);
    } finally {
      frames.close();
      if (this.#held === held) this.#held = undefined;
      changed.notify();
    }
  }

  /** So long that it was busy for its share of the time. */
  async #restAfter(busyMs: number): Promise<void> {
    const { ports, share } = this.#options;
    const restMs = busyMs * (1 / share() - 1);
    if (restMs > 0) await sleep(ports.clock, restMs);
  }

  /** Gives the film back; after too many in a row this worker is of no use. */
  async #failed(held: HeldFilm, cause: unknown): Promise<void> {
    const { changed, limits, onEvent, ports } = this.#options;
    const error =
      cause instanceof BitswarmError
        ? cause
        : new BitswarmError("COMPUTE_FAILED", `the film could not be followed: ${String(cause)}`, { cause });
    const { code, message } = error;
    held.over = true;
    // What is wrong with a film is no fault of this worker's.
    const ofFilm = code === "DATA_INVALID" || code === "DATA_MISSING";
    this.#return(held.film.lease, code === "DEVICE_LOST" ? "device-lost" : "error", `${code}: ${message}`);
    onEvent({ type: "trouble", code, message });
    if (ofFilm) return;
    this.#loaded.drop();
    this.#failures++;
    if (this.#failures >= limits.failedLeases || code === "TOKEN_INVALID") throw error;
    const wait = backoffMs(limits.reconnect, this.#failures, ports.random());
    await changed.until(() => this.#stopped(), wait);
  }
}

function summaryOf({ lease, sequence }: TrackMessage, frames: number): LeaseSummary {
  return {
    lease,
    phase: "tracking",
    network: "tracker",
    doing: `following ${sequence}`,
    evaluate: true,
    step: 0,
    epoch: 0,
    ranges: [{ from: 0, to: frames }],
    film: sequence,
  };
}
