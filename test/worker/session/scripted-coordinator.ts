// A coordinator whose lines a test writes: a real HTTP server and a real WebSocket that say exactly what they are told to.

import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { requireProof } from "../../../coordinator/trust/proof.ts";
import { parseConfig, type RunConfig } from "../../../shared/config.ts";
import type { Dataset } from "../../../shared/dataset.ts";
import { buildNetworks } from "../../../shared/networks.ts";
import { encodeParameters } from "../../../shared/parameter-frame.ts";
import { frozenForm, type ParameterSet, type WireForm, wireForm } from "../../../shared/parameter-set.ts";
import { decodeWhole, encodeChange, encodeWhole, wholeBytes } from "../../../shared/parameter-update.ts";
import {
  type CoordinatorMessage,
  decodeWorkerMessage,
  encodeMessage,
  type HelloMessage,
  type LeaseMessage,
  PROTOCOL_VERSION,
  type RunStatus,
  type WorkerMessage,
} from "../../../shared/protocol.ts";
import { rng } from "../../../shared/rng.ts";

export const TOKEN = "open sesame";
export const RUN_TAG = "0123456789abcdef0123456789abcdef";

export const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

export const scriptedConfig: RunConfig = parseConfig({
  name: "scripted run",
  model: { kind: "lenet", widths: [2, 2, 4] },
  data: { kind: "idx" },
  microbatch: 4,
  batch: 8,
  // One lease at a time, unless a test is about two.
  lease: { ahead: false },
});

/** Images of 28×28 random pixels in shards of `each` samples, with labels below 10. */
export function scriptedData(train = 24, test = 8, each = 10): { dataset: Dataset; contents: Map<string, Uint8Array> } {
  const contents = new Map<string, Uint8Array>();
  const split = (name: string, samples: number) => {
    const shards = [];
    for (let from = 0; from < samples; from += each) {
      const count = Math.min(each, samples - from);
      const draws = rng("scripted data", name, from);
      const bytes = new Uint8Array(count * 786);
      for (let i = 0; i < count * 784; i++) bytes[i] = draws.uint32() & 255;
      for (let i = 0; i < count; i++) bytes[count * 784 + 2 * i] = draws.below(10);
      contents.set(sha256(bytes), bytes);
      shards.push({ sha256: sha256(bytes), samples: count, bytes: bytes.length });
    }
    return { samples, shards };
  };
  const dataset: Dataset = {
    name: "scripted",
    shape: { h: 28, w: 28, c: 1 },
    classes: 10,
    mean: [0.3],
    std: [0.35],
    train: split("train", train),
    test: split("test", test),
  };
  return { dataset, contents };
}

export function scriptedStatus(overrides: Partial<RunStatus> = {}): RunStatus {
  return {
    run: "run-1",
    name: "scripted run",
    state: "training",
    phase: "1-bit student, epoch 2/3",
    step: 131,
    steps: 480,
    epoch: 1,
    collected: 96,
    wanted: 128,
    workers: 3,
    samples: 16_768,
    samplesPerSecond: 412.5,
    etaSeconds: 215,
    reason: "2/2 workers, 96/128 samples, waiting for w2 (1 s)",
    loss: { total: 1.2345, task: 1.1 },
    bytesPerWorker: { down: 139_000, up: 778_000 },
    loopDelayMs: { max: 12.5, p99: 3.25 },
    testAccuracy: 0.7654,
    teacherAccuracy: 0.861,
    ...overrides,
  };
}

/** How the scripted run's student travels. */
export const studentForm = scriptedForm("student");

export function scriptedForm(set: ParameterSet, config = scriptedConfig, { dataset } = scriptedData()): WireForm {
  return wireForm(buildNetworks(config, dataset), config, set);
}

/** An expanded blob of the scripted run's student that is not like another of another name. */
export function scriptedBlob(name: string, form = studentForm): Uint8Array<ArrayBuffer> {
  const draws = rng("scripted parameters", name);
  return decodeWhole(
    form,
    Uint8Array.from({ length: wholeBytes(form) }, () => draws.uint32() & 0x3f),
  );
}

