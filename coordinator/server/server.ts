// The coordinator's one port: HTTP, and the WebSocket at /ws.

import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import type { Duplex } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { WebSocketServer } from "ws";
import { BitswarmError } from "../../shared/base/errors.ts";
import { tokenHolder } from "../base/token.ts";
import type { Sessions } from "../session/sessions.ts";
import { type HttpSource, httpApp } from "./http-app.ts";
import { type OpenSocketLimits, OpenSockets, openSocketLimits } from "./open-sockets.ts";
import { isWildcard, Origins, shownOrigin } from "./origins.ts";
import type { Reach } from "./reach.ts";

export interface ServerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly source: HttpSource;
  readonly sessions: Pick<Sessions, "accept" | "open" | "fullness" | "wrongToken">;
  /** Largest WebSocket message in bytes: a chunk, or the largest control message. */
  readonly messageLimit: number;
  /** From the end of a WebSocket, whichever side it came from, until the socket below is cut. */
  readonly closeMs: number;
  readonly reach: Reach;
  readonly openSockets?: OpenSocketLimits;
  /** Takes what whoever runs the coordinator should know. */
  readonly onNotice: (message: string) => void;
}

/** Parts of one message, as many as a turn may read of a socket: browsers cut a chunk into a few dozen. */
export const MESSAGE_PARTS = 256;

export interface RunServer {
  readonly port: number;
  /** The volunteers' link, with the token. */
  readonly url: string;
  /** HTTP connections that there are; a WebSocket is none any more. */
  readonly connections: number;
  /** The operator's link, for workers on this machine: with the operator's token. */
  readonly localUrl: string;
  close(): Promise<void>;
}

/** From a connection to a whole request; none has a body. */
const REQUEST_MS = 15_000;
const KEEP_ALIVE_MS = 5_000;
const REQUESTS_PER_SOCKET = 10_000;
/** Between two looks at which of these are over. */
const LOOK_EVERY_MS = 1_000;
/** Origins that are told of; strangers make up as many as they like. */
const TOLD_ORIGINS = 8;

/** Why the port cannot be had, and what to do. */
function listenError(error: NodeJS.ErrnoException, host: string, port: number): Error {
  switch (error.code) {
    case "EADDRINUSE":
      return new BitswarmError(
        "PORT_IN_USE",
        `port ${port} of ${host} is taken by another program; choose another with --port N, or --port 0 for any free one`,
        { cause: error },
      );
    case "EACCES":
      return new BitswarmError(
        "PORT_IN_USE",
        `port ${port} is not open to this user; choose one above 1023 with --port N`,
        {
          cause: error,
        },
      );
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new BitswarmError(
        "CONFIG_INVALID",
        `--host ${host} is no address of this machine; 127.0.0.1 serves this machine alone, 0.0.0.0 all its networks`,
        { cause: error },
      );
    default:
      return error;
  }
}

/** An address under which others reach this machine, for the link; the loopback where there is none. */
function outwardAddress(): string {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.find(({ family, internal }) => family === "IPv4" && !internal)?.address ?? "127.0.0.1";
}

