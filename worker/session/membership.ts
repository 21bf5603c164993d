// What a worker is to a run, from one welcome to the next: the run's resources, the line to the coordinator and the
// work over it. A lost connection leaves all of it in place; the hello after it names what it holds.

import { BitswarmError } from "../../shared/base/errors.ts";
import { canaryLayers } from "../../shared/model/canary.ts";
import { buildNetworks, networkNamed } from "../../shared/run/networks.ts";
import type { OpenDecoding } from "../../shared/samples/decoding.ts";
import type { HelloMessage, WelcomeMessage } from "../../shared/wire/protocol.ts";
import { SessionLine } from "../../shared/wire/transfer/session-line.ts";
import type { ContentOrigin } from "../content/content-origin.ts";
import type { Connection, SessionMessage } from "./connection.ts";
import { type JoinedRun, openRun, runIdentity } from "./joined-run.ts";
import { LeaseLoop, type LeaseLoopMessage, type LeaseLoopOptions } from "./lease-loop.ts";
import { ToldChunks } from "./told-chunks.ts";

export interface MembershipOptions extends Omit<LeaseLoopOptions, "line" | "run" | "runTag"> {
  /** Where shards and blobs come from. */
  readonly origin: ContentOrigin;
  /** How samples become microbatches, where it is not the usual way. */
  readonly openDecoding: OpenDecoding | undefined;
}

export class Membership {
  readonly #options: MembershipOptions;
  #welcome: WelcomeMessage | undefined;
  #run: JoinedRun | undefined;
  #line: SessionLine | undefined;
  #leaseLoop: LeaseLoop | undefined;
  #told: ToldChunks | undefined;
  #working: Promise<void> | undefined;

  constructor(options: MembershipOptions) {
    this.#options = options;
  }

  get welcome(): WelcomeMessage | undefined {
    return this.#welcome;
  }

  /** Whether leases are computed, wait for it, or are not settled yet. */
  get holdsLeases(): boolean {
    return this.#leaseLoop?.holdsLeases ?? false;
  }

  /** Settles when the work ends; rejects with what makes this worker useless. Undefined before it began. */
  get working(): Promise<void> | undefined {
    return this.#working;
  }

