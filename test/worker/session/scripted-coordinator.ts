// A coordinator whose lines a test writes: a real HTTP server and a real WebSocket that say exactly what they are told
// to.

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { WebSocketServer } from "ws";
import { requireProof } from "../../../coordinator/trust/proof.ts";
import type { Dataset } from "../../../shared/data/dataset.ts";
import type { RunConfig } from "../../../shared/run/config.ts";
import { phasesOf } from "../../../shared/run/program.ts";
import { type CoordinatorMessage, type HelloMessage, PROTOCOL_VERSION } from "../../../shared/wire/protocol.ts";
import type { RunStatus } from "../../../shared/wire/run-status.ts";
import { Peer } from "./scripted-peer.ts";
import { RUN_TAG, scriptedConfig, scriptedData } from "./scripted-run.ts";

const TOKEN = "open sesame";

export interface ScriptedOptions {
  readonly dataset?: Dataset;
  readonly contents?: ReadonlyMap<string, Uint8Array>;
  readonly config?: RunConfig;
  readonly heartbeatMs?: number;
  /** Follows the welcome. */
  readonly status?: RunStatus;
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
    if (this.#options.status) peer.send({ type: "status", status: this.#options.status });
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
      program: phasesOf(this.config).outline,
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
