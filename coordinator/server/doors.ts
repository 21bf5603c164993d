// Where connections come in. Without TLS the HTTP server listens itself. With TLS a port in front tells by the first
// byte of a connection whether it speaks TLS, and hands both kinds to the same HTTP server, which itself listens on
// this machine's own address alone, for its own workers: they need to trust nobody's certificate there.

import type { Server as HttpServer } from "node:http";
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from "node:net";
import { createServer as createTlsServer, type Server as TlsServer } from "node:tls";
import type { Credentials } from "../tls/own-certificate.ts";
import type { OpenSockets } from "./open-sockets.ts";

/** What a TLS server is at the moment, and when it is another. */
export interface TlsIdentity {
  readonly credentials: Credentials;
  /** @returns whether it is another now @throws where what should be read does not go together */
  renew(now: Date): Promise<boolean>;
}

/** The first byte of a TLS handshake (RFC 8446, 5.1); no method of HTTP begins with it. */
const HANDSHAKE = 0x16;
/** Between two looks at whether the certificate has to be another. */
export const RENEW_EVERY_MS = 60_000;
const LOOPBACK = "127.0.0.1";

export interface SecureDoorOptions {
  readonly http: HttpServer;
  readonly identity: TlsIdentity;
  readonly openSockets: OpenSockets;
  /** From a connection to what tells its kind, and to the end of its handshake. */
  readonly handshakeMs: number;
  readonly onNotice: (message: string) => void;
  /** Where it should listen now; where it began unless given. */
  readonly where?: () => Promise<string>;
  /** Told when it listens elsewhere. */
  readonly onMoved?: (host: string) => void;
}

/** Both ends of a connection, by which its raw socket is found again behind TLS. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return [remoteAddress, remotePort, localAddress, localPort].join(" ");
}

function listening(server: NetServer, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/** A port that speaks TLS, and says over plain HTTP what is to be said there. */
export class SecureDoor {
  readonly #options: SecureDoorOptions;
  #front: NetServer;
  #host = "";
  readonly #tls: TlsServer;
  /** Raw sockets, whatever is spoken on them. */
  readonly #raw = new Set<Socket>();
  /** Those whose handshake is not over. */
  readonly #shaking = new Map<string, Socket>();
  /** Raw sockets of connections over TLS. */
  readonly #secured = new WeakSet<Socket>();
  /** Connections that came to the front and do not speak TLS. */
  readonly #plain = new WeakSet<object>();
  #timer: NodeJS.Timeout | undefined;
  #told = "";

  constructor(options: SecureDoorOptions) {
    const { http, identity, openSockets, handshakeMs } = options;
    this.#options = options;
    const { cert, key } = identity.credentials;
    this.#tls = createTlsServer({
      cert,
      key,
      minVersion: "TLSv1.2",
      handshakeTimeout: handshakeMs,
      ALPNProtocols: ["http/1.1"],
    });
    this.#tls.on("secureConnection", (socket) => {
      const ends = endsOf(socket);
      const raw = this.#shaking.get(ends);
      this.#shaking.delete(ends);
      if (raw) {
        this.#secured.add(raw);
        openSockets.become(raw, socket);
      }
      http.emit("connection", socket);
    });
    this.#tls.on("tlsClientError", (_error, socket) => socket.destroy());
    this.#front = this.#newFront();
  }

  /** Listens, and looks now and then whether the certificate has to be another. @returns the port */
  async open(host: string, port: number): Promise<number> {
    const actual = await listening(this.#front, port, host);
    this.#host = host;
    this.#timer = setInterval(() => void this.renew(), RENEW_EVERY_MS).unref();
    return actual;
  }

  /** Whether a request came in plain through the port that speaks TLS: it may be anybody's who was sent astray. */
  isPlain(socket: object): boolean {
    return this.#plain.has(socket);
  }

  /**
   * Takes in nobody more, and cuts whoever speaks no TLS yet.
   * @param graceMs from now until it cuts the others: what is encrypted for them is lost with their raw sockets
   */
  async close(graceMs = 0): Promise<void> {
    clearInterval(this.#timer);
    for (const raw of this.#raw) if (!this.#secured.has(raw)) raw.destroy();
    const cut = setTimeout(() => {
      for (const raw of this.#raw) raw.destroy();
    }, graceMs);
    if (this.#front.listening) await new Promise<void>((resolve) => void this.#front.close(() => resolve()));
    clearTimeout(cut);
  }

  #newFront(): NetServer {
    const front = createServer((raw) => this.#opened(raw));
    front.on("error", () => undefined);
    return front;
  }

  /** Listens at another address, at the same port; who is connected stays so, as far as there is a way. */
  async #move(host: string): Promise<void> {
    const before = this.#front;
    const { port } = before.address() as AddressInfo;
    const next = this.#newFront();
    await listening(next, port, host);
    this.#front = next;
    this.#host = host;
    before.close();
    this.#options.onMoved?.(host);
  }

  #opened(raw: Socket): void {
    const { http, openSockets, handshakeMs } = this.#options;
    raw.on("error", () => raw.destroy());
    openSockets.opened(raw);
    this.#raw.add(raw);
    const silent = setTimeout(() => raw.destroy(), handshakeMs);
    raw.once("close", () => {
      clearTimeout(silent);
      this.#raw.delete(raw);
    });
    raw.once("data", (first: Buffer) => {
      clearTimeout(silent);
      raw.pause();
      raw.unshift(first);
      if (first[0] !== HANDSHAKE) {
        this.#plain.add(raw);
        http.emit("connection", raw);
        raw.resume();
        return;
      }
      const ends = endsOf(raw);
      this.#shaking.set(ends, raw);
      raw.once("close", () => this.#shaking.delete(ends));
      this.#tls.emit("connection", raw);
    });
  }

  /** Listens where it should, and shows another certificate to whoever comes from now on where it has to be another. */
  async renew(): Promise<void> {
    const { identity, onNotice, where } = this.#options;
    try {
      const host = await where?.();
      if (host !== undefined && host !== this.#host) await this.#move(host);
      if (!(await identity.renew(new Date()))) return;
      const { cert, key } = identity.credentials;
      this.#tls.setSecureContext({ cert, key, minVersion: "TLSv1.2" });
    } catch (error) {
      const { message } = error as Error;
      if (message !== this.#told) onNotice(`the port and its certificate stay as they were: ${message}`);
      this.#told = message;
    }
  }
}

/**
 * Lets the HTTP server listen for this machine alone: at a wanted port where it is free.
 * @returns the port
 */
export async function listenForThisMachine(http: HttpServer, wanted: number): Promise<number> {
  if (wanted !== 0) {
    const port = await listening(http, wanted, LOOPBACK).catch(() => undefined);
    if (port !== undefined) return port;
  }
  return await listening(http, 0, LOOPBACK);
}