  /** What the hello says of the session that a lost connection left behind. */
  get resumption(): Pick<HelloMessage, "resume" | "holds"> {
    const holds = this.#run?.parameters.holds ?? {};
    if (!this.#line || !this.#leaseLoop) return { holds };
    return { holds, resume: { session: this.#line.session, leases: [...this.#leaseLoop.leases] } };
  }

  /**
   * A fresh session: the one before is no more, and its lease another's by now. Coming back to the same run finds
   * everything else as it was.
   * @throws PROTOCOL_MISMATCH, DATA_INVALID, GRAPH_INVALID
   */
  enter(welcome: WelcomeMessage, connection: Connection): void {
    this.#leaveSession();
    this.#welcome = welcome;
    if (this.#run?.identity !== runIdentity(welcome)) {
      this.close();
      this.#run = openRun(welcome, this.#options.origin, this.#options.openDecoding, this.#run);
      const { config, dataset, program } = welcome;
      this.#options.owner.use({ config, dataset, program });
    }
    this.#line = new SessionLine({ session: welcome.session, frameLimit: this.#run.parameters.frameLimit });
    this.#line.attach(connection, []);
  }

  /** Takes up the work where the lost connection left it. @throws MESSAGE_INVALID */
  resume({ leases, waiting }: Extract<SessionMessage, { type: "resumed" }>, connection: Connection): void {
    if (!this.#line || !this.#leaseLoop) {
      throw new BitswarmError("MESSAGE_INVALID", "resumed came, and no session of this worker could be meant");
    }
    this.#line.attach(connection, leases);
    this.#told?.tellAll();
    this.#leaseLoop.resumed(leases, waiting);
  }

  /**
   * Starts to work in the session that a welcome opened, once the work of the one before has ended; nothing where it
   * works already.
   */
  async begin(): Promise<void> {
    const [welcome, run, line, before] = [this.#welcome, this.#run, this.#line, this.#working];
    if (!welcome || !run || !line) throw new RangeError("work was to begin before a welcome");
    if (this.#leaseLoop) return;
    await before?.catch(() => undefined);
    if (line.over) return;
    const { origin: _origin, openDecoding: _decoding, ...options } = this.#options;
    options.onEvent({ type: "joined", run: welcome.run, name: welcome.config.name, worker: welcome.worker });
    if (run.config.lease.affinity) {
      const { dataset, cache } = run;
      const { clock } = this.#options.ports;
      this.#told = new ToldChunks({ dataset, cache, clock, send: (message) => line.send(message) });
      this.#told.tellAll();
    }
    this.#leaseLoop = new LeaseLoop({ ...options, line, run, runTag: welcome.runTag });
    this.#working = this.#leaseLoop.work();
    this.#working.catch(() => undefined);
  }

  /**
   * Shows that this GPU's 1-bit sums are right. One that fails at it is given the time to be found anew, as for a
   * lease.
   */
  async calibrate(seed: number, connection: Connection): Promise<void> {
    const run = this.#run;
    if (!run) return connection.fail(new BitswarmError("MESSAGE_INVALID", "a canary came before the welcome"));
    try {
      const networks = buildNetworks(run.config, run.dataset, run.program);
      const layers = canaryLayers(networkNamed(networks, run.program.primary).graph);
      const hash = await (await this.#options.owner.device()).answerCanary(layers, seed);
      connection.send({ type: "canary-answer", seed, hash });
    } catch (cause) {
      const message = `the calibration could not be computed: ${String(cause).slice(0, 300)}`;
      connection.fail(new BitswarmError("COMPUTE_FAILED", message, { cause }));
    }
  }

  /** Gives the lease back, unless there is none or its contribution is on the way. */
  giveBack(...words: Parameters<LeaseLoop["giveBack"]>): void {
    this.#leaseLoop?.giveBack(...words);
  }

  /** Takes what only a member is sent. @throws MESSAGE_INVALID, FRAME_TOO_LARGE, TRANSFER_INVALID */
  receive(message: LeaseLoopMessage | Extract<SessionMessage, { type: "offer" | "have" }>): void {
    switch (message.type) {
      case "offer":
        this.#joinedLine().offered(message);
        return;
      case "have":
        this.#joinedLine().told(message);
        return;
      default:
        if (!this.#leaseLoop)
          throw new BitswarmError("MESSAGE_INVALID", `${message.type} came before this worker joined`);
        this.#leaseLoop.receive(message);
    }
  }

  /** @throws TRANSFER_INVALID, and what a damaged chunk or frame is called */
  receiveChunk(bytes: Uint8Array, connection: Connection): void {
    const frame = this.#joinedLine().takeChunk(bytes);
    if (frame) this.receiveFrame(frame, connection);
  }

  /** Nothing more will come over the connection. */
  disconnected(): void {
    this.#run?.parameters.disconnected();
  }

  /** Takes parameters; one that cannot be read ends the connection. @throws MESSAGE_INVALID */
  receiveFrame(bytes: Uint8Array, connection: Connection): void {
    if (!this.#run || !this.#welcome) throw new BitswarmError("MESSAGE_INVALID", "a frame came before the welcome");
    this.#run.parameters.receive(this.#welcome.runTag, bytes).then(
      (set) => set !== undefined && connection.send({ type: "need", set }),
      // A bug ends the connection too: without parameters it is of no use.
      (error) => connection.fail(faultOf(error)),
    );
  }

  /** Ends the work; resolves when nothing is computed any more. */
  async end(): Promise<void> {
    this.#leaveSession();
    await this.#working?.catch(() => undefined);
  }

  close(): void {
    this.#run?.cache.close();
    this.#run?.decoding.close();
  }

  #leaveSession(): void {
    this.#line?.end();
    this.#leaseLoop = undefined;
    this.#told?.close();
    this.#told = undefined;
    this.#options.changed.notify();
  }

  #joinedLine(): SessionLine {
    if (this.#line) return this.#line;
    throw new BitswarmError("MESSAGE_INVALID", "a transfer came before the welcome");
  }
}

function faultOf(error: unknown): BitswarmError {
  if (error instanceof BitswarmError) return error;
  return new BitswarmError("COMPUTE_FAILED", `parameters could not be taken: ${String(error)}`, { cause: error });
}
