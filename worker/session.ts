// A worker's whole life in a run: finds a device, joins, computes leases, and comes back after whatever breaks.
//
// One flow of control (#live) walks through the states; sockets, timers and people only set fields and notify it.

import { canaryLayers } from "../shared/canary.ts";
import { BitswarmError } from "../shared/errors.ts";
import { proofBytes } from "../shared/identity.ts";
import { buildNetworks } from "../shared/networks.ts";
import {
  type AdapterDescription,
  type HelloMessage,
  MAX_TEXT,
  PROTOCOL_VERSION,
  type WelcomeMessage,
} from "../shared/protocol.ts";
import { answerCanary } from "./canary.ts";
import { Condition } from "./condition.ts";
import { Connection, type SessionMessage, type SocketConstructor } from "./connection.ts";
import type { ContentCache } from "./content-fetch.ts";
import type { OpenDevice } from "./device.ts";
import { type Identity, openIdentity } from "./identity.ts";
import { type JoinLink, readJoinLink } from "./join-link.ts";
import { type JoinedRun, openRun, runIdentity } from "./joined-run.ts";
import { decideReconnect, type ReconnectHistory } from "./reconnect-decision.ts";
import type { SessionEnd, SessionEvent, SessionState } from "./session-event.ts";
import { type SessionLimits, sessionLimits } from "./session-limits.ts";
import { Tally } from "./tally.ts";
import { type CreateTrainer, TrainerOwner } from "./trainer-owner.ts";
import { type Wish, WorkShift } from "./work-shift.ts";

export interface SessionOptions {
  /** The link that the coordinator printed. */
  readonly url: string;
  readonly name: string;
  readonly runtime: HelloMessage["runtime"];
  readonly openDevice: () => Promise<OpenDevice>;
  /** The worker's key pair; by default one for this session alone. Asked once. */
  readonly openIdentity?: () => Promise<Identity>;
  readonly createTrainer: CreateTrainer;
  readonly onEvent: (event: SessionEvent) => void;
  /** The runtime's own unless given: Node 20 has none. */
  readonly WebSocket?: SocketConstructor;
  /** Cache storage for shards, where the runtime has one. */
  readonly cache?: ContentCache;
  readonly limits?: SessionLimits;
  /** Milliseconds on a monotonic clock. */
  readonly now?: () => number;
}

/** The handles of a running session. All may be called at any time, and twice. */
export interface RunningSession {
  /** Gives the lease back and asks for no other. */
  pause(): void;
  resume(): void;
  /** Gives the lease back and ends the session. */
  leave(): void;
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
  readonly #now: () => number;
  readonly #changed = new Condition();
  readonly #owner: TrainerOwner;
  readonly #tally = new Tally();
  #wish: Wish = "work";
  #connection: Connection | undefined;
  #identity: Identity | undefined;
  #welcome: WelcomeMessage | undefined;
  #run: JoinedRun | undefined;
  #shift: WorkShift | undefined;
  /** The coordinator's last words, once the run is over. */
  #over: string | undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#limits = options.limits ?? sessionLimits;
    this.#now = options.now ?? (() => performance.now());
    this.#owner = new TrainerOwner({
      openDevice: options.openDevice,
      createTrainer: options.createTrainer,
      limits: this.#limits,
      now: this.#now,
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

