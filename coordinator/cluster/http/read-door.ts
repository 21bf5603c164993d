// One offer, read at its holder's door: as one answer, resumed from where it broke off for as long as something comes.

import { createHash } from "node:crypto";
import { type Agent, type IncomingMessage, request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import type { Clock } from "../../../shared/base/clock.ts";
import type { BulkRequest } from "../bulk.ts";
import { SILENCE_MS } from "../bus-bulk.ts";
import { pathOf } from "./door.ts";

/** A connection that brought nothing is tried once more: it may have been one that the holder had closed. */
const MOST_IN_VAIN = 2;

export interface OpenedDoor {
  readonly url: string;
  readonly token: string;
}

export interface ReadOptions {
  readonly clock: Clock;
  readonly agent: Agent;
  /** Nothing at all having come for so long a connection is given up. */
  readonly silenceMs?: number;
}

export type ReadOutcome =
  | { readonly kind: "whole"; readonly bytes: Uint8Array<ArrayBuffer> }
  /** The holder was there, and has it not or otherwise. */
  | { readonly kind: "lost"; readonly why: string }
  /** The token is another's, or of a holder that was there before. */
  | { readonly kind: "stranger" }
  | { readonly kind: "unreachable"; readonly why: string };

/** What one answer came to: bytes, or why none. */
type Answer =
  | { readonly kind: "came" }
  | { readonly kind: "broke"; readonly why: string }
  | Exclude<ReadOutcome, { kind: "whole" }>;

/** @throws whatever the request's signal aborts with */
export async function readDoor(door: OpenedDoor, request: BulkRequest, options: ReadOptions): Promise<ReadOutcome> {
  const into = new Uint8Array(request.bytes);
  const hash = createHash("sha256");
  const read = { into, at: 0, hash };
  let inVain = 0;
  for (;;) {
    const before = read.at;
    const answer = await readOnce(door, request, options, read);
    request.signal?.throwIfAborted();
    if (answer.kind === "came") {
      const found = hash.digest("hex");
      return found === request.sha256
        ? { kind: "whole", bytes: into }
        : { kind: "lost", why: `has the hash ${found} and not ${request.sha256}` };
    }
    if (answer.kind !== "broke") return answer;
    inVain = read.at > before ? 0 : inVain + 1;
    if (inVain >= MOST_IN_VAIN) return { kind: "unreachable", why: answer.why };
  }
}

interface Reading {
  readonly into: Uint8Array;
  at: number;
  readonly hash: ReturnType<typeof createHash>;
}

function readOnce(
  { url, token }: OpenedDoor,
  { name, bytes, signal }: BulkRequest,
  { clock, agent, silenceMs = SILENCE_MS }: ReadOptions,
  read: Reading,
): Promise<Answer> {
  return new Promise((resolve) => {
    const target = new URL(pathOf(name), url);
    const headers = { Authorization: `Bearer ${token}`, ...(read.at > 0 ? { Range: `bytes=${read.at}-` } : {}) };
    const asking = (target.protocol === "https:" ? requestHttps : requestHttp)(target, { agent, headers });
    // One that waits for a socket is not silent.
    let heard: number | undefined;
    asking.on("socket", () => {
      heard = clock.now();
    });
    const stopLooking = clock.every(silenceMs / 4, () => {
      if (heard !== undefined && clock.now() - heard >= silenceMs)
        done({ kind: "broke", why: `nothing came for ${silenceMs / 1000} s` });
    });
    const abort = () => done({ kind: "broke", why: "it is not waited for any more" });
    const done = (answer: Answer, reuse = false) => {
      stopLooking();
      signal?.removeEventListener("abort", abort);
      // What is left of it is not read.
      if (!reuse) asking.destroy();
      resolve(answer);
    };
    signal?.addEventListener("abort", abort);
    asking.on("error", (error) => done({ kind: "broke", why: error.message }));
    asking.on("response", (response: IncomingMessage) => {
      const wrong = refused(response, read.at, bytes);
      if (wrong) return done(wrong);
      response.on("data", (piece: Buffer) => {
        heard = clock.now();
        if (read.at + piece.length > bytes) return done({ kind: "lost", why: `is of more than ${bytes} bytes` });
        read.into.set(piece, read.at);
        read.hash.update(piece);
        read.at += piece.length;
        if (read.at === bytes) done({ kind: "came" }, true);
      });
      response.on("end", () => {
        if (bytes === 0) done({ kind: "came" }, true);
        else done({ kind: "broke", why: "the connection ended early" });
      });
      response.on("error", (error) => done({ kind: "broke", why: error.message }));
    });
    asking.end();
  });
}

/** What an answer without the bytes says. */
function refused({ statusCode, headers }: IncomingMessage, at: number, bytes: number): Answer | undefined {
  if (statusCode === 404) return { kind: "lost", why: "is not there any more" };
  if (statusCode === 401) return { kind: "stranger" };
  const size = { kind: "lost", why: `is of another size than ${bytes} bytes` } as const;
  if (statusCode === 416) return size;
  if (statusCode !== 200 && statusCode !== 206)
    return { kind: "unreachable", why: `its door answers with HTTP ${statusCode}` };
  // Of more than was asked for, or of less, nothing is read.
  const [, from, total] = /^bytes (?:(\d+)-\d+|\*)\/(\d+)$/.exec(headers["content-range"] ?? "") ?? [];
  if (Number(total) !== bytes) return total === undefined ? { kind: "unreachable", why: "no door of ours" } : size;
  if (Number(from ?? 0) !== at) return { kind: "unreachable", why: "no door of ours" };
  return undefined;
}
