// The coordinator's one port: HTTP, and the WebSocket at /ws.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import type { Duplex } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { WebSocket, WebSocketServer } from "ws";
import { BitswarmError } from "../../shared/base/errors.ts";
import { tokenHolder } from "../base/token.ts";
import type { Sessions } from "../session/sessions.ts";
import { DownloadLimits, type DownloadRates, downloadRates } from "../trust/download-limits.ts";
import type { Beside } from "./beside.ts";
import { listenForThisMachine, SecureDoor, type TlsIdentity } from "./doors.ts";
import { Downloads } from "./downloads.ts";
import { type HttpSource, type HttpVisitors, httpApp } from "./http-app.ts";
import { type OpenSocketLimits, OpenSockets, openSocketLimits } from "./open-sockets.ts";
import { isLoopback, isWildcard, Origins, shownOrigin } from "./origins.ts";
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
  /** What an address may fetch of the data set. */
  readonly downloads?: DownloadRates;
  /** What else is served at the port. */
  readonly beside?: readonly Beside[];
  /** TLS at the port; plain HTTP unless given. */
  readonly tls?: ServerTls;
  /** Takes what whoever runs the coordinator should know. */
  readonly onNotice: (message: string) => void;
}

export interface ServerTls {
  readonly identity: TlsIdentity;
  /** Name or address in the link; the one that it listens at unless given. */
  readonly linkHost?: string;
  /** Where this machine's own workers come in without TLS, where it is free; any port for 0. */
  readonly localPort: number;
  /** Where it should listen now, where addresses may change; at its host unless given. */
  readonly where?: () => Promise<string>;
  /** Told when it listens elsewhere: the link is another. */
  readonly onMoved?: (server: RunServer) => void;
  /** Answers who came to the port without TLS, and is told nothing of the run. */
  readonly plain: (request: Request) => Response | Promise<Response>;
}

/** Parts of one message, as many as a turn may read of a socket: browsers cut a chunk into a few dozen. */
export const MESSAGE_PARTS = 256;