/** The trained teacher's bytes as they are fetched, and expanded. */
export function scriptedTeacher(): { packed: Uint8Array<ArrayBuffer>; blob: Uint8Array<ArrayBuffer> } {
  const form = frozenForm(buildNetworks(scriptedConfig, scriptedData().dataset), scriptedConfig);
  const packed = Uint8Array.from({ length: wholeBytes(form) }, (_, i) => (i % 16) * (i & 1));
  return { packed, blob: decodeWhole(form, packed) };
}

type Incoming = WorkerMessage | { readonly type: "frame"; readonly bytes: Uint8Array };
type IncomingOf<T extends Incoming["type"]> = Extract<Incoming, { type: T }>;

/** For a message that must come: a worker may be compiling, measuring and computing on cores that others use as well. */
const PATIENCE_MS = 20_000;

/** One worker's connection. */
export class Peer {
  readonly closed: Promise<{ code: number; reason: string }>;
  /** Answer pings; a dead coordinator does not. */
  answers = true;
  readonly pings: number[] = [];
  /** The worker's key, once it is proved. */
  publicKey = "";
  readonly #socket: WebSocket;
  readonly #inbox: Incoming[] = [];
  #wake: () => void = () => undefined;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) =>
      socket.on("close", (code, reason) => {
        resolve({ code, reason: String(reason) });
        this.#wake();
      }),
    );
    socket.on("message", (data: Buffer) => this.#receive(new Uint8Array(data)));
  }

  #receive(bytes: Uint8Array): void {
    const incoming: Incoming = bytes[0] === 0x42 ? { type: "frame", bytes } : decodeWorkerMessage(bytes);
    if (incoming.type === "ping") {
      this.pings.push(incoming.nonce);
      if (this.answers) this.send({ type: "pong", nonce: incoming.nonce });
      return;
    }
    this.#inbox.push(incoming);
    this.#wake();
  }

  /** The next message, which must be of one of these types. */
  async next<T extends Incoming["type"]>(...types: readonly T[]): Promise<IncomingOf<T>> {
    const deadline = Date.now() + PATIENCE_MS;
    while (this.#inbox.length === 0) {
      if (Date.now() > deadline) throw new Error(`no ${types} came within ${PATIENCE_MS / 1000} s`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 200);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    const incoming = this.#inbox.shift();
    if (!(types as readonly unknown[]).includes(incoming?.type)) {
      throw new Error(`${types} was due; got ${JSON.stringify(incoming)}`);
    }
    return incoming as IncomingOf<T>;
  }

  /** Messages that came and were not asked for. */
  get unread(): readonly string[] {
    return this.#inbox.map(({ type }) => type);
  }

  send(message: CoordinatorMessage): void {
    this.sendBytes(encodeMessage(message));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket.send(bytes);
  }

  /** The student's parameters whole, in a frame; returns their hash. */
  sendParameters(blob: Uint8Array<ArrayBuffer>, announced = sha256(blob), form = studentForm): string {
    const body = encodeWhole(form, blob);
    this.sendBytes(encodeParameters(RUN_TAG, 0, { set: "student", hash: announced, base: null, body }));
    return announced;
  }

  /** What changes one blob of the student into another; returns the other's hash. */
  sendChange(from: Uint8Array<ArrayBuffer>, to: Uint8Array<ArrayBuffer>, announced = sha256(to)): string {
    const body = encodeChange(studentForm, from, to);
    this.sendBytes(encodeParameters(RUN_TAG, 0, { set: "student", hash: announced, base: sha256(from), body }));
    return announced;
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  /** As a machine does that loses its power. */
  terminate(): void {
    this.#socket.terminate();
  }
}

export interface ScriptedOptions {
  readonly dataset?: Dataset;
  readonly contents?: ReadonlyMap<string, Uint8Array>;
  readonly config?: RunConfig;
  readonly heartbeatMs?: number;
  /** Answers what is neither a shard nor a blob. */
  readonly page?: (request: IncomingMessage, response: ServerResponse) => void;
}

export class ScriptedCoordinator {
  readonly requests: string[] = [];
  readonly config: RunConfig;
  readonly dataset: Dataset;
  readonly contents: ReadonlyMap<string, Uint8Array>;
  readonly #options: ScriptedOptions;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  readonly #peers: Peer[] = [];
  #sessions = 0;
  #wake: () => void = () => undefined;

  private constructor(options: ScriptedOptions) {
    const data = scriptedData();
    this.#options = options;
    this.config = options.config ?? scriptedConfig;
    this.dataset = options.dataset ?? data.dataset;
    this.contents = options.contents ?? data.contents;
    this.#server = createServer((request, response) => this.#answer(request, response));
    this.#server.on("upgrade", (request, socket, head) =>
      this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
        this.#peers.push(new Peer(webSocket));
        this.#wake();
      }),
    );
  }

  static async start(options: ScriptedOptions = {}): Promise<ScriptedCoordinator> {
    const coordinator = new ScriptedCoordinator(options);
    await coordinator.listen(0);
    return coordinator;
  }

  listen(port: number): Promise<void> {
    return new Promise((resolve) => this.#server.listen(port, "127.0.0.1", () => resolve()));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get origin(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get url(): string {
    return `${this.origin}/?token=${encodeURIComponent(TOKEN)}`;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? "/", this.origin);
    this.requests.push(url.pathname);
    const content = /^\/(?:shards|blobs)\/([0-9a-f]{64})$/.exec(url.pathname);
    if (!content && this.#options.page) {
      this.#options.page(request, response);
      return;
    }
    const bytes = content && this.contents.get(content[1]);
    const status = url.searchParams.get("token") !== TOKEN ? 403 : bytes ? 200 : 404;
    response.writeHead(status, { "content-type": "application/octet-stream" });
    response.end(status === 200 ? bytes : "{}");
  }

  /** The next connection. */
  async peer(): Promise<Peer> {
    while (this.#peers.length === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#peers.shift() as Peer;
  }

  /** The next connection, welcomed. */
  async joined(): Promise<Peer> {
    const peer = await this.peer();
    await this.greeted(peer);
    peer.send(this.welcome());
    return peer;
  }

  /** Takes a hello and the proof of its key; returns the hello. */
  async greeted(peer: Peer): Promise<HelloMessage> {
    const hello = await peer.next("hello");
    const { publicKey } = hello;
    const challenge = { nonce: "5a".repeat(32), run: "run-1", protocol: PROTOCOL_VERSION };
    peer.send({ type: "challenge", ...challenge });
    const { signature } = await peer.next("proof");
    requireProof(publicKey, signature, { ...challenge, token: TOKEN });
    peer.publicKey = publicKey;
    return hello;
  }

  welcome(): CoordinatorMessage {
    return {
      type: "welcome",
      protocol: PROTOCOL_VERSION,
      worker: "w1",
      run: "run-1",
      runTag: RUN_TAG,
      config: this.config,
      dataset: this.dataset,
      heartbeatMs: this.#options.heartbeatMs ?? 60_000,
      session: `session ${++this.#sessions}`,
      graceMs: 30_000,
    };
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets.clients) socket.terminate();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** A lease over positions [0, 8) of the first training epoch. */
export function leaseOf(lease: number, parametersHash: string, overrides: Partial<LeaseMessage> = {}): LeaseMessage {
  return {
    type: "lease",
    lease,
    kind: "student",
    network: "student",
    step: 0,
    round: lease,
    pass: 0,
    epoch: 0,
    split: "train",
    from: 0,
    to: 8,
    parametersHash,
    discriminatorsHash: null,
    lambdaAdversarial: 0,
    codec: "f32",
    era: 0,
    exponents: [],
    timeoutMs: 5000,
    teacherHash: null,
    ...overrides,
  };
}
