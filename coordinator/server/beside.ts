// What else is served at the coordinator's port, by rooms that the server knows nothing of: routes before the page's
// files, and WebSockets at paths of their own.

import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { HttpBindings } from "@hono/node-server";
import type { Hono } from "hono";

/** Who asks, as far as a room beside the page has to know. */
export interface BesideVisitors {
  /** Counts a wrong token for whoever sent the request. @throws RATE_LIMITED */
  wrongToken(request: HttpBindings["incoming"]): void;
}

/** A WebSocket that somebody asks for; its Origin is one that the coordinator is known by. */
export interface BesideUpgrade {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  /** Counts a wrong token for whoever asks. @throws RATE_LIMITED */
  wrongToken(): void;
  /** Answers with HTTP in place of a WebSocket. */
  refuse(status: string, message: string): void;
}

/**
 * The content security policy of a room's pages: nothing but their own files and their own host.
 * @param scripts what they may run beside those
 */
export function roomPolicy(...scripts: readonly string[]): string {
  return [
    "default-src 'none'",
    ["script-src 'self'", ...scripts].join(" "),
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join("; ");
}

export interface Beside {
  /** Its answers may have a content security policy of their own; without one they have the page's. */
  routes(visitors: BesideVisitors): Hono<{ readonly Bindings: HttpBindings }>;
  /** Paths at which it takes WebSockets. */
  readonly sockets?: readonly string[];
  /** Takes one of them over, or refuses it. */
  upgrade?(upgrade: BesideUpgrade): void;
  /** Ends what it has open. */
  close?(): void;
}
