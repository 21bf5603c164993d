// Why a page's WebSocket did not open: browsers show a page nothing of what its request was answered, so the
// coordinator is asked over HTTP (SPEC.md, H16).

import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { JoinLink } from "./join-link.ts";
import type { SessionPorts } from "./session-ports.ts";

/** How long the answer may take; without one the socket may have failed for any reason. */
const ANSWER_MS = 5000;

const refusalSchema = z.object({ code: z.literal("ORIGIN_REFUSED"), message: z.string() });

/** What the coordinator has against the page's origin; undefined where nothing, or where this runs in no page. */
export async function refusalOfOrigin(
  { base, token }: JoinLink,
  ports: Pick<SessionPorts, "origin" | "fetch" | "clock">,
): Promise<BitswarmError | undefined> {
  const { origin, clock } = ports;
  if (origin === undefined) return undefined;
  const abort = new AbortController();
  const stop = clock.after(ANSWER_MS, () => abort.abort());
  try {
    const query = new URLSearchParams({ origin, token });
    const response = await ports.fetch(`${base}/origin?${query}`, { signal: abort.signal, cache: "reload" });
    if (response.status !== 403) return undefined;
    const text = new TextDecoder().decode(await response.arrayBuffer());
    const { message } = refusalSchema.parse(JSON.parse(text));
    return new BitswarmError("ORIGIN_REFUSED", message);
  } catch {
    // Nobody answers there either, or something else does.
    return undefined;
  } finally {
    stop();
  }
}
