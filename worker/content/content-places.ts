// Where a shard's bytes are asked for: at the coordinator, or at an address elsewhere that it signs for a while.

import { z } from "zod/mini";
import type { ContentOrigin } from "./content-origin.ts";
import type { FetchOptions } from "./content-ports.ts";

/** Of the time that an address is good for: then another is asked for. */
const USED_FOR = 0.8;
/** How long the coordinator itself is asked for a shard whose address elsewhere did not work. */
export const ELSEWHERE_AGAIN_MS = 60_000;
/** The longest time that an address is believed to be good for, in seconds. */
const MOST_SECONDS = 7 * 24 * 3600;
/** The longest address that is taken. */
const MOST_ADDRESS = 8192;

const signedSchema = z.strictObject({
  url: z.string().check(z.maxLength(MOST_ADDRESS), z.regex(/^https?:\/\//)),
  /** Seconds from the answer on: the clocks of volunteers are their own. */
  expires: z.int().check(z.gte(1), z.lte(MOST_SECONDS)),
});

export interface Place {
  readonly url: string;
  /** Elsewhere, where nobody is to learn of the run. */
  readonly options?: Pick<FetchOptions, "credentials" | "referrerPolicy">;
}

/** The coordinator's own address of a content. */
export function ownPlace({ base, token }: ContentOrigin, path: string): Place {
  return { url: `${base}/${path}?token=${encodeURIComponent(token)}` };
}

const elsewhere = { credentials: "omit", referrerPolicy: "no-referrer" } as const;

/** Addresses of shards, each asked for once however many pieces of it are fetched. */
export class SignedPlaces {
  readonly #origin: ContentOrigin;
  readonly #places = new Map<string, { readonly place: Promise<Place | undefined>; untilMs: number }>();

  constructor(origin: ContentOrigin) {
    this.#origin = origin;
  }

  /** Where a shard lies elsewhere; undefined where it is to be had from the coordinator. */
  placeOf(sha256: string, signal: AbortSignal): Promise<Place | undefined> {
    const now = this.#origin.ports.clock.now();
    const known = this.#places.get(sha256);
    if (known && now < known.untilMs) return known.place;
    // For as long as it is asked for.
    const asked = { place: this.#ask(sha256, signal), untilMs: Number.POSITIVE_INFINITY };
    this.#places.set(sha256, asked);
    return asked.place;
  }

  /** The address was refused: another is asked for. */
  refused(sha256: string, place: Place): void {
    const known = this.#places.get(sha256);
    known?.place.then((current) => {
      if (current === place && this.#places.get(sha256) === known) this.#places.delete(sha256);
    });
  }

  async #ask(sha256: string, signal: AbortSignal): Promise<Place | undefined> {
    const { ports } = this.#origin;
    let seconds = 0;
    let place: Place | undefined;
    try {
      const { url } = ownPlace(this.#origin, `shards/${sha256}/url`);
      const response = await ports.fetch(url, { signal, cache: "no-store" });
      if (response.ok) {
        const text = new TextDecoder().decode(await response.arrayBuffer());
        const signed = signedSchema.parse(JSON.parse(text));
        seconds = signed.expires;
        place = { url: signed.url, options: elsewhere };
      }
    } catch {
      // The coordinator has the bytes too.
    }
    const known = this.#places.get(sha256);
    if (known) known.untilMs = ports.clock.now() + (place ? seconds * 1000 * USED_FOR : ELSEWHERE_AGAIN_MS);
    return place;
  }
}