function refuse(socket: Duplex, status: string, message: string): void {
  // Nothing more is due of the other end, which may never close its side.
  socket.once("finish", () => socket.destroy());
  const body = `${message}\n`;
  socket.end(
    `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

/** Says of each origin once that it is refused, and of those that anybody can make up no more than so many. */
class OriginNotices {
  readonly #said = new Set<string>();
  readonly #left = { anybody: TOLD_ORIGINS, tokenHolder: TOLD_ORIGINS };
  readonly #say: (message: string) => void;

  constructor(say: (message: string) => void) {
    this.#say = say;
  }

  tell(of: "anybody" | "tokenHolder", origin: string, advice: string): void {
    if (this.#said.has(origin) || this.#left[of] === 0) return;
    this.#left[of]--;
    this.#said.add(origin);
    this.#say(`refused: ${advice}`);
  }
}

/** @throws PORT_IN_USE, CONFIG_INVALID for a host that is not this machine's */
export async function startServer(options: ServerOptions): Promise<RunServer> {
  const { host, port, source, sessions, messageLimit, closeMs, onNotice } = options;
  const { proxies, publicUrl, allowedOrigins } = options.reach;
  const notices = new OriginNotices(onNotice);
  let forwardedTold = false;
  let origins: Origins | undefined;
  /** Whom a request is counted for. */
  const clientOf = ({ socket, headers }: IncomingMessage): string => {
    const peer = socket.remoteAddress ?? "";
    const hops = headers["x-forwarded-for"];
    if (hops !== undefined && !proxies.has(peer) && !forwardedTold) {
      forwardedTold = true;
      const what = proxies.any ? `${peer} is not among the trusted proxies` : "--behind-proxy is not given";
      onNotice(
        `requests from ${peer} carry X-Forwarded-For, which is not believed: ${what}. If a proxy is in front, start with --behind-proxy (and its addresses, where it is on another machine): until then everybody behind it shares the limits of one address`,
      );
    }
    return proxies.clientOf(peer, hops);
  };
  const app = httpApp(source, {
    wrongToken: (request) => sessions.wrongToken(clientOf(request as IncomingMessage)),
    refusalOf: (request, origin) => {
      if (!origins?.allows(origin, request.headers.host)) {
        const advice = origins?.advice(origin ?? "") ?? "";
        notices.tell("tokenHolder", shownOrigin(origin ?? ""), advice);
        return new BitswarmError("ORIGIN_REFUSED", advice);
      }
      const fullness = sessions.fullness(clientOf(request as IncomingMessage));
      return fullness === undefined ? undefined : new BitswarmError("RATE_LIMITED", fullness);
    },
  });
  const limits = options.openSockets ?? openSocketLimits;
  const serverOptions = { connectionsCheckingInterval: LOOK_EVERY_MS, keepAliveTimeout: KEEP_ALIVE_MS };
  const server = createServer(serverOptions);
  server.headersTimeout = limits.headersMs;
  server.requestTimeout = REQUEST_MS;
  server.maxRequestsPerSocket = REQUESTS_PER_SOCKET;
  server.timeout = limits.stalledMs;
  const answer = getRequestListener(app.fetch);
  const openSockets = new OpenSockets(server, limits, answer, (address) => proxies.has(address));
  const socketOptions = {
    noServer: true,
    maxPayload: messageLimit,
    maxFragments: MESSAGE_PARTS,
    perMessageDeflate: false,
    // Of one socket one message, ping or pong a turn of the event loop, however many come in one piece.
    allowSynchronousEvents: false,
    closeTimeout: closeMs,
  };
  const sockets = new WebSocketServer(socketOptions);
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    const [pathname, query] = (request.url ?? "").split("?");
    if (pathname !== "/ws") return refuse(socket, "404 Not Found", "the WebSocket is at /ws");
    // A page of another site must not lend its visitor's hand (RFC 6455, section 10.2).
    const { origin, host: asked } = request.headers;
    if (!origins?.allows(origin, asked)) {
      const advice = origins?.advice(origin ?? "") ?? "";
      notices.tell("anybody", shownOrigin(origin ?? ""), advice);
      return refuse(socket, "403 Forbidden", `ORIGIN_REFUSED: ${advice}`);
    }
    // A peer that says no more and reads no more would keep what waits for it, and the socket.
    socket.once("end", () => setTimeout(() => socket.destroy(), closeMs).unref());
    const client = clientOf(request);
    // Strangers who have the operator's address, behind a proxy say, must not keep its own workers out.
    const own = tokenHolder(source, new URLSearchParams(query).get("token") ?? undefined) === "operator";
    const opening = own ? undefined : sessions.open(client);
    if (opening?.kind === "full") return refuse(socket, "429 Too Many Requests", `RATE_LIMITED: ${opening.message}`);
    if (opening) socket.once("close", opening.release);
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      sessions.accept(webSocket, client, () => request.socket.bytesRead, opening?.release);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(listenError(error, host, port)));
    server.listen(port, host, resolve);
  });
  const { port: actual } = server.address() as AddressInfo;
  origins = new Origins({ host, port: actual, publicUrl, allowed: allowedOrigins });
  const link = (base: URL, token: string) => {
    const url = new URL(base);
    url.searchParams.set("token", token);
    return url.href;
  };
  const address = (name: string) => new URL(`http://${name.includes(":") ? `[${name}]` : name}:${actual}/`);
  const everywhere = isWildcard(host);
  return {
    port: actual,
    get connections() {
      return openSockets.size;
    },
    url: link(publicUrl ?? address(everywhere ? outwardAddress() : host), source.token),
    localUrl: link(address(everywhere ? "127.0.0.1" : host), source.operatorToken),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
        for (const client of sockets.clients) client.terminate();
      }),
  };
}