export interface RunServer {
  readonly port: number;
  /** The volunteers' link, with the token. */
  readonly url: string;
  /** HTTP connections that there are; a WebSocket is none any more. */
  readonly connections: number;
  /** Of the process that sends shards; none before the first was asked for. */
  readonly downloadsPid: number | undefined;
  /** Where this machine's own workers come in. */
  readonly localPort: number;
  /** The operator's link, for workers on this machine: with the operator's token, and without TLS. */
  readonly localUrl: string;
  /** A link of others than volunteers: with this path below the volunteers' link, and this token. */
  linkTo(path: string, token: string): string;
  /** The same for a browser on this machine, which needs to trust no certificate for it. */
  localLinkTo(path: string, token: string): string;
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
  const { host, port, source, sessions, messageLimit, closeMs, onNotice, tls, beside = [] } = options;
  const { proxies, publicUrl, allowedOrigins } = options.reach;
  const notices = new OriginNotices(onNotice);
  let forwardedTold = false;
  let origins: Origins | undefined;
  let listensAt = host;
  let running: RunServer | undefined;
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
  const rates = options.downloads ?? downloadRates;
  const downloadLimits = new DownloadLimits(rates);
  const visitors: HttpVisitors = {
    download: (request, bytes) => downloadLimits.take(performance.now(), clientOf(request as IncomingMessage), bytes),
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
  };
  const app = httpApp(source, visitors, beside);
  const limits = options.openSockets ?? openSocketLimits;
  const serverOptions = { connectionsCheckingInterval: LOOK_EVERY_MS, keepAliveTimeout: KEEP_ALIVE_MS };
  const server = createServer(serverOptions);
  server.headersTimeout = limits.headersMs;
  server.requestTimeout = REQUEST_MS;
  server.maxRequestsPerSocket = REQUESTS_PER_SOCKET;
  server.timeout = limits.stalledMs;
  const answerHere = getRequestListener(app.fetch);
  const downloads = new Downloads({ server, source, proxies: proxies.addresses, limits, rates, onNotice });
  const answerPlain = getRequestListener(tls?.plain ?? app.fetch);
  const answer = (request: IncomingMessage, response: ServerResponse) => {
    if (door?.isPlain(request.socket)) return void answerPlain(request, response);
    const here = () => void answerHere(request, response);
    if (!downloads.takes(request, () => openSockets.requestsOf(request.socket) === 1, here)) here();
  };
  const openSockets: OpenSockets = new OpenSockets(server, limits, answer, (address) => proxies.has(address));
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
  const handshakeMs = limits.headersMs;
  const door =
    tls &&
    new SecureDoor({
      http: server,
      identity: tls.identity,
      openSockets,
      handshakeMs,
      onNotice,
      ...(tls.where === undefined ? {} : { where: tls.where }),
      onMoved: (moved) => {
        listensAt = moved;
        if (running) tls.onMoved?.(running);
      },
    });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    if (door?.isPlain(socket)) return refuse(socket, "403 Forbidden", "this port speaks https and wss");
    const [pathname, query] = (request.url ?? "").split("?");
    const room = beside.find(({ sockets: paths = [] }) => paths.includes(pathname));
    if (pathname !== "/ws" && !room) return refuse(socket, "404 Not Found", "the WebSocket is at /ws");
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
    if (room) {
      room.upgrade?.({
        path: pathname,
        query: new URLSearchParams(query),
        request,
        socket,
        head,
        wrongToken: () => sessions.wrongToken(client),
        refuse: (status, message) => refuse(socket, status, message),
      });
      return;
    }
    // Strangers who have the operator's address, behind a proxy say, must not keep its own workers out.
    const own = tokenHolder(source, new URLSearchParams(query).get("token") ?? undefined) === "operator";
    const opening = own ? undefined : sessions.open(client);
    if (opening?.kind === "full") return refuse(socket, "429 Too Many Requests", `RATE_LIMITED: ${opening.message}`);
    if (opening) socket.once("close", opening.release);
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      sessions.accept(webSocket, client, () => request.socket.bytesRead, opening?.release);
    });
  });
  const everywhere = isWildcard(host);
  let actual: number;
  let local: number;
  if (door && tls) {
    actual = await door.open(host, port).catch((error) => {
      throw listenError(error, host, port);
    });
    // At the same port where that leaves it free, so that it is found again after a resume.
    local = await listenForThisMachine(server, tls.localPort || (everywhere || isLoopback(host) ? 0 : actual)).catch(
      async (error) => {
        await door.close();
        throw error;
      },
    );
  } else {
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error) => reject(listenError(error, host, port)));
      server.listen(port, host, resolve);
    });
    actual = local = (server.address() as AddressInfo).port;
  }
  const scheme = tls ? "https" : "http";
  const link = (base: URL, token: string, path = "") => {
    const url = new URL(path, base);
    url.searchParams.set("token", token);
    return url.href;
  };
  const at = (spoken: string, name: string, where: number) =>
    new URL(`${spoken}://${name.includes(":") ? `[${name}]` : name}:${where}/`);
  const ownAddress = () => at(scheme, tls?.linkHost ?? (everywhere ? outwardAddress() : listensAt), actual);
  const own = ownAddress();
  const allowed = tls ? [...allowedOrigins, own] : allowedOrigins;
  origins = new Origins({ host, port: actual, secure: tls !== undefined, publicUrl, allowed });
  const shown = () => publicUrl ?? ownAddress();
  const localAddress = at("http", everywhere || tls ? "127.0.0.1" : host, local);
  running = {
    port: actual,
    get connections() {
      return openSockets.size;
    },
    get downloadsPid() {
      return downloads.pid;
    },
    localPort: local,
    get url() {
      return link(shown(), source.token);
    },
    localUrl: link(localAddress, source.operatorToken),
    linkTo: (path, token) => link(shown(), token, path),
    localLinkTo: (path, token) => link(localAddress, token, path),
    close: () =>
      new Promise((resolve) => {
        for (const room of beside) room.close?.();
        const others = door?.close(closeMs);
        server.close(() => void Promise.resolve(others).then(() => resolve()));
        downloads.close();
        server.closeAllConnections();
        // Who was told goodbye answers it, or is cut after `closeMs`.
        for (const client of sockets.clients) if (client.readyState !== WebSocket.CLOSING) client.terminate();
      }),
  };
  return running;
}
