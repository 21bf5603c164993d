// Why a WebSocket did not open: runtimes show nobody what its request was answered, so the coordinator is asked over
// HTTP (SPEC.md, H16).

import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { JoinLink } from "./join-link.ts";
import type { SessionPorts } from "./session-ports.ts";

/** How long the answer may take; without one the socket may have failed for any reason. */
const ANSWER_MS = 5000;

const refusalSchema = z.object({ code: z.enum(["ORIGIN_REFUSED", "RATE_LIMITED"]), message: z.string() });

/** What the coordinator says; undefined where it says nothing, or is not to be asked. */
export async function refusalOf(
  { base, token }: JoinLink,
  { origin, clock, fetch: ask }: Pick<SessionPorts, "origin" | "fetch" | "clock">,
): Promise<BitswarmError | undefined> {
  if (origin === undefined) return undefined;
  const abort = new AbortController();
  const stop = clock.after(ANSWER_MS, () => abort.abort());
  try {
    const query = new URLSearchParams({ ...(origin === null ? {} : { origin }), token });
    const response = await ask(`${base}/joinable?${query}`, { signal: abort.signal, cache: "reload" });
    if (response.status !== 403 && response.status !== 429) return undefined;
    const text = new TextDecoder().decode(await response.arrayBuffer());
    const { code, message } = refusalSchema.parse(JSON.parse(text));
    return new BitswarmError(code, message);
  } catch {
    // Nobody answers there either, or something else does.
    return undefined;
  } finally {
    stop();
  }
}
