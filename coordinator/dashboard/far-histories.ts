// Curves of a run whose folder another node has: asked of that node's own dashboard, once for all who look on here.

import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { BitswarmError } from "../../shared/base/errors.ts";
import { DASHBOARD_PATH } from "./dashboard-path.ts";
import { type RunList, runListSchema } from "./feed-message.ts";
import type { HistoryBytes, HistoryRequest, HistorySource } from "./histories.ts";

/** Whoever has the folder answers so soon. */
const FETCH_MS = 10_000;
/** An answer is good for so long: however many look on, the other node is asked about once a second. */
const GOOD_MS = 1000;
/** Bytes of an answer. */
export const MOST_FAR_BYTES = 32 * 2 ** 20;
const MOST_ANSWERS = 64;

export interface FarHistoriesOptions {
  /** Where the other node's door is now; nothing while nobody has said. */
  readonly address: () => string | undefined;
  /** Of the dashboard there. */
  readonly token: () => string;
  readonly fetch: (url: URL, init: { readonly signal: AbortSignal }) => Promise<Response>;
  /** Committed steps: with another number there is more to see. */
  readonly step: () => number;
  /** Milliseconds. */
  readonly now: () => number;
}

interface Answer {
  readonly at: number;
  readonly bytes: Promise<Buffer<ArrayBuffer>>;
}

const pack = promisify(gzip);

export class FarHistories implements HistorySource {
  readonly #options: FarHistoriesOptions;
  readonly #answers = new Map<string, Answer>();
  #step = 0;

  constructor(options: FarHistoriesOptions) {
    this.#options = options;
  }

  async list(): Promise<RunList> {
    const list = runListSchema.safeParse(JSON.parse(String(await this.#ask("runs", {}))));
    if (list.success) return list.data;
    throw unreachable("it answers with something else");
  }

  /** @throws RUN_UNREACHABLE where the other node does not answer */
  async answer({ run, table, series, from, to, points }: HistoryRequest): Promise<HistoryBytes> {
    const plain = await this.#ask("history", { run, table, series, from, to, points });
    return { plain, packed: Buffer.from(await pack(plain)) };
  }

  async grew(): Promise<boolean> {
    const step = this.#options.step();
    const grew = step !== this.#step;
    this.#step = step;
    return grew;
  }

  /** One question for all who ask it within a second. */
  #ask(what: string, query: Readonly<Record<string, unknown>>): Promise<Buffer<ArrayBuffer>> {
    const { address, token, now } = this.#options;
    const base = address();
    if (base === undefined) return Promise.reject(unreachable("nobody has said yet where it is"));
    const url = new URL(`${DASHBOARD_PATH}/${what}`, base);
    for (const [name, value] of Object.entries(query)) {
      for (const one of Array.isArray(value) ? value : [value])
        if (one !== undefined) url.searchParams.append(name, `${one}`);
    }
    const key = url.href;
    const known = this.#answers.get(key);
    if (known && now() - known.at < GOOD_MS) return known.bytes;
    url.searchParams.set("token", token());
    const bytes = this.#fetch(url);
    bytes.catch(() => this.#answers.delete(key));
    this.#answers.delete(key);
    this.#answers.set(key, { at: now(), bytes });
    const [oldest] = this.#answers.keys();
    if (this.#answers.size > MOST_ANSWERS && oldest !== undefined) this.#answers.delete(oldest);
    return bytes;
  }

  async #fetch(url: URL): Promise<Buffer<ArrayBuffer>> {
    try {
      const answer = await this.#options.fetch(url, { signal: AbortSignal.timeout(FETCH_MS) });
      if (!answer.ok) throw new Error(`it answers with ${answer.status}`);
      const parts: Uint8Array[] = [];
      let bytes = 0;
      for await (const part of answer.body ?? []) {
        bytes += part.length;
        if (bytes > MOST_FAR_BYTES) throw new Error(`its answer is longer than ${MOST_FAR_BYTES / 2 ** 20} MiB`);
        parts.push(part);
      }
      return Buffer.concat(parts);
    } catch (cause) {
      throw unreachable((cause as Error).message);
    }
  }
}

function unreachable(why: string): BitswarmError {
  return new BitswarmError(
    "RUN_UNREACHABLE",
    `the run's curves are with whoever leads it, which cannot be asked (${why}): this node must reach the leader's address over HTTP, --public-url where it has one`,
  );
}
