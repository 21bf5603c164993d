// Answers whoever comes without TLS to the port that speaks it: with how to trust the certificate, or, where every
// browser knows it, with where to go. Nothing of the run is told here.

import { CODE_PATTERN } from "./short-code.ts";
import type { TrustRoom } from "./trust-room.ts";

const CODE = new RegExp(`^/${CODE_PATTERN}$`);
/** A host and a port as a request has them, and nothing that could be more. */
const HOST = /^(?:[\w.-]{1,253}|\[[\da-fA-F:.]{2,45}\])(?::\d{1,5})?$/;

/** @param room that has the certificate to be trusted; none where the operator brought one */
export function plainDoor(room: TrustRoom | undefined): (request: Request) => Response {
  return (request) => {
    const { pathname, search } = new URL(request.url);
    const host = request.headers.get("host") ?? "";
    const text = (status: number, message: string) => new Response(`${message}\n`, { status });
    if (!HOST.test(host)) return text(400, "this port speaks https");
    if (request.method !== "GET" && request.method !== "HEAD") return text(405, "this port speaks https");
    const here = `https://${host}`;
    if (!room)
      return new Response(null, {
        status: 307,
        headers: { location: `${here}${pathname}${search}`, "cache-control": "no-store" },
      });
    const file = room.file(pathname);
    if (file) return file;
    // Whoever typed a code gets there in the end; a link's token is not asked for here, and not repeated.
    const goal = CODE.test(pathname) ? { goal: `${here}${pathname}` } : {};
    return room.page(request, { ...goal, probe: `${here}/trust/seen` });
  };
}
