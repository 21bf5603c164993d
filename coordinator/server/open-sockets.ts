// How many HTTP connections there may be, of one address and in all. One that says nothing, or half a request, is worth
// the least: at a limit the oldest of those is reset, and whoever has something to say gets in.

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { addressKey } from "../trust/address-limits.ts";

export interface OpenSocketLimits {
  /** HTTP connections of one address; a browser opens six. A WebSocket is none any more. */
  readonly perAddress: number;
  /** Of all together. */
  readonly inAll: number;
  /** From a connection, or the last response on it, to the whole head of a request. */
  readonly headersMs: number;
  /** A response of which nothing is taken. */
  readonly stalledMs: number;
}

export const openSocketLimits: OpenSocketLimits = {
  perAddress: 256,
  inAll: 2048,
  headersMs: 10_000,
  stalledMs: 60_000,
};

/** A class room that opens the link together is given so long to say what it wants. */
const REVIEW_MS = 100;

interface Guest {
  readonly key: string;
  /** Requests that are being answered. */
  requests: number;
}

/** Keeps a server's HTTP connections within limits. @param exempt an address that has many people behind it */
export class OpenSockets {
  readonly #limits: OpenSocketLimits;
  readonly #exempt: (address: string) => boolean;
  readonly #guests = new Map<Socket, Guest>();
  /** Those that are not being answered, the oldest first; of each address, and all. */
  readonly #silent = new Map<string, Set<Socket>>();
  readonly #allSilent = new Set<Socket>();
  readonly #counts = new Map<string, number>();
  /** Addresses that are looked at soon. */
  readonly #crowded = new Set<string>();

  constructor(server: Server, limits: OpenSocketLimits, exempt: (address: string) => boolean) {
    this.#limits = limits;
    this.#exempt = exempt;
    server.on("connection", (socket: Socket) => this.#opened(socket));
    // First of all listeners: whoever answers may end the response at once.
    server.prependListener("request", (request: IncomingMessage, response: ServerResponse) => {
      this.#asked(request.socket, response);
    });
    // From then on it is a worker's, and the sessions count it.
    server.prependListener("upgrade", ({ socket }: IncomingMessage) => this.#gone(socket));
  }

  get size(): number {
    return this.#guests.size;
  }

  #opened(socket: Socket): void {
    const key = addressKey(socket.remoteAddress ?? "");
    this.#guests.set(socket, { key, requests: 0 });
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    this.#quiet(socket, key);
    socket.once("close", () => this.#gone(socket));
    const { perAddress, inAll } = this.#limits;
    if (this.#counted(key) > perAddress && !this.#exempt(socket.remoteAddress ?? "")) this.#reviewSoon(key);
    // The newest is among them: where all others are being answered, it is the one that goes.
    const [oldest] = this.#allSilent;
    if (this.#guests.size > inAll && oldest) this.#reset(oldest);
  }

  #counted(key: string): number {
    return this.#counts.get(key) ?? 0;
  }

  /** Many that come in one turn of the event loop are accepted before any of them is read. */
  #reviewSoon(key: string): void {
    if (this.#crowded.size === 0) setTimeout(() => setImmediate(() => this.#review()), REVIEW_MS).unref();
    this.#crowded.add(key);
  }

  #review(): void {
    for (const key of this.#crowded) {
      for (const oldest of this.#silent.get(key) ?? []) {
        if (this.#counted(key) <= this.#limits.perAddress) break;
        this.#reset(oldest);
      }
    }
    this.#crowded.clear();
  }

  #reset(socket: Socket): void {
    this.#gone(socket);
    socket.resetAndDestroy();
  }

  #asked(socket: Socket, response: ServerResponse): void {
    const guest = this.#guests.get(socket);
    if (!guest) return;
    guest.requests++;
    this.#busy(socket, guest.key);
    const busy = this.#counted(guest.key) - (this.#silent.get(guest.key)?.size ?? 0);
    if (busy > this.#limits.perAddress && !this.#exempt(socket.remoteAddress ?? "")) {
      this.#reset(socket);
      return;
    }
    response.once("close", () => {
      guest.requests--;
      if (guest.requests === 0 && this.#guests.has(socket)) this.#quiet(socket, guest.key);
    });
  }

  #quiet(socket: Socket, key: string): void {
    const silent = this.#silent.get(key) ?? new Set();
    this.#silent.set(key, silent.add(socket));
    this.#allSilent.add(socket);
  }

  #busy(socket: Socket, key: string): void {
    const silent = this.#silent.get(key);
    silent?.delete(socket);
    if (silent?.size === 0) this.#silent.delete(key);
    this.#allSilent.delete(socket);
  }

  #gone(socket: Socket): void {
    const guest = this.#guests.get(socket);
    if (!guest) return;
    this.#guests.delete(socket);
    this.#busy(socket, guest.key);
    const count = (this.#counts.get(guest.key) ?? 1) - 1;
    if (count > 0) this.#counts.set(guest.key, count);
    else this.#counts.delete(guest.key);
  }
}
