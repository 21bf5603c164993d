// A dashboard without a coordinator: serves that of a run's folder, to this machine unless told otherwise.

import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { BitswarmError } from "../../shared/base/errors.ts";
import { isWildcard, Origins } from "../server/origins.ts";
import type { Dashboard } from "./dashboard.ts";
import { DASHBOARD_PATH } from "./dashboard-path.ts";

/** Of the head of a request, and of connections at a time: few look on. */
const HEADERS_MS = 10_000;
const MOST_CONNECTIONS = 256;

export interface LoneServer {
  /** The dashboard's link. */
  readonly url: string;
  close(): Promise<void>;
}

/** @throws PORT_IN_USE */
export async function serveAlone(
  dashboard: Dashboard,
  { host, port, token }: { readonly host: string; readonly port: number; readonly token: string },
): Promise<LoneServer> {
  // A guess of 128 bits need not be counted.
  const app = dashboard.routes({ wrongToken: () => undefined });
  const server = createServer(getRequestListener(app.fetch));
  server.headersTimeout = HEADERS_MS;
  server.maxConnections = MOST_CONNECTIONS;
  let origins: Origins | undefined;
  const refuse = (socket: Duplex, status: string, message: string) => {
    socket.once("finish", () => socket.destroy());
    socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-type: text/plain\r\n\r\n${message}\n`);
  };
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    const [path, query] = (request.url ?? "").split("?");
    if (!dashboard.sockets.includes(path)) return refuse(socket, "404 Not Found", "nothing is here");
    if (!origins?.allows(request.headers.origin, request.headers.host)) {
      return refuse(socket, "403 Forbidden", "ORIGIN_REFUSED: a page of another address asks");
    }
    dashboard.upgrade({
      path,
      query: new URLSearchParams(query),
      request,
      socket,
      head,
      wrongToken: () => undefined,
      refuse: (status, message) => refuse(socket, status, message),
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const what = `port ${port} of ${host} cannot be had (${cause.code}); choose another with --port N, or --port 0 for any free one`;
      reject(new BitswarmError("PORT_IN_USE", what, { cause }));
    });
    server.listen(port, host, resolve);
  });
  const { port: actual } = server.address() as AddressInfo;
  origins = new Origins({ host, port: actual, allowed: [] });
  const name = isWildcard(host) ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
  const url = new URL(DASHBOARD_PATH, `http://${name}:${actual}/`);
  url.searchParams.set("token", token);
  return {
    url: url.href,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        dashboard.close();
        server.closeAllConnections();
      }),
  };
}
