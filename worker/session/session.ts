// A worker's whole life in a run: finds a device, joins, computes leases, and comes back after whatever breaks.
//
// One flow of control (#live) walks through the states; sockets, timers and people only set fields and notify it.

import { BitswarmError } from "../../shared/base/errors.ts";
import { accountOf } from "../../shared/base/identity.ts";
import type { OpenDecoding } from "../../shared/samples/decoding.ts";
import type { AdapterDescription, HelloMessage } from "../../shared/wire/protocol.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import { sleep } from "../clock.ts";
import type { KeptContent } from "../content/kept-content.ts";
import type { TrackingPorts } from "../tracking/tracking-ports.ts";
import { DutyCycle } from "../trainer/duty-cycle.ts";
import type { ComputeDevice } from "../trainer/trainer-contract.ts";
import { Condition } from "./condition.ts";
import { Connection, type SessionMessage } from "./connection.ts";
import { hello, proof } from "./hello.ts";
import { type Identity, openIdentity } from "./identity.ts";
import { type JoinLink, readJoinLink } from "./join-link.ts";
import type { Wish } from "./lease-loop.ts";
import { Membership } from "./membership.ts";
import { decideReconnect, type ReconnectHistory } from "./reconnect-decision.ts";
import { refusalOf } from "./refused-socket.ts";
import type { HoldReason, PauseReason, SessionEnd, SessionEvent, SessionState } from "./session-event.ts";
import { type SessionLimits, sessionLimits } from "./session-limits.ts";
import type { SessionPorts } from "./session-ports.ts";
import { Tally } from "./tally.ts";
import { LoadedBackbone, TrackingPlace } from "./tracking-place.ts";
import { TrainerOwner } from "./trainer-owner.ts";

export interface SessionOptions {
  /** The link that the coordinator printed. */
  readonly url: string;
  readonly name: string;
  readonly runtime: HelloMessage["runtime"];
  /** Asked again where the device is lost. @throws WEBGPU_MISSING */
  readonly openDevice: () => Promise<ComputeDevice>;
  /** The worker's key pair; by default one for this session alone. Asked once. */
  readonly openIdentity?: () => Promise<Identity>;
  readonly onEvent: (event: SessionEvent) => void;
  readonly ports: SessionPorts;
  /** How samples become microbatches; in the session's own thread unless given. */
  readonly openDecoding?: OpenDecoding;
  /** What of the data stays on this device, where the runtime has room for it. */
  readonly kept?: KeptContent | undefined;
  /** What following films takes; without it links of tracking jobs are refused. */
  readonly tracking?: TrackingPorts | undefined;
  readonly limits?: SessionLimits;
  /** How much of the time the GPU may compute, 0.1 to 1, until `throttle` says otherwise. Default 1. */
  readonly share?: number | undefined;
}

/** The handles of a running session. All may be called at any time, and twice. */
export interface RunningSession {
  /** Gives the lease back and asks for no other. */
  pause(): void;
  /** Takes back `pause`, and `finish` as long as it has not ended. */
  resume(): void;
  /** Answers the leases that it holds, takes no other, and then ends the session. */
  finish(): void;
  /** Pauses for a reason of the machine's or the page's, until it is told that there is none. */
  hold(reason: HoldReason | undefined): void;
  /** How much of the time the GPU may compute. @throws RangeError outside 0.1 to 1 */
  throttle(share: number): void;
  /** Wants to be on the board under this nickname, or not at all, of this run and of each that follows at its link. */
  list(nickname: string | null): void;
  /** Gives the lease back and ends the session. */
  leave(): void;
  /** Tries at once to connect again, where it waits before it does. */
  retry(): void;
  /** The machine has no network any more: nothing is awaited from the line, which would find out later. */
  unplugged(): void;
  /** Never rejects: a failure is an end too. */
  readonly ended: Promise<SessionEnd>;
}

/** How long a leaving worker waits for its last words to be taken. */
const FAREWELL_MS = 1000;

/** What the coordinator is told of a lease that is given back. */
const pauseDetails: Readonly<Record<PauseReason, string>> = {
  volunteer: "the volunteer paused",
  battery: "the machine runs on its battery",
  hidden: "the page is not visible",
};

/** Starts a session; everything that happens to it arrives at `onEvent`. */
export function runSession(options: SessionOptions): RunningSession {
  return new Session(options);
}

