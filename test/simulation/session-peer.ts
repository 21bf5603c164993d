// A peer that says what a test tells it to, over virtual links, and keeps a model of what the coordinator owes it.

import { drawProfile, shuffledSeats } from "../../coordinator/simulate/profile.ts";
import { parseScenario } from "../../coordinator/simulate/scenario.ts";
import { keyPairOf, signProof } from "../../coordinator/simulate/signing-pair.ts";
import type { VirtualLink } from "../../coordinator/simulate/virtual-link.ts";
import type { World } from "../../coordinator/simulate/world.ts";
import { errorCodes } from "../../shared/base/errors.ts";
import { isChunk } from "../../shared/wire/chunk.ts";
import { isFrame } from "../../shared/wire/frame.ts";
import {
  type CoordinatorMessage,
  decodeCoordinatorMessage,
  encodeMessage,
  type HelloMessage,
  type LeaseMessage,
  PROTOCOL_VERSION,
  type WelcomeMessage,
  type WorkerMessage,
} from "../../shared/wire/protocol.ts";

/** Two honest volunteers beside the peer. */
export const scenario = parseScenario(
  {
    volunteers: 2,
    steps: 3,
    stepSeconds: 4,
    joinSeconds: 0,
    data: { chunk: 8, kept: 0.5 },
    run: { lease: { timeoutMs: 20_000 }, heartbeatMs: 5000 },
  },
  "session model",
);
export class Peer {
  readonly world: World;
  readonly profile = drawProfile(scenario, 99, 77, 0, shuffledSeats(99, 2));
  readonly identity = keyPairOf(new Uint8Array(32).fill(7));
  link: VirtualLink | undefined;
  state: "away" | "hello" | "proof" | "joined" = "away";
  welcome: WelcomeMessage | undefined;
  leases: LeaseMessage[] = [];
  waiting = false;
  challenge: Extract<CoordinatorMessage, { type: "challenge" }> | undefined;
  sent: Uint8Array | undefined;
  /** Its leases that it has not answered late yet, and how many late answers in a row were more than one a lease. */
  readonly notLate = new Set<number>();
  failures = 0;
  resumes: readonly number[] | undefined;
  /** The code with which the connection must end next. */
  expected: string | undefined;
  /** Proves its key unasked. */
  auto = false;
  /** What went on against the rules. */
  readonly wrong: string[] = [];

  constructor(world: World) {
    this.world = world;
  }

  say(message: WorkerMessage): void {
    this.link?.volunteerSend(encodeMessage(message));
  }

  hello(fields: Partial<HelloMessage> = {}): void {
    const adapter = { vendor: "model", architecture: "", description: "", software: false };
    const { publicKey } = this.identity;
    const token = this.world.token;
    const who = { protocol: PROTOCOL_VERSION, token, name: "peer", runtime: "node", adapter, publicKey } as const;
    this.say({ type: "hello", ...who, ...fields });
  }

  prove({ nonce, run, protocol }: Extract<CoordinatorMessage, { type: "challenge" }>): void {
    const signature = signProof(this.identity, { nonce, run, protocol, token: this.world.token });
    this.say({ type: "proof", signature });
  }

  connect(then = () => {}): void {
    const link: { own?: VirtualLink } = {};
    const mine = (call: () => void) => {
      if (this.link === link.own) call();
    };
    this.world.connect(this, {
      opened: (opened) => {
        link.own = opened;
        this.link = opened;
        this.state = "hello";
        then();
      },
      refused: () => undefined,
      message: (bytes) => mine(() => this.hear(bytes)),
      closed: () => mine(() => this.lost()),
    });
  }

  lost(): void {
    if (this.expected !== undefined) this.wrong.push(`closed without ${this.expected}`);
    this.link = undefined;
    this.state = "away";
    this.expected = undefined;
  }

  hear(bytes: Uint8Array): void {
    if (isFrame(bytes) || isChunk(bytes)) return;
    const message = decodeCoordinatorMessage(bytes);
    const over = "lease" in message ? message.lease : undefined;
    if (message.type === "challenge") {
      this.challenge = message;
      if (this.auto) this.prove(message);
      this.auto = false;
    }
    if (message.type === "canary")
      this.say({ type: "canary-answer", seed: message.seed, hash: this.world.canary(message.seed) });
    if (message.type === "ping") this.say({ type: "pong", nonce: message.nonce });
    if (message.type === "welcome") {
      this.welcome = message;
      [this.state, this.leases, this.waiting, this.failures] = ["joined", [], false, 0];
      this.notLate.clear();
    }
    if (message.type === "accepted") this.failures = 0;
    // Not the word on an offer, or on what a hello names, of a lease that is forgotten.
    if (message.type === "rejected" && message.message.includes("was cancelled")) {
      if (!this.notLate.delete(message.lease) && ++this.failures === 3) this.expected = message.code;
    }
    if (message.type === "resumed") {
      const lost = this.leases.filter(({ lease }) => !message.leases.includes(lease)).map(({ lease }) => lease);
      this.resumes = lost;
      this.state = "joined";
      this.waiting = message.waiting || message.leases.length > this.leases.length;
    }
    if (message.type === "lease") {
      this.leases.push(message);
      this.notLate.add(message.lease);
      this.waiting = false;
    } else if (over !== undefined && message.type !== "offer") {
      this.leases = this.leases.filter(({ lease }) => lease !== over);
      // What did not survive a lost connection must have its verdict.
      this.resumes = this.resumes?.filter((lease) => lease !== over);
    }
    if (message.type === "error") {
      if (!(message.code in errorCodes)) this.wrong.push(`an unknown code ${message.code}`);
      const due = this.expected ?? (message.code === "HELLO_EXPECTED" ? message.code : "RUN_ENDED");
      if (message.code !== due) this.wrong.push(`${message.code} came, ${due} was due: ${message.message}`);
      if (message.code !== "SESSION_REPLACED") [this.welcome, this.leases] = [undefined, []];
      this.expected = undefined;
    }
  }
}
