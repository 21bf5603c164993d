// How many HTTP connections there may be, of one address and in all. At a limit the oldest of those goes that say
// nothing, or half a request, and where there is none the oldest download: whoever has something to say gets in.

import type { IncomingMessage, RequestListener, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { addressKey } from "../trust/address-limits.ts";

export interface OpenSocketLimits {
  /** HTTP connections of one address; a browser opens six. A WebSocket is none any more. */
  readonly perAddress: number;
  /** Of all together. */
  readonly inAll: number;
  /** Requests that one connection may have made before it is answered: each holds a file open. */
  readonly requestsAtOnce: number;
  /** From a connection, or the last response on it, to the whole head of a request. */
  readonly headersMs: number;
  /** A response of which nothing is taken. */
  readonly stalledMs: number;
}

export const openSocketLimits: OpenSocketLimits = {
  perAddress: 256,
  inAll: 2048,
  requestsAtOnce: 8,
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

/** Connections in the order in which they came to be so. */
interface Group {
  /** Of which nothing is being answered. */
  readonly silent: Set<Socket>;
  readonly busy: Set<Socket>;
}

const emptyGroup = (): Group => ({ silent: new Set(), busy: new Set() });

/** Who is the first to go. @param newest who does only when nobody else is there */
function firstToGo({ silent, busy }: Group, newest?: Socket): Socket | undefined {
  for (const socket of silent) if (socket !== newest) return socket;
  const [oldest = newest] = busy;
  return oldest;
}

/** Keeps a server's HTTP connections within limits. */
export class OpenSockets {
  readonly #limits: OpenSocketLimits;
  readonly #exempt: (address: string) => boolean;
  readonly #guests = new Map<Socket, Guest>();
  readonly #all = emptyGroup();
  readonly #ofAddress = new Map<string, Group>();
  /** Addresses that are looked at soon. */
  readonly #crowded = new Set<string>();

  /**
   * @param answer to the requests that are within the limits
   * @param exempt an address that has many people behind it
   */
  constructor(server: Server, limits: OpenSocketLimits, answer: RequestListener, exempt: (address: string) => boolean) {
    this.#limits = limits;
    this.#exempt = exempt;
    server.on("connection", (socket: Socket) => this.opened(socket));
    server.on("request", (request: IncomingMessage, response: ServerResponse) => {
      if (this.#takes(request.socket, response)) answer(request, response);
    });
    // From then on it is a worker's, and the sessions count it.
    server.prependListener("upgrade", ({ socket }: IncomingMessage) => this.#gone(socket));
  }

  get size(): number {
    return this.#guests.size;
  }

  /** Requests on a connection that are being answered. */
  requestsOf(socket: Socket): number {
    return this.#guests.get(socket)?.requests ?? 0;
  }

  /** Counts a connection, before anything is known of it; once, however often it is told of. */
  opened(socket: Socket): void {
    if (this.#guests.has(socket)) return;
    const key = addressKey(socket.remoteAddress ?? "");
    this.#guests.set(socket, { key, requests: 0 });
    const group = this.#ofAddress.get(key) ?? emptyGroup();
    this.#ofAddress.set(key, group);
    for (const { silent } of [group, this.#all]) silent.add(socket);
    socket.once("close", () => this.#gone(socket));
    if (this.#isCrowded(group) && !this.#exempt(socket.remoteAddress ?? "")) this.#reviewSoon(key);
    if (this.#guests.size > this.#limits.inAll) this.#reset(firstToGo(this.#all, socket));
  }

  /** A connection of which another speaks from now on: TLS on it. */
  become(raw: Socket, socket: Socket): void {
    this.#gone(raw);
    this.opened(socket);
  }

  #isCrowded({ silent, busy }: Group): boolean {
    return silent.size + busy.size > this.#limits.perAddress;
  }

  /** Many that come in one turn of the event loop are accepted before any of them is read. */
  #reviewSoon(key: string): void {
    if (this.#crowded.size === 0) setTimeout(() => setImmediate(() => this.#review()), REVIEW_MS).unref();
    this.#crowded.add(key);
  }

  #review(): void {
    for (const key of this.#crowded) {
      const group = this.#ofAddress.get(key) ?? emptyGroup();
      while (this.#isCrowded(group)) this.#reset(firstToGo(group, [...group.silent].at(-1)));
    }
    this.#crowded.clear();
  }

  #reset(socket: Socket | undefined): void {
    if (!socket) return;
    this.#gone(socket);
    // TLS has no connection of its own to reset.
    if ("encrypted" in socket) socket.destroy();
    else socket.resetAndDestroy();
  }

  /** Whether a request is to be answered: all that came in one piece are heard of, also once their socket is gone. */
  #takes(socket: Socket, response: ServerResponse): boolean {
    const guest = this.#guests.get(socket);
    if (!guest) return false;
    guest.requests++;
    if (guest.requests > this.#limits.requestsAtOnce) {
      this.#reset(socket);
      return false;
    }
    for (const { silent, busy } of this.#groupsOf(guest)) {
      silent.delete(socket);
      busy.add(socket);
    }
    response.once("close", () => {
      guest.requests--;
      if (guest.requests > 0 || !this.#guests.has(socket)) return;
      for (const { silent, busy } of this.#groupsOf(guest)) {
        busy.delete(socket);
        silent.add(socket);
      }
    });
    return true;
  }

  #groupsOf({ key }: Guest): readonly Group[] {
    const group = this.#ofAddress.get(key);
    return group ? [group, this.#all] : [this.#all];
  }

  #gone(socket: Socket): void {
    const guest = this.#guests.get(socket);
    if (!guest) return;
    this.#guests.delete(socket);
    for (const { silent, busy } of this.#groupsOf(guest)) {
      silent.delete(socket);
      busy.delete(socket);
    }
    const group = this.#ofAddress.get(guest.key);
    if (group && group.silent.size + group.busy.size === 0) this.#ofAddress.delete(guest.key);
  }
}