class Session implements RunningSession {
  readonly ended: Promise<SessionEnd>;
  readonly #options: SessionOptions;
  readonly #limits: SessionLimits;
  readonly #ports: SessionPorts;
  readonly #changed: Condition;
  readonly #owner: TrainerOwner;
  readonly #tally = new Tally();
  readonly #duty: DutyCycle;
  /** What the volunteer wants, and what keeps the worker from it. */
  #wish: Wish = "work";
  #hold: HoldReason | undefined;
  #connection: Connection | undefined;
  #identity: Identity | undefined;
  #membership: Membership | undefined;
  /** Where films are followed; takes the membership's place until the next welcome. */
  #tracking: TrackingPlace | undefined;
  readonly #loaded = new LoadedBackbone();
  /** The connection has been welcomed, or goes on with a session. */
  #admitted = false;
  /** Somebody does not want to wait for the next attempt. */
  #hurried = false;
  /** Under which nickname the account wants to be on the run's board, or null; undefined where nobody has said. */
  #nickname: string | null | undefined;
  /** The coordinator's newest word on the run. */
  #status: RunStatus | undefined;
  /** The coordinator's last words, once the run is over. */
  #over: string | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#limits = options.limits ?? sessionLimits;
    this.#ports = options.ports;
    this.#changed = new Condition(options.ports.clock);
    this.#duty = new DutyCycle({
      clock: options.ports.clock,
      onDuty: (duty) => options.onEvent({ type: "duty", ...duty }),
    });
    this.#owner = new TrainerOwner({
      duty: this.#duty,
      openDevice: options.openDevice,
      limits: this.#limits,
      ports: this.#ports,
      onLost: () => this.#changed.notify(),
      onTuning: options.onEvent,
      onAdapter: ({ description, vendor, architecture, software }) =>
        options.onEvent({ type: "adapter", description: description || `${vendor} ${architecture}`.trim(), software }),
    });
    if (options.share !== undefined) this.#duty.limit(options.share);
    this.ended = this.#live();
  }

  pause(): void {
    if (this.#wish === "work" || this.#wish === "finish") this.#want("pause");
  }

  resume(): void {
    if (this.#wish === "pause" || this.#wish === "finish") this.#want("work");
  }

  finish(): void {
    if (this.#wish === "work" || this.#wish === "pause") this.#want("finish");
  }

  hold(reason: HoldReason | undefined): void {
    if (reason === this.#hold) return;
    this.#hold = reason;
    this.#want(this.#wish);
  }

  throttle(share: number): void {
    this.#duty.limit(share);
  }

  list(nickname: string | null): void {
    this.#nickname = nickname;
    if (this.#online) this.#connection?.send({ type: "list", nickname });
  }

  leave(): void {
    if (this.#wish !== "leave") this.#want("leave");
  }

  retry(): void {
    this.#hurried = true;
    this.#changed.notify();
  }

  unplugged(): void {
    this.#connection?.fail(new BitswarmError("RUN_UNREACHABLE", "this machine has no network"));
  }

  #want(wish: Wish): void {
    this.#wish = wish;
    const held = this.#hold === undefined ? {} : { held: this.#hold };
    this.#options.onEvent({ type: "wish", paused: wish === "pause", finishing: wish === "finish", ...held });
    if (wish === "leave") this.#place?.giveBack("leave", "the volunteer left");
    else if (this.#pausedFor) this.#place?.giveBack("pause", pauseDetails[this.#pausedFor]);
    this.#changed.notify();
  }

  /** What the worker is to whoever it works for. */
  get #place(): Membership | TrackingPlace | undefined {
    return this.#tracking ?? this.#membership;
  }

  /** Why the GPU is to be free now; undefined where it may compute. */
  get #pausedFor(): PauseReason | undefined {
    return this.#wish === "pause" ? "volunteer" : this.#hold;
  }

  /** What is to be done now: who finishes and holds nothing any more leaves, and so does who may not compute. */
  get #due(): Wish {
    if (this.#wish === "finish") return this.#place?.holdsLeases ? "finish" : "leave";
    return this.#wish === "work" && this.#hold ? "pause" : this.#wish;
  }

  #leaving(): boolean {
    return this.#due === "leave";
  }

  #state(state: SessionState): void {
    this.#options.onEvent({ type: "state", state });
  }

  /** The line is up, and this worker has a place in the run. */
  get #online(): boolean {
    return this.#admitted && this.#connection !== undefined && this.#connection.closing === undefined;
  }

  /**
   * What the work says. It goes on while the line is down, and what it is at then is nobody's state: that says that the
   * line is down, until the work is asked again over the next one (`resumed`).
   */
  #work(event: SessionEvent): void {
    if (event.type !== "state" || this.#online) this.#options.onEvent(event);
  }

  async #live(): Promise<SessionEnd> {
    let end: SessionEnd;
    try {
      end = await this.#stay(readJoinLink(this.#options.url));
    } catch (error) {
      end = failureOf(error);
    }
    await this.#connection?.leave(FAREWELL_MS);
    if (this.#place) await Promise.race([this.#place.end(), sleep(this.#ports.clock, FAREWELL_MS)]);
    this.#loaded.drop();
    this.#membership?.close();
    this.#owner.close();
    this.#state(end);
    return end;
  }

  /** What every kind of work is told. */
  #workOptions() {
    return {
      changed: this.#changed,
      wish: () => this.#due,
      pausedFor: () => this.#pausedFor ?? ("volunteer" as const),
      over: () => this.#over !== undefined,
      tally: this.#tally,
      limits: this.#limits,
      onEvent: (event: SessionEvent) => this.#work(event),
      ports: this.#ports,
    };
  }

  /** Connects again and again until the run is over, the volunteer leaves, or trying again cannot help. */
  async #stay(link: JoinLink): Promise<SessionEnd> {
    const { limits, kept } = { ...this.#options, limits: this.#limits };
    const { clock, random } = this.#ports;
    const origin = { base: link.base, token: link.token, kept, backoff: limits.reconnect, ports: this.#ports };
    this.#membership = new Membership({
      ...this.#workOptions(),
      origin,
      openDecoding: this.#options.openDecoding,
      owner: this.#owner,
      status: () => this.#status,
    });
    let history: ReconnectHistory = { attempts: 0, faulty: 0, lastHeardMs: clock.now(), reached: false };
    for (;;) {
      this.#state({ kind: "connecting", attempt: history.attempts + 1 });
      const adapter = await this.#changed.unless(() => this.#leaving(), this.#owner.adapter());
      if (!adapter) return left;
      this.#identity ??= await this.#openIdentity();
      const since = clock.now();
      const leases = this.#tally.given.leases;
      const connection = this.#connect(link);
      await this.#serve(connection, link, adapter, this.#identity, this.#membership);
      if (this.#over !== undefined) return { kind: "ended", reason: "run-over", message: this.#over };
      if (this.#leaving()) return left;
      const refusal = connection.opened
        ? undefined
        : await this.#changed.unless(() => this.#leaving(), refusalOf(link, this.#ports));
      if (this.#leaving()) return left;
      // The page stays what it is; a place may become free.
      if (refusal?.code === "ORIGIN_REFUSED") throw refusal;
      if (connection.closing?.kind !== "fault") throw new RangeError("a connection ended and nobody ended it");
      const closing = refusal ? { ...connection.closing, error: refusal } : connection.closing;
      const heard = connection.heard || (refusal !== undefined && refusal.code !== "CERTIFICATE_INVALID");
      const ended = { closing, heard, useful: this.#tally.given.leases > leases, livedMs: clock.now() - since };
      const decision = decideReconnect(clock.now(), history, ended, this.#limits, random());
      if (decision.kind === "run-over") return { kind: "ended", reason: "run-over", message: decision.message };
      if (decision.kind === "give-up") throw decision.error;
      history = decision.history;
      const { code, message } = closing.error;
      this.#state({ kind: "reconnecting", attempt: history.attempts, delayMs: decision.delayMs, code, message });
      this.#hurried = false;
      await this.#changed.until(() => this.#leaving() || this.#hurried, decision.delayMs);
      if (this.#leaving()) return left;
    }
  }

  async #openIdentity(): Promise<Identity> {
    const open = this.#options.openIdentity ?? (() => openIdentity(undefined, () => undefined));
    const identity = await open();
    this.#options.onEvent({ type: "identity", account: accountOf(identity.publicKey) });
    return identity;
  }

  #connect(link: JoinLink): Connection {
    this.#admitted = false;
    const connection: Connection = new Connection(this.#ports, link.socketUrl, {
      opened: () => this.#changed.notify(),
      closed: () => {
        this.#membership?.disconnected();
        this.#changed.notify();
      },
      message: (message) => this.#receive(message, link),
      frame: (bytes) => this.#membership?.receiveFrame(bytes, connection),
      chunk: (bytes) => this.#membership?.receiveChunk(bytes, connection),
    });
    this.#connection = connection;
    return connection;
  }

  /** One connection from hello to its end. */
  async #serve(
    connection: Connection,
    link: JoinLink,
    adapter: AdapterDescription,
    { publicKey }: Identity,
    membership: Membership,
  ): Promise<void> {
    const stopped = () => connection.closing !== undefined || this.#over !== undefined || this.#leaving();
    await this.#changed.until(() => connection.opened || stopped(), this.#limits.handshakeMs);
    if (stopped()) return;
    if (!connection.opened) return connection.fail(silence("the socket did not open", this.#limits));
    const { name, runtime } = this.#options;
    connection.send(hello({ name, runtime, adapter, publicKey, token: link.token }, membership.resumption));
    this.#state({ kind: "joining" });
    await this.#changed.until(() => this.#admitted || stopped(), this.#limits.handshakeMs);
    if (stopped()) return;
    const { heartbeatMs } = this.#tracking ?? membership.welcome ?? {};
    if (!this.#admitted || heartbeatMs === undefined) {
      return connection.fail(silence("no welcome came", this.#limits));
    }
    connection.startHeartbeat(heartbeatMs);
    const place = this.#place ?? membership;
    await place.begin();
    // What its work throws ends the session.
    if (place.working) await this.#changed.unless(stopped, place.working);
    if (this.#leaving()) connection.send({ type: "leave" });
  }

  /** Takes the word that lets this worker in where films are followed. */
  async #follow(message: Extract<SessionMessage, { type: "tracking" }>, link: JoinLink): Promise<void> {
    const connection = this.#connection;
    if (!connection) throw new RangeError("tracking came over no connection");
    try {
      const before = this.#tracking;
      this.#tracking = new TrackingPlace(message, connection, this.#loaded, {
        ...this.#workOptions(),
        // Frames are used once: nothing of them is kept.
        origin: {
          base: link.base,
          token: link.token,
          kept: undefined,
          backoff: this.#limits.reconnect,
          ports: this.#ports,
        },
        tracking: this.#options.tracking,
        share: () => this.#duty.share,
      });
      await before?.end();
      this.#admitted = true;
      this.#changed.notify();
    } catch (error) {
      if (!(error instanceof BitswarmError)) throw error;
      connection.fail(error, false);
    }
  }

  /** Takes the word that lets this worker in. */
  #enter(message: Extract<SessionMessage, { type: "welcome" | "resumed" }>): void {
    const [connection, membership] = [this.#connection, this.#membership];
    if (!connection || !membership) throw new RangeError(`${message.type} came over no connection`);
    if (message.type === "resumed") {
      this.#admitted = true;
      membership.resume(message, connection);
      return;
    }
    try {
      this.#tracking?.end();
      this.#tracking = undefined;
      membership.enter(message, connection);
    } catch (error) {
      if (!(error instanceof BitswarmError)) throw error;
      // Another connection would be welcomed to the same run.
      connection.fail(error, false);
      return;
    }
    this.#admitted = true;
    if (this.#nickname !== undefined) connection.send({ type: "list", nickname: this.#nickname });
  }

  #receive(message: SessionMessage, link: JoinLink): void {
    switch (message.type) {
      case "challenge":
        this.#prove(message, link);
        return;
      case "rest":
        this.#options.onEvent({ type: "trouble", code: "CONTRIBUTION_DISPUTED", message: message.message });
        return;
      case "canary":
        if (this.#connection) this.#membership?.calibrate(message.seed, this.#connection);
        return;
      case "welcome":
      case "resumed":
        this.#enter(message);
        break;
      case "ended":
        this.#over = message.message;
        break;
      case "status":
        this.#status = message.status;
        this.#options.onEvent({ type: "status", status: message.status });
        break;
      case "tracking":
        this.#follow(message, link);
        return;
      case "track":
        if (!this.#tracking) throw new BitswarmError("MESSAGE_INVALID", "a film came before the word that lets in");
        this.#tracking.receive(message);
        return;
      case "cancel":
      case "accepted":
      case "rejected":
        this.#place?.receive(message);
        return;
      case "lease":
      case "offer":
      case "have":
        this.#membership?.receive(message);
        return;
      default:
        message satisfies never;
    }
    this.#changed.notify();
  }

  /** Shows that this worker holds its key. */
  async #prove({ nonce, run, protocol }: Extract<SessionMessage, { type: "challenge" }>, { token }: JoinLink) {
    const [connection, identity] = [this.#connection, this.#identity];
    if (!connection || !identity) throw new RangeError("a challenge came before the hello");
    try {
      connection.send(await proof({ nonce, run, protocol, token }, identity));
    } catch (error) {
      if (!(error instanceof BitswarmError)) throw error;
      connection.fail(error, false);
    }
  }
}

const left: SessionEnd = { kind: "ended", reason: "left", message: "You left the run; what you gave stays." };

function silence(what: string, { handshakeMs }: SessionLimits): BitswarmError {
  return new BitswarmError("RUN_UNREACHABLE", `${what} within ${handshakeMs} ms`);
}

function failureOf(error: unknown): SessionEnd {
  if (error instanceof BitswarmError) return { kind: "failed", code: error.code, message: error.message };
  return { kind: "failed", code: "COMPUTE_FAILED", message: `an unexpected error ended the session: ${String(error)}` };
}
