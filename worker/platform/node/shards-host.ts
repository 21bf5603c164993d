// Where a run's shards lie when that is not the coordinator: a Deno worker must be let through to there, and to nowhere
// else.

import { z } from "zod";
import type { RunUrl } from "./run-url.ts";

/** How long the coordinator's answer may take; without one the shards come from the coordinator. */
const ANSWER_MS = 5000;

const joinableSchema = z.object({ shardsAt: z.string().max(256).optional() });

/** Ends of names that only a local network knows (RFC 6761, RFC 6762, RFC 8375, and what routers use). */
const localName = /\.(localhost|local|lan|home|internal|intranet|corp|private|home\.arpa)$/;

/** A name of the public net; no address, which may be one of the volunteer's own network. */
function isPublicName(hostname: string): boolean {
  return hostname.includes(".") && !/^[\d.]+$/.test(hostname) && !hostname.startsWith("[") && !localName.test(hostname);
}

/**
 * `host:port` of the shards, as the coordinator says. It may name what the whole net reaches, by https, or its own
 * machine: nothing in the network of whoever lends theirs.
 * @returns undefined where they are the coordinator's to send, or nobody answers
 */
export async function shardsHost(
  { href }: Pick<RunUrl, "href">,
  ask: typeof fetch = fetch,
): Promise<string | undefined> {
  const link = new URL(href);
  const joinable = new URL("joinable", link);
  joinable.search = link.search;
  try {
    const response = await ask(joinable.href, { signal: AbortSignal.timeout(ANSWER_MS) });
    const { shardsAt } = joinableSchema.parse(await response.json());
    if (shardsAt === undefined) return undefined;
    const { protocol, hostname, port } = new URL(shardsAt);
    const elsewhere = protocol === "https:" && isPublicName(hostname);
    if (!elsewhere && hostname !== link.hostname) return undefined;
    return `${hostname}:${port === "" ? (protocol === "https:" ? 443 : 80) : port}`;
  } catch {
    return undefined;
  }
}
