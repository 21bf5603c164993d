// Connections that ask for shards, handed over to a process of their own: it is started at the first of them, started
// again where it dies, and where a connection cannot be handed over the coordinator answers as it answers everything.

import { type ChildProcess, fork } from "node:child_process";
import { existsSync } from "node:fs";
import type { IncomingMessage, Server } from "node:http";
import { Socket } from "node:net";
import { join } from "node:path";
import { builtFolder } from "../base/package-root.ts";
import { type RunTokens, tokenHolder } from "../base/token.ts";
import type { StoredBytes } from "../disk/stored-file.ts";
import type { DownloadRates } from "../trust/download-limits.ts";
import type { OpenSocketLimits } from "./open-sockets.ts";
import { detach, hasBody, requestHead } from "./request-head.ts";
import { shardNamed } from "./shard-answer.ts";
import type { FromShardProcess, ShardSettings, ToShardProcess } from "./shard-messages.ts";

/** Deaths of the process after which the coordinator answers itself: it would die again. */
export const MOST_DEATHS = 5;

const PROGRAM = join(builtFolder(), "coordinator", "server", "shard-process.js");

export interface DownloadSource extends RunTokens {
  /** A shard of the data set, by SHA-256. */
  shard(sha256: string): Promise<StoredBytes | undefined>;
}

export interface DownloadOptions {
  readonly server: Server;
  readonly source: DownloadSource;
  readonly proxies: readonly string[];
  readonly limits: Pick<OpenSocketLimits, "headersMs" | "stalledMs">;
  readonly rates: DownloadRates;
  /** Told once where the process dies again and again. */
  readonly onNotice: (message: string) => void;
  /** Whether sockets can be handed over here: not on Windows, where few do, nor without the program. */
  readonly able?: boolean;
}

export class Downloads {
  readonly #options: DownloadOptions;
  readonly #settings: ShardSettings;
  readonly #able: boolean;
  /** What is left here of the connections that are there: without a handle, for whoever counts them. */
  readonly #away = new Map<number, Socket>();
  /** Connections that came back, until their next request is answered. */
  readonly #back = new WeakSet<Socket>();
  #child: ChildProcess | undefined;
  #connections = 0;
  #deaths = 0;
  #closed = false;

  constructor(options: DownloadOptions) {
    const { source, proxies, limits, rates, able = process.platform !== "win32" && existsSync(PROGRAM) } = options;
    const { token, operatorToken } = source;
    const { headersMs, stalledMs } = limits;
    this.#options = options;
    this.#able = able;
    this.#settings = { type: "settings", token, operatorToken, proxies, rates, headersMs, stalledMs };
  }

  /** The process that answers; none before the first request for a shard. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /**
   * Whether a request is answered elsewhere, with all that its connection asks for. Who has no token, or asks for
   * something else, is not sent there.
   * @param alone whether it is the only request on its connection
   * @param answerHere takes it back, where more came in the same piece
   */
  takes(request: IncomingMessage, alone: () => boolean, answerHere: () => void): boolean {
    const { method, url = "", socket } = request;
    if (this.#back.delete(socket)) return false;
    const [path, query] = url.split("?", 2);
    const shard = (method === "GET" || method === "HEAD") && shardNamed(path) !== undefined;
    if (!this.#able || !shard || hasBody(request) || this.#closed || this.#deaths >= MOST_DEATHS) return false;
    // A TLS socket's bytes are not those of its handle.
    if ("encrypted" in socket || !(socket instanceof Socket) || !alone()) return false;
    if (tokenHolder(this.#options.source, new URLSearchParams(query).get("token") ?? undefined) === undefined) {
      return false;
    }
    // A turn later: the parser of this request has returned by then.
    setImmediate(() => (alone() ? this.#handOver(request) : answerHere()));
    return true;
  }

  /** Ends the process, and with it every download. */
  close(): void {
    this.#closed = true;
    this.#child?.disconnect();
    for (const socket of this.#away.values()) socket.destroy();
  }

  #handOver(request: IncomingMessage): void {
    const { socket } = request;
    if (socket.destroyed || this.#closed) return void socket.destroy();
    const child = this.#running();
    const id = this.#connections++;
    const head = requestHead(request);
    this.#away.set(id, socket);
    // What is left of it may be reset by whoever counts connections; the server need not hear of that.
    socket.removeAllListeners("error");
    socket.on("error", () => undefined);
    socket.once("close", () => {
      if (this.#away.delete(id)) this.#tell({ type: "cut", id });
    });
    detach(socket);
    const message: ToShardProcess = { type: "connection", id, head };
    child.send(message, socket, {}, (error) => {
      if (error) socket.destroy();
    });
  }

  #running(): ChildProcess {
    if (this.#child?.connected) return this.#child;
    // It needs nothing of the environment, which may hold secrets.
    const child = fork(PROGRAM, [], { execArgv: [], env: {}, stdio: ["ignore", "ignore", "inherit", "ipc"] });
    this.#child = child;
    child.on("error", () => undefined);
    child.once("exit", () => this.#died(child));
    child.on("message", (message: FromShardProcess, socket) =>
      this.#heard(message, socket instanceof Socket ? socket : undefined),
    );
    child.send(this.#settings satisfies ToShardProcess, () => undefined);
    // The server keeps the program alive, not what helps it.
    child.unref();
    child.channel?.unref();
    return child;
  }

  #died(child: ChildProcess): void {
    if (this.#child !== child) return;
    this.#child = undefined;
    for (const socket of this.#away.values()) socket.destroy();
    if (this.#closed) return;
    this.#deaths++;
    if (this.#deaths < MOST_DEATHS) return;
    this.#options.onNotice(
      `the process that sends shards ended ${this.#deaths} times: they are sent by this one from here on, which may slow down rounds`,
    );
  }

  #tell(message: ToShardProcess): void {
    if (this.#child?.connected) this.#child.send(message, () => undefined);
  }

  #heard(message: FromShardProcess, socket: Socket | undefined): void {
    switch (message.type) {
      case "find":
        this.#find(message.ask, message.sha256);
        return;
      case "closed":
        this.#ended(message.id);
        return;
      case "back":
        this.#ended(message.id);
        if (!socket) return;
        if (this.#closed) return void socket.destroy();
        this.#back.add(socket);
        this.#options.server.emit("connection", socket);
        socket.unshift(Buffer.from(message.head, "latin1"));
        return;
      default:
        message satisfies never;
    }
  }

  #ended(id: number): void {
    const socket = this.#away.get(id);
    this.#away.delete(id);
    socket?.destroy();
  }

  async #find(ask: number, sha256: string): Promise<void> {
    const found = await this.#options.source.shard(sha256).catch(() => undefined);
    // What is in no file is sent from here.
    const file = found?.path === undefined ? undefined : { path: found.path, bytes: found.bytes };
    this.#tell({ type: "found", ask, ...(file ? { file } : {}) });
  }
}
