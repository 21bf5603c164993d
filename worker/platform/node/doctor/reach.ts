// Asks the network what `bitswarm doctor` wants to know of it: plain facts, each within a time, none of them judged
// here.

import { lookup } from "node:dns/promises";
import { type IncomingMessage, request as requestPlain } from "node:http";
import { request as requestSecure } from "node:https";
import { connect, isIP } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectSecure } from "node:tls";
import { WebSocket } from "ws";
import { z } from "zod";
import type { AnswerFact, DownloadFact, NameFact, PortFact, SocketFact, TlsFact } from "./network.ts";

/** How long each may take. */
export const PATIENCE_MS = 8000;
/** Of an answer that is read as words. */
const MOST_ANSWER_BYTES = 64 * 1024;
/** Of words of it that are shown. */
const MOST_SHOWN = 200;
/** Of what is fetched to see how fast that is. */
const MOST_DOWNLOAD_BYTES = 8 * 2 ** 20;
const PINGS = 5;

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);

/** A host as URLs have it: an IPv6 address in brackets. */
const plainHost = ({ hostname }: URL): string => hostname.replace(/^\[|\]$/g, "");
const portOf = ({ port, protocol }: URL): number => Number(port || (protocol === "https:" ? 443 : 80));

export async function askName(url: URL): Promise<NameFact> {
  const host = plainHost(url);
  if (isIP(host) !== 0) return { kind: "address" };
  const startedMs = performance.now();
  try {
    const found = await lookup(host, { all: true });
    const addresses = found.map(({ address }) => address);
    return { kind: "found", addresses, ms: performance.now() - startedMs };
  } catch (error) {
    return { kind: "failed", code: codeOf(error) };
  }
}

export function askPort(url: URL, patienceMs = PATIENCE_MS): Promise<PortFact> {
  const startedMs = performance.now();
  const socket = connect({ host: plainHost(url), port: portOf(url), timeout: patienceMs });
  return new Promise<PortFact>((resolve) => {
    socket.once("connect", () => {
      resolve({ kind: "open", address: socket.remoteAddress ?? "", ms: performance.now() - startedMs });
    });
    socket.once("timeout", () => resolve({ kind: "silent", ms: patienceMs }));
    socket.on("error", (error) => resolve({ kind: "failed", code: codeOf(firstOf(error)) }));
  }).finally(() => socket.destroy());
}

/** A name with several addresses fails at each of them. */
function firstOf(error: Error): Error {
  return error instanceof AggregateError && error.errors.length > 0 ? (error.errors[0] as Error) : error;
}

/** What OpenSSL says has its addresses and files before and after the reason. */
export function wordsOf(error: Error & { readonly reason?: string }): string {
  return (error.reason ?? error.message).split("\n")[0].slice(0, MOST_SHOWN);
}

export function askTls(url: URL, patienceMs = PATIENCE_MS): Promise<TlsFact> {
  const host = plainHost(url);
  // What is not trusted is looked at here, and nothing is sent to it.
  const named = isIP(host) === 0 ? { servername: host } : {};
  const socket = connectSecure({ host, port: portOf(url), rejectUnauthorized: false, timeout: patienceMs, ...named });
  return new Promise<TlsFact>((resolve) => {
    socket.once("secureConnect", () => {
      const certificate = socket.getPeerCertificate();
      const { valid_from, valid_to, issuer, subjectaltname } = certificate;
      if (socket.authorized) {
        resolve({
          kind: "trusted",
          version: socket.getProtocol() ?? "TLS",
          validFromMs: Date.parse(valid_from),
          validToMs: Date.parse(valid_to),
        });
        return;
      }
      const code = String((socket.authorizationError as { readonly code?: string }).code ?? socket.authorizationError);
      const text = (value: string | string[] | undefined) => (Array.isArray(value) ? value.join(", ") : (value ?? ""));
      resolve({
        kind: "untrusted",
        code,
        issuer: text(issuer?.O ?? issuer?.CN),
        names: (subjectaltname ?? "").replaceAll("DNS:", "").slice(0, MOST_SHOWN),
      });
    });
    socket.once("timeout", () => resolve({ kind: "failed", message: `nothing said in ${patienceMs / 1000} s` }));
    socket.on("error", (error) => resolve({ kind: "failed", message: wordsOf(error) }));
    socket.once("close", () => resolve({ kind: "failed", message: "the connection was closed" }));
  }).finally(() => socket.destroy());
}

interface Fetched {
  readonly response: IncomingMessage;
  readonly body: Buffer;
  readonly sentMs: number;
  readonly answeredMs: number;
  readonly endedMs: number;
}

/** A connection of its own, so that times are of the network and not of what waits before. */
function fetched(url: URL, mostBytes: number): Promise<Fetched> {
  const ask = url.protocol === "https:" ? requestSecure : requestPlain;
  const headers = { "accept-encoding": "identity" };
  return new Promise((resolve, reject) => {
    const sentMs = Date.now();
    const request = ask(url, { agent: false, headers, timeout: PATIENCE_MS }, (response) => {
      const answeredMs = Date.now();
      const parts: Buffer[] = [];
      let bytes = 0;
      const end = () => {
        resolve({ response, body: Buffer.concat(parts), sentMs, answeredMs, endedMs: Date.now() });
        request.destroy();
      };
      response.on("data", (part: Buffer) => {
        parts.push(part);
        bytes += part.length;
        if (bytes > mostBytes) end();
      });
      response.on("end", end).on("error", reject);
    });
    request.on("timeout", () => request.destroy(new Error(`nothing said in ${PATIENCE_MS / 1000} s`)));
    request.on("error", reject);
    request.end();
  });
}