  #want(wish: Wish, detail: string): void {
    this.#wish = wish;
    if (wish !== "work") this.#shift?.giveBack(wish, detail);
    this.#changed.notify();
  }

  #leaving(): boolean {
    return this.#wish === "leave";
  }

  #state(state: SessionState): void {
    this.#options.onEvent({ type: "state", state });
  }

  async #live(): Promise<SessionEnd> {
    let end: SessionEnd;
    try {
      end = await this.#stay(readJoinLink(this.#options.url));
    } catch (error) {
      end = failureOf(error);
    }
    await this.#connection?.leave(FAREWELL_MS);
    this.#run?.cache.close();
    this.#owner.close();
    this.#state(end);
    return end;
  }

  /** Connects again and again until the run is over, the volunteer leaves, or trying again cannot help. */
  async #stay(link: JoinLink): Promise<SessionEnd> {
    let history: ReconnectHistory = { attempts: 0, faulty: 0, lastHeardMs: this.#now(), reached: false };
    for (;;) {
      this.#state({ kind: "connecting", attempt: history.attempts + 1 });
      const adapter = await this.#changed.unless(() => this.#leaving(), this.#owner.adapter());
      if (!adapter) return left;
      this.#identity ??= await (this.#options.openIdentity ?? (() => openIdentity(undefined, () => undefined)))();
      const since = this.#now();
      const leases = this.#tally.given.leases;
      const connection = this.#connect(link);
      await this.#serve(connection, link, adapter, this.#identity);
      if (this.#over !== undefined) return { kind: "ended", reason: "run-over", message: this.#over };
      if (this.#leaving()) return left;
      const { closing, heard } = connection;
      if (closing?.kind !== "fault") throw new RangeError("a connection ended and nobody ended it");
      const ended = { closing, heard, useful: this.#tally.given.leases > leases, livedMs: this.#now() - since };
      const decision = decideReconnect(this.#now(), history, ended, this.#limits, Math.random());
      if (decision.kind === "run-over") return { kind: "ended", reason: "run-over", message: decision.message };
      if (decision.kind === "give-up") throw decision.error;
      history = decision.history;
      const { code, message } = closing.error;
      this.#state({ kind: "reconnecting", attempt: history.attempts, delayMs: decision.delayMs, code, message });
      await this.#changed.until(() => this.#leaving(), decision.delayMs);
      if (this.#leaving()) return left;
    }
  }

  #connect(link: JoinLink): Connection {
    this.#welcome = undefined;
    this.#connection = new Connection(this.#options.WebSocket ?? WebSocket, link.socketUrl, {
      opened: () => this.#changed.notify(),
      closed: () => {
        this.#run?.parameters.disconnected();
        this.#changed.notify();
      },
      message: (message) => this.#receive(message, link),
      frame: (bytes) => this.#receiveFrame(bytes),
    });
    return this.#connection;
  }

  /** One connection from hello to its end. */
  async #serve(
    connection: Connection,
    link: JoinLink,
    adapter: AdapterDescription,
    { publicKey }: Identity,
  ): Promise<void> {
    const stopped = () => connection.closing !== undefined || this.#over !== undefined || this.#leaving();
    await this.#changed.until(() => connection.opened || stopped(), this.#limits.handshakeMs);
    if (stopped()) return;
    if (!connection.opened) return connection.fail(silence("the socket did not open", this.#limits));
    const { name, runtime } = this.#options;
    connection.send({
      type: "hello",
      protocol: PROTOCOL_VERSION,
      token: link.token,
      name: name.slice(0, MAX_TEXT),
      runtime,
      adapter,
      holds: this.#run?.parameters.holds ?? {},
      publicKey,
    });
    this.#state({ kind: "joining" });
    await this.#changed.until(() => this.#welcome !== undefined || stopped(), this.#limits.handshakeMs);
    if (stopped()) return;
    const [welcome, run] = [this.#welcome, this.#run];
    if (!welcome || !run) return connection.fail(silence("no welcome came", this.#limits));
    connection.startHeartbeat(welcome.heartbeatMs);
    this.#options.onEvent({ type: "joined", run: welcome.run, name: welcome.config.name, worker: welcome.worker });
    this.#shift = new WorkShift({
      connection,
      run,
      runTag: welcome.runTag,
      owner: this.#owner,
      changed: this.#changed,
      wish: () => this.#wish,
      over: () => this.#over !== undefined,
      tally: this.#tally,
      limits: this.#limits,
      onEvent: this.#options.onEvent,
      now: this.#now,
    });
    try {
      await this.#shift.work();
    } finally {
      this.#shift = undefined;
    }
    if (this.#leaving()) connection.send({ type: "leave" });
  }

  /** Sets up what a run needs; coming back to the same run finds everything as it was. */
  #enter(welcome: WelcomeMessage, { origin, token }: JoinLink): void {
    this.#welcome = welcome;
    if (this.#run?.identity === runIdentity(welcome)) return;
    this.#run?.cache.close();
    try {
      this.#run = openRun(welcome, { origin, token, cache: this.#options.cache, backoff: this.#limits.reconnect });
      this.#owner.use({ config: welcome.config, dataset: welcome.dataset });
    } catch (error) {
      if (!(error instanceof BitswarmError)) throw error;
      // Another connection would be welcomed to the same run.
      this.#connection?.fail(error, false);
    }
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
        this.#calibrate(message.seed);
        return;
      case "welcome":
        this.#enter(message, link);
        break;
      case "ended":
        this.#over = message.message;
        break;
      case "status":
        this.#options.onEvent({ type: "status", status: message.status });
        return;
      case "lease":
      case "cancel":
      case "accepted":
      case "rejected":
        if (!this.#shift) throw new BitswarmError("MESSAGE_INVALID", `${message.type} came before this worker joined`);
        this.#shift.receive(message);
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
      const signature = await identity.sign(proofBytes({ nonce, run, protocol, token }));
      connection.send({ type: "proof", signature });
    } catch (cause) {
      const message = `this worker's key cannot sign: ${String(cause)}; clear this site's data and reload`;
      connection.fail(new BitswarmError("IDENTITY_INVALID", message, { cause }), false);
    }
  }

  /** Shows that this GPU's 1-bit sums are right. One that fails at it is given the time to be found anew, as for a lease. */
  async #calibrate(seed: number) {
    const [connection, run] = [this.#connection, this.#run];
    if (!connection || !run) throw new BitswarmError("MESSAGE_INVALID", "a canary came before the welcome");
    try {
      const layers = canaryLayers(buildNetworks(run.config, run.dataset).student.graph);
      const hash = await answerCanary(await this.#owner.device(), layers, seed);
      connection.send({ type: "canary-answer", seed, hash });
    } catch (cause) {
      const message = `the calibration could not be computed: ${String(cause).slice(0, 300)}`;
      connection.fail(new BitswarmError("COMPUTE_FAILED", message, { cause }));
    }
  }

  #receiveFrame(bytes: Uint8Array): void {
    if (!this.#run || !this.#welcome) throw new BitswarmError("MESSAGE_INVALID", "a frame came before the welcome");
    const connection = this.#connection;
    this.#run.parameters.receive(this.#welcome.runTag, bytes).then(
      (set) => set !== undefined && connection?.send({ type: "need", set }),
      // A bug ends the connection too: without parameters it is of no use.
      (error) => connection?.fail(faultOf(error)),
    );
  }
}

const left: SessionEnd = { kind: "ended", reason: "left", message: "You left the run; what you gave stays." };

function silence(what: string, { handshakeMs }: SessionLimits): BitswarmError {
  return new BitswarmError("RUN_UNREACHABLE", `${what} within ${handshakeMs} ms`);
}

function faultOf(error: unknown): BitswarmError {
  if (error instanceof BitswarmError) return error;
  return new BitswarmError("COMPUTE_FAILED", `parameters could not be taken: ${String(error)}`, { cause: error });
}

function failureOf(error: unknown): SessionEnd {
  if (error instanceof BitswarmError) return { kind: "failed", code: error.code, message: error.message };
  return { kind: "failed", code: "COMPUTE_FAILED", message: `an unexpected error ended the session: ${String(error)}` };
}
