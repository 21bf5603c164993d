// Why a WebSocket did not open: runtimes show nobody what its request was answered, so the coordinator is asked over
// HTTP (SPEC.md, H16).

import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { JoinLink } from "./join-link.ts";
import type { SessionPorts } from "./session-ports.ts";

/** How long the answer may take; without one the socket may have failed for any reason. */
const ANSWER_MS = 5000;
/** Of a runtime's words. */
const MOST_SHOWN = 200;

const refusalSchema = z.object({ code: z.enum(["ORIGIN_REFUSED", "RATE_LIMITED"]), message: z.string() });

/**
 * That a certificate is not trusted, as Deno and Node tell it. A browser tells its page nothing, and has shown it over
 * one that it trusts.
 */
function untrusted(base: string, failure: unknown): BitswarmError | undefined {
  const { cause } = failure as { readonly cause?: unknown };
  // The address in it has the token.
  const said = cause instanceof Error ? cause.message.replaceAll(/https?:\S*/g, "") : "";
  const [why] = /[^:()]*certificate.*/is.exec(said) ?? [];
  if (why === undefined || !base.startsWith("https:")) return undefined;
  return new BitswarmError(
    "CERTIFICATE_INVALID",
    `the certificate of ${base} is not trusted here (${why.trim().slice(0, MOST_SHOWN)}); where it is a class room's, get it from ${base.replace("https:", "http:")}/trust and start again with DENO_CERT=FILE; \`doctor LINK\` looks at it closely`,
    { cause },
  );
}

/** What the coordinator says, or why nothing is said to it; undefined where it says nothing, or is not to be asked. */
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
  } catch (error) {
    // Nobody answers there either, or something else does.
    return untrusted(base, error);
  } finally {
    stop();
  }
}