const answerSchema = z.union([
  z.object({ joinable: z.literal(true), protocol: z.number().int().min(0).optional() }),
  z.object({ code: z.enum(["TOKEN_INVALID", "ORIGIN_REFUSED", "RATE_LIMITED"]), message: z.string().max(2000) }),
]);

export interface Answered {
  readonly fact: AnswerFact;
  /** How far this machine's clock is ahead of the server's, which says whole seconds, and how well that is known. */
  readonly skewMs: number | undefined;
  readonly withinMs: number;
}

/** Below the page's path, as the page itself asks. */
function below(link: URL, name: string): URL {
  const url = new URL(link);
  url.pathname = `${url.pathname.replace(/\/$/, "")}/${name}`;
  url.hash = "";
  return url;
}

/** Asks whether one may join; where nothing is answered, why. */
export async function askServer(link: URL): Promise<Answered | { readonly failed: string }> {
  try {
    const { response, body, sentMs, answeredMs } = await fetched(below(link, "joinable"), MOST_ANSWER_BYTES);
    const text = body.toString("utf8");
    const parsed = answerSchema.safeParse(parseJson(text));
    const dateMs = Date.parse(response.headers.date ?? "");
    return {
      fact: {
        status: response.statusCode ?? 0,
        location: response.headers.location,
        answer: parsed.success ? parsed.data : undefined,
        text: text.slice(0, MOST_SHOWN),
      },
      skewMs: Number.isNaN(dateMs) ? undefined : (sentMs + answeredMs) / 2 - (dateMs + 500),
      withinMs: 500 + (answeredMs - sentMs) / 2,
    };
  } catch (error) {
    return { failed: wordsOf(firstOf(error as Error)) };
  }
}

/** Whether a coordinator answers at an address, which is not told the token. */
export async function isCoordinator(address: URL): Promise<boolean> {
  const asked = await askServer(new URL(address.pathname, address.origin));
  return "fact" in asked && asked.fact.answer !== undefined;
}

/** Above a link that leads to none, the nearest address at which a coordinator answers. */
export async function coordinatorAbove(link: URL): Promise<string | undefined> {
  const path = link.pathname.replace(/\/$/, "");
  const above = [...new Set([path.slice(0, path.lastIndexOf("/") + 1), "/"])];
  for (const pathname of above) {
    const address = new URL(pathname || "/", link.origin);
    if (address.pathname !== link.pathname && (await isCoordinator(address))) return address.href;
  }
  return undefined;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Opens the WebSocket, says nothing on it but pings, and closes it. */
export async function askSocket(link: URL): Promise<SocketFact> {
  const address = below(link, "ws");
  address.protocol = link.protocol === "https:" ? "wss:" : "ws:";
  address.search = "";
  const socket = new WebSocket(address, { handshakeTimeout: PATIENCE_MS, maxPayload: MOST_ANSWER_BYTES });
  try {
    const opening = await new Promise<SocketFact>((resolve) => {
      socket.once("open", () => resolve({ kind: "opened", roundTripsMs: [] }));
      socket.once("unexpected-response", (_request, response: IncomingMessage) => {
        let text = "";
        response.on("data", (part) => {
          if (text.length < MOST_SHOWN) text += part;
        });
        response.on("end", () =>
          resolve({ kind: "answered", status: response.statusCode ?? 0, text: text.trim().slice(0, MOST_SHOWN) }),
        );
      });
      socket.on("error", (error) =>
        resolve(
          /timed out/.test(error.message)
            ? { kind: "silent", ms: PATIENCE_MS }
            : { kind: "failed", message: wordsOf(error) },
        ),
      );
    });
    if (opening.kind !== "opened") return opening;
    const roundTripsMs: number[] = [];
    for (let i = 0; i < PINGS; i++) {
      const startedMs = performance.now();
      const answered = new Promise<true>((resolve) => socket.once("pong", () => resolve(true)));
      socket.ping();
      if ((await Promise.race([answered, sleep(PATIENCE_MS, false, { ref: false })])) === false) break;
      roundTripsMs.push(performance.now() - startedMs);
    }
    return { kind: "opened", roundTripsMs };
  } finally {
    socket.terminate();
  }
}

const downlinkSchema = z.object({ downlink: z.object({ wholeBytes: z.number().min(0) }).optional() });

/** Fetches the page's largest script, and what the run says that one fetches on joining. */
export async function askDownload(link: URL): Promise<DownloadFact | undefined> {
  try {
    const page = (await fetched(below(link, ""), MOST_ANSWER_BYTES)).body.toString("utf8");
    const [, script] = /<script[^>]+src="\.?\/?(assets\/[\w.-]+\.js)"/.exec(page) ?? [];
    if (script === undefined) return undefined;
    const { response, body, answeredMs, endedMs } = await fetched(below(link, script), MOST_DOWNLOAD_BYTES);
    if (response.statusCode !== 200) return undefined;
    const status = downlinkSchema.safeParse(
      parseJson((await fetched(below(link, "status"), MOST_ANSWER_BYTES)).body.toString("utf8")),
    );
    const joinBytes = status.success ? status.data.downlink?.wholeBytes : undefined;
    return { bytes: body.length, ms: endedMs - answeredMs, joinBytes };
  } catch {
    return undefined;
  }
}
