// The coordinator's one port: HTTP, and the WebSocket at /ws.

import type { IncomingMessage, Server } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import type { Duplex } from "node:stream";
import { createAdaptorServer } from "@hono/node-server";
import { WebSocketServer } from "ws";
import { BitswarmError } from "../../shared/base/errors.ts";
import { tokenHolder } from "../base/token.ts";
import type { Sessions } from "../session/sessions.ts";
import { type HttpSource, httpApp } from "./http-app.ts";

export interface ServerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly source: HttpSource;
  readonly sessions: Pick<Sessions, "accept" | "open" | "closed">;
  /** Largest WebSocket message in bytes: a chunk, or the largest control message. */
  readonly messageLimit: number;
  /** From the end of a WebSocket, whichever side it came from, until the socket below is cut. */
  readonly closeMs: number;
}

/** Parts of one message, as many as a turn may read of a socket: browsers cut a chunk into a few dozen. */
export const MESSAGE_PARTS = 256;

export interface RunServer {
  readonly port: number;
  /** The volunteers' link, with the token. */
  readonly url: string;
  /** The operator's link, for workers on this machine: with the operator's token. */
  readonly localUrl: string;
  close(): Promise<void>;
}

const wildcards = ["0.0.0.0", "::", ""];

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

/** A page of another site must not lend its visitor's hand (RFC 6455, section 10.2). Programs send no origin. */
function isForeign({ headers }: IncomingMessage): boolean {
  const { origin, host } = headers;
  if (origin === undefined) return false;
  return !URL.canParse(origin) || new URL(origin).host !== host;
}

function refuse(socket: Duplex, status: string, message: string): void {
  // Nothing more is due of the other end, which may never close its side.
  socket.once("finish", () => socket.destroy());
  const body = `${message}\n`;
  socket.end(
    `HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

/** @throws PORT_IN_USE, CONFIG_INVALID for a host that is not this machine's */
export async function startServer({
  host,
  port,
  source,
  sessions,
  messageLimit,
  closeMs,
}: ServerOptions): Promise<RunServer> {
  const app = httpApp(source);
  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
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
    if (isForeign(request)) return refuse(socket, "403 Forbidden", "the page of another site may not join this run");
    const address = request.socket.remoteAddress ?? "";
    // Strangers who have the operator's address, behind a proxy say, must not keep its own workers out.
    if (tokenHolder(source, new URLSearchParams(query).get("token") ?? undefined) !== "operator") {
      const opened = sessions.open(address);
      if (opened.kind === "full") return refuse(socket, "429 Too Many Requests", opened.message);
      socket.once("close", () => sessions.closed(address));
    }
    // A peer that says no more and reads no more would keep what waits for it, and the socket.
    socket.once("end", () => setTimeout(() => socket.destroy(), closeMs).unref());
    sockets.handleUpgrade(request, socket, head, (webSocket) => {
      sessions.accept(webSocket, address, () => request.socket.bytesRead);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(listenError(error, host, port)));
    server.listen(port, host, resolve);
  });
  const { port: actual } = server.address() as AddressInfo;
  const link = (name: string, token: string) => {
    const address = name.includes(":") ? `[${name}]` : name;
    return `http://${address}:${actual}/?token=${encodeURIComponent(token)}`;
  };
  const everywhere = wildcards.includes(host);
  return {
    port: actual,
    url: link(everywhere ? outwardAddress() : host, source.token),
    localUrl: link(everywhere ? "127.0.0.1" : host, source.operatorToken),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
        for (const client of sockets.clients) client.terminate();
      }),
  };
}
