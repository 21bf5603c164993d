// Where shards are sent from: it takes connections over from the coordinator, answers the requests for shards on them
// as long as there are such, and gives back the connections that ask for anything else. What is read from the disk and
// written into sockets here costs the rounds nothing.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { tokenHolder } from "../base/token.ts";
import { DownloadLimits, TooMuch } from "../trust/download-limits.ts";
import { TrustedProxies } from "./client-address.ts";
import { detach, hasBody, requestHead } from "./request-head.ts";
import { sendFile } from "./send-file.ts";
import { shardAnswer, shardNamed } from "./shard-answer.ts";
import type { FromShardProcess, ShardSettings, ToShardProcess } from "./shard-messages.ts";

interface ShardFile {
  readonly path: string;
  readonly bytes: number;
}

/** A connection while it is here. */
interface Guest {
  readonly id: number;
  /** Requests that are being answered. */
  requests: number;
  waiting?: NodeJS.Timeout;
}

/** Tells the coordinator, and gives it a socket. */
export type Say = (message: FromShardProcess, socket?: Socket) => void;

/** As everything that the coordinator answers. */
const safeHeaders = { "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" } as const;

export class ShardDesk {
  readonly #settings: ShardSettings;
  readonly #say: Say;
  readonly #proxies: TrustedProxies;
  readonly #limits: DownloadLimits;
  /** A data set has a limited number of shards, and those that are none are not kept. */
  readonly #files = new Map<string, ShardFile>();
  readonly #asked = new Map<number, (file: ShardFile | undefined) => void>();
  readonly #guests = new Map<Socket, Guest>();
  readonly #sockets = new Map<number, Socket>();
  readonly #server = createServer((request, response) => this.#request(request, response));
  #asks = 0;

  constructor(settings: ShardSettings, say: Say) {
    this.#settings = settings;
    this.#say = say;
    this.#limits = new DownloadLimits(settings.rates);
    this.#proxies = new TrustedProxies(settings.proxies);
    this.#server.timeout = settings.stalledMs;
    // The guest's own timer is shorter.
    this.#server.keepAliveTimeout = 2 * settings.headersMs;
  }

  take(message: Exclude<ToShardProcess, ShardSettings>, socket: Socket | undefined): void {
    switch (message.type) {
      case "connection":
        if (socket) this.#opened(socket, message.id, message.head);
        // It was gone before it came here.
        else this.#say({ type: "closed", id: message.id });
        return;
      case "found":
        this.#asked.get(message.ask)?.(message.file);
        this.#asked.delete(message.ask);
        return;
      case "cut":
        this.#sockets.get(message.id)?.destroy();
        return;
      default:
        message satisfies never;
    }
  }

  #opened(socket: Socket, id: number, head: string): void {
    const guest: Guest = { id, requests: 0 };
    this.#guests.set(socket, guest);
    this.#sockets.set(id, socket);
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      if (this.#forget(socket)) this.#say({ type: "closed", id });
    });
    this.#wait(socket, guest);
    this.#server.emit("connection", socket);
    socket.unshift(Buffer.from(head, "latin1"));
  }

  /** Whoever says nothing more, or half a request, is not waited for. */
  #wait(socket: Socket, guest: Guest): void {
    guest.waiting = setTimeout(() => socket.destroy(), this.#settings.headersMs);
  }

  #forget(socket: Socket): Guest | undefined {
    const guest = this.#guests.get(socket);
    if (!guest) return undefined;
    clearTimeout(guest.waiting);
    this.#guests.delete(socket);
    this.#sockets.delete(guest.id);
    return guest;
  }

  #request(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const guest = this.#guests.get(socket);
    clearTimeout(guest?.waiting);
    // Who asks again before the answer is no client of ours.
    if (!guest || guest.requests > 0) return void socket.destroy();
    guest.requests++;
    response.once("close", () => {
      guest.requests--;
      if (this.#guests.has(socket)) this.#wait(socket, guest);
    });
    this.#answer(request, response).catch(() => socket.destroy());
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = "", url = "", headers, socket } = request;
    const [path, query] = url.split("?", 2);
    const sha256 = shardNamed(path);
    const holder = tokenHolder(this.#settings, new URLSearchParams(query).get("token") ?? undefined);
    const ours = (method === "GET" || method === "HEAD") && sha256 !== undefined && holder !== undefined;
    const file = ours && !hasBody(request) ? await this.#find(sha256) : undefined;
    // A turn later: the parser of this request has returned by then.
    if (!file || sha256 === undefined) return void setImmediate(() => this.#giveBack(request));
    const { range, "if-range": ifRange, "if-none-match": ifNoneMatch } = headers;
    const asked = { method, range, ifRange: ifRange as string | undefined, ifNoneMatch };
    const { status, headers: own, begin, end } = shardAnswer(asked, sha256, file.bytes);
    try {
      const client = this.#proxies.clientOf(socket.remoteAddress ?? "", headers["x-forwarded-for"]);
      if (holder !== "operator") this.#limits.take(performance.now(), client, end - begin);
    } catch (error) {
      if (!(error instanceof TooMuch)) throw error;
      const { code, message, retrySeconds } = error;
      const refused = { "content-type": "application/json", "cache-control": "no-store", ...safeHeaders };
      response.writeHead(429, { ...refused, "retry-after": String(retrySeconds) });
      response.end(JSON.stringify({ code, message }));
      return;
    }
    try {
      await sendFile(response, status, { ...own, ...safeHeaders }, file.path, begin, end);
    } catch (error) {
      if (response.headersSent) throw error;
      // The file is gone: the coordinator looks again, and tells its operator.
      this.#files.delete(sha256);
      setImmediate(() => this.#giveBack(request));
    }
  }

  async #find(sha256: string): Promise<ShardFile | undefined> {
    const known = this.#files.get(sha256);
    if (known) return known;
    const ask = this.#asks++;
    const file = await new Promise<ShardFile | undefined>((resolve) => {
      this.#asked.set(ask, resolve);
      this.#say({ type: "find", ask, sha256 });
    });
    if (file) this.#files.set(sha256, file);
    return file;
  }

  #giveBack(request: IncomingMessage): void {
    const { socket } = request;
    const guest = this.#forget(socket);
    if (!guest) return;
    if (hasBody(request) || socket.destroyed) {
      socket.destroy();
      this.#say({ type: "closed", id: guest.id });
      return;
    }
    detach(socket);
    this.#say({ type: "back", id: guest.id, head: requestHead(request) }, socket);
  }
}
