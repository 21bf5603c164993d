// A worker's whole life in a run: finds a device, joins, computes leases, and comes back after whatever breaks.
//
// One flow of control (#live) walks through the states; sockets, timers and people only set fields and notify it.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { AdapterDescription, HelloMessage } from "../../shared/wire/protocol.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import { sleep } from "../clock.ts";
import type { createSampleDecoder } from "../trainer/sample-decoder.ts";
import type { ComputeDevice } from "../trainer/trainer-contract.ts";
import { Condition } from "./condition.ts";
import { Connection, type SessionMessage } from "./connection.ts";
import type { ContentCache } from "./content-fetch.ts";
import { hello, proof } from "./hello.ts";
import { type Identity, openIdentity } from "./identity.ts";
import { type JoinLink, readJoinLink } from "./join-link.ts";
import type { Wish } from "./lease-loop.ts";
import { Membership } from "./membership.ts";
import { decideReconnect, type ReconnectHistory } from "./reconnect-decision.ts";
import { refusalOf } from "./refused-socket.ts";
import type { SessionEnd, SessionEvent, SessionState } from "./session-event.ts";
import { type SessionLimits, sessionLimits } from "./session-limits.ts";
import type { SessionPorts } from "./session-ports.ts";
import { Tally } from "./tally.ts";
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
  /** How shards become microbatches; the simulation's trainer looks at none. */
  readonly createDecoder?: typeof createSampleDecoder;
  /** Cache storage for shards, where the runtime has one. */
  readonly cache?: ContentCache;
  readonly limits?: SessionLimits;
}

/** The handles of a running session. All may be called at any time, and twice. */
export interface RunningSession {
  /** Gives the lease back and asks for no other. */
  pause(): void;
  resume(): void;
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
  #wish: Wish = "work";
  #connection: Connection | undefined;
  #identity: Identity | undefined;
  #membership: Membership | undefined;
  /** The connection has been welcomed, or goes on with a session. */
  #admitted = false;
  /** Somebody does not want to wait for the next attempt. */
  #hurried = false;
  /** The coordinator's newest word on the run. */
  #status: RunStatus | undefined;
  /** The coordinator's last words, once the run is over. */
  #over: string | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#limits = options.limits ?? sessionLimits;
    this.#ports = options.ports;
    this.#changed = new Condition(options.ports.clock);
    this.#owner = new TrainerOwner({
      openDevice: options.openDevice,
      limits: this.#limits,
      ports: this.#ports,
      onLost: () => this.#changed.notify(),
      onTuning: options.onEvent,
      onAdapter: ({ description, vendor, architecture, software }) =>
        options.onEvent({ type: "adapter", description: description || `${vendor} ${architecture}`.trim(), software }),
    });
    this.ended = this.#live();
  }

  pause(): void {
    if (this.#wish === "work") this.#want("pause", "the volunteer paused");
  }

  resume(): void {
    if (this.#wish === "pause") this.#want("work", "");
  }

  leave(): void {
    if (this.#wish !== "leave") this.#want("leave", "the volunteer left");
  }

  retry(): void {
    this.#hurried = true;
    this.#changed.notify();
  }

  unplugged(): void {
    this.#connection?.fail(new BitswarmError("RUN_UNREACHABLE", "this machine has no network"));
  }

  #want(wish: Wish, detail: string): void {
    this.#wish = wish;
    this.#options.onEvent({ type: "wish", paused: wish === "pause" });
    if (wish !== "work") this.#membership?.giveBack(wish, detail);
    this.#changed.notify();
  }

  #leaving(): boolean {
    return this.#wish === "leave";
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
    if (this.#membership) await Promise.race([this.#membership.end(), sleep(this.#ports.clock, FAREWELL_MS)]);
    this.#membership?.close();
    this.#owner.close();
    this.#state(end);
    return end;
  }

  /** Connects again and again until the run is over, the volunteer leaves, or trying again cannot help. */
  async #stay(link: JoinLink): Promise<SessionEnd> {
    const { limits, cache } = { ...this.#options, limits: this.#limits };
    const { clock, random } = this.#ports;
    this.#membership = new Membership({
      origin: { base: link.base, token: link.token, cache, backoff: limits.reconnect, ports: this.#ports },
      createDecoder: this.#options.createDecoder,
      owner: this.#owner,
      changed: this.#changed,
      wish: () => this.#wish,
      over: () => this.#over !== undefined,
      status: () => this.#status,
      tally: this.#tally,
      limits,
      onEvent: (event) => this.#work(event),
      ports: this.#ports,
    });
    let history: ReconnectHistory = { attempts: 0, faulty: 0, lastHeardMs: clock.now(), reached: false };
    for (;;) {
      this.#state({ kind: "connecting", attempt: history.attempts + 1 });
      const adapter = await this.#changed.unless(() => this.#leaving(), this.#owner.adapter());
      if (!adapter) return left;
      this.#identity ??= await (this.#options.openIdentity ?? (() => openIdentity(undefined, () => undefined)))();
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
      const heard = connection.heard || refusal !== undefined;
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
    const { welcome } = membership;
    if (!this.#admitted || !welcome) return connection.fail(silence("no welcome came", this.#limits));
    connection.startHeartbeat(welcome.heartbeatMs);
    await membership.begin();
    // What its work throws ends the session.
    if (membership.working) await this.#changed.unless(stopped, membership.working);
    if (this.#leaving()) connection.send({ type: "leave" });
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
      membership.enter(message, connection);
    } catch (error) {
      if (!(error instanceof BitswarmError)) throw error;
      // Another connection would be welcomed to the same run.
      connection.fail(error, false);
      return;
    }
    this.#admitted = true;
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
      case "lease":
      case "cancel":
      case "accepted":
      case "rejected":
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
