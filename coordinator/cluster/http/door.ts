// A holder's door: what it offers, over HTTP or HTTPS, for whoever shows a token that it made. All of an offer is read,
// or its end from a byte on; whoever reads slowly holds one piece of memory, and for so long.

import { createServer as createHttpServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { SILENCE_MS } from "../bus-bulk.ts";
import type { DoorTokens } from "./door-token.ts";

/** Sockets of all askers together: a leader has some hundred gateways, each with a few. */
export const MOST_SOCKETS = 512;
/** Answers to one asker that are on their way. */
export const MOST_ANSWERS = 8;
/** Written at once, and what one slow reader holds of memory. */
const PIECE_BYTES = 256 * 1024;
/** A request's first line and its headers. */
const MOST_HEAD_BYTES = 4096;
/** A request must be there so soon, the handshake before it too. */
const HEAD_MS = 5000;
/** An answer takes so long at most. */
export const ANSWER_MS = 600_000;
const UNAUTHORIZED = 401;
const PREFIX = "/bulk/";
const MOST_NAME_CHARACTERS = 200;

export interface DoorOptions {
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** PEM; without it the door speaks plain HTTP. */
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly tokens: DoorTokens;
  readonly offered: (name: string) => Uint8Array | undefined;
  /** A reader that takes nothing for so long is cut off; 4 s unless given. */
  readonly silenceMs?: number;
}

export interface Door {
  readonly port: number;
  close(): Promise<void>;
}

export const pathOf = (name: string) => `${PREFIX}${encodeURIComponent(name)}`;

/** @throws CONFIG_INVALID where the address is not free, or no TLS can be spoken with this certificate */
export async function openDoor(options: DoorOptions): Promise<Door> {
  const { host, port, tls } = options;
  const limits = {
    maxHeaderSize: MOST_HEAD_BYTES,
    headersTimeout: HEAD_MS,
    requestTimeout: HEAD_MS,
    keepAliveTimeout: HEAD_MS,
    connectionsCheckingInterval: 1000,
  };
  const answers = new Answers(options);
  const take = (request: IncomingMessage, response: ServerResponse) => answers.take(request, response);
  let server: Server;
  try {
    server = tls
      ? createHttpsServer({ ...limits, ...tls, handshakeTimeout: HEAD_MS, minVersion: "TLSv1.2" }, take)
      : createHttpServer(limits, take);
    server.maxConnections = MOST_SOCKETS;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject).listen(port, host, resolve);
    });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new BitswarmError(
      "CONFIG_INVALID",
      `--bulk-listen ${host}:${port}: ${why}. Take another address, or another certificate and key`,
      { cause },
    );
  }
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

interface Ask {
  readonly asker: string;
  readonly bytes: Uint8Array;
  readonly from: number;
}

class Answers {
  readonly #options: DoorOptions;
  readonly #open = new Map<string, number>();

  constructor(options: DoorOptions) {
    this.#options = options;
  }

  take(request: IncomingMessage, response: ServerResponse): void {
    response.on("error", () => undefined);
    const ask = this.#read(request);
    if ("status" in ask) {
      // A stranger keeps no socket.
      const close = ask.status === UNAUTHORIZED ? { Connection: "close" } : {};
      response.writeHead(ask.status, { "Content-Length": 0, ...close }).end();
      return;
    }
    const { asker, bytes, from } = ask;
    this.#open.set(asker, (this.#open.get(asker) ?? 0) + 1);
    void this.#send(response, bytes, from).finally(() => {
      const left = (this.#open.get(asker) ?? 1) - 1;
      if (left > 0) this.#open.set(asker, left);
      else this.#open.delete(asker);
    });
  }

  /** What is asked for, and by whom; the status of a refusal where it is not to be had. */
  #read({ headers, method, url = "" }: IncomingMessage): Ask | { readonly status: number } {
    const { tokens, offered } = this.#options;
    const [, token = ""] = /^Bearer (\S+)$/.exec(headers.authorization ?? "") ?? [];
    const asker = tokens.asker(token);
    // Strangers learn nothing.
    if (asker === undefined) return { status: UNAUTHORIZED };
    if (method !== "GET") return { status: 405 };
    const name = nameIn(url);
    const bytes = name === undefined ? undefined : offered(name);
    if (!bytes) return { status: 404 };
    const from = rangeIn(headers.range);
    if (from === undefined || (from > 0 && from >= bytes.length)) return { status: 416 };
    if ((this.#open.get(asker) ?? 0) >= MOST_ANSWERS) return { status: 429 };
    return { asker, bytes, from };
  }

  async #send(response: ServerResponse, bytes: Uint8Array, from: number): Promise<void> {
    const last = Math.max(bytes.length - 1, 0);
    response.writeHead(bytes.length === 0 ? 200 : 206, {
      "Content-Type": "application/octet-stream",
      "Content-Length": bytes.length - from,
      "Content-Range": `bytes ${bytes.length === 0 ? "*" : `${from}-${last}`}/${bytes.length}`,
      "Cache-Control": "no-store",
    });
    const late = setTimeout(() => response.destroy(), ANSWER_MS).unref();
    for (let at = from; at < bytes.length && !response.destroyed; at += PIECE_BYTES) {
      if (!response.write(bytes.subarray(at, at + PIECE_BYTES))) await this.#drained(response);
    }
    clearTimeout(late);
    if (!response.destroyed) response.end();
  }

  /** Resolves when there is room again, or nobody reads any more. */
  #drained(response: ServerResponse): Promise<void> {
    const { silenceMs = SILENCE_MS } = this.#options;
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(silent);
        response.off("drain", end).off("close", end);
        resolve();
      };
      const silent = setTimeout(() => response.destroy(), silenceMs).unref();
      response.on("drain", end).on("close", end);
      if (response.destroyed) end();
    });
  }
}

function nameIn(path: string): string | undefined {
  if (!path.startsWith(PREFIX)) return undefined;
  try {
    const name = decodeURIComponent(path.slice(PREFIX.length));
    return name.length <= MOST_NAME_CHARACTERS ? name : undefined;
  } catch {
    return undefined;
  }
}

/** Where a range begins that goes to the end; 0 where none is asked for, nothing for any other. */
function rangeIn(range: string | undefined): number | undefined {
  if (range === undefined) return 0;
  const [, from] = /^bytes=(\d{1,10})-$/.exec(range) ?? [];
  return from === undefined ? undefined : Number(from);
}
