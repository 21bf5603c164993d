// The head of a request as it came over the wire: a connection that goes from one process to another takes it along.

import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";

/** Latin-1, as Node reads heads. */
export function requestHead({ method, url, httpVersion, rawHeaders }: IncomingMessage): string {
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let i = 0; i < rawHeaders.length; i += 2) lines.push(`${rawHeaders[i]}: ${rawHeaders[i + 1]}`);
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** Whether a body follows the head, which no request of ours has. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}

/** Node counts the sockets that a server sent away, and asks for them when it closes: this one is another's now. */
export function detach(socket: Socket): void {
  (socket as { server?: unknown }).server = undefined;
}
