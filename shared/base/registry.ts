// A table of plug-ins, one line an entry: looked up by kind, checked complete at load, and the source of a
// configuration's union.

import { z } from "zod";
import { BitswarmError } from "./errors.ts";
import { didYouMean } from "./nearest.ts";

/**
 * What every plug-in has: a kind, and the schema of the options beside it (a strict object with `kind` as a literal).
 */
export interface Plugin {
  readonly kind: string;
  readonly schema: z.ZodObject;
}

/** Options of some entry of a table, as its schema gave them. */
export interface PluginOptions {
  readonly kind: string;
  readonly [option: string]: unknown;
}

export class Registry<T extends { readonly kind: string }> {
  readonly #noun: string;
  readonly #entries = new Map<string, T>();
  #revision = 0;

  /**
   * @param noun what an entry is, for errors: "method"
   * @throws RangeError for two entries of one kind, or one without a kind
   */
  constructor(noun: string, entries: readonly T[]) {
    this.#noun = noun;
    for (const entry of entries) this.add(entry);
  }

  /** In the order of the table. */
  get entries(): readonly T[] {
    return [...this.#entries.values()];
  }

  get kinds(): readonly string[] {
    return [...this.#entries.keys()];
  }

  /** Another number whenever an entry came or went. */
  get revision(): number {
    return this.#revision;
  }

  has(kind: string): boolean {
    return this.#entries.has(kind);
  }

  /** @throws CONFIG_INVALID naming the kinds that there are */
  get(kind: string): T {
    const entry = this.#entries.get(kind);
    if (entry) return entry;
    throw new BitswarmError(
      "CONFIG_INVALID",
      `there is no ${this.#noun} of kind ${JSON.stringify(kind)}; known are ${this.kinds.join(", ")}${didYouMean(kind, this.kinds)}`,
    );
  }

  /** Adds an entry at run time, as a plug-in of another package does. @returns what takes it out again */
  add(entry: T): () => void {
    const { kind } = entry;
    if (kind === "") throw new RangeError(`a ${this.#noun} without a kind`);
    if (this.#entries.has(kind)) throw new RangeError(`there are two ${this.#noun}s of kind ${kind}`);
    this.#entries.set(kind, entry);
    this.#revision++;
    return () => {
      this.#entries.delete(kind);
      this.#revision++;
    };
  }
}

/**
 * The union of a table's options by `kind`. An object without a `kind` is of the default kind, so that `--set
 * model.widths=…` alone is enough. The table is read now: make the schema anew where an entry was added since.
 */
export function optionsUnion<T extends Plugin>(registry: Registry<T>, defaultKind: string): z.ZodType<PluginOptions> {
  const schemas = registry.entries.map(({ schema }) => schema) as unknown as readonly [T["schema"], ...T["schema"][]];
  return z.preprocess(
    (value) => {
      const plain = typeof value === "object" && value !== null && !Array.isArray(value);
      return plain && !("kind" in value) ? { kind: defaultKind, ...value } : value;
    },
    z.discriminatedUnion("kind", schemas as never, {
      error: ({ code }) => (code === "invalid_union" ? `must be one of ${registry.kinds.join(", ")}` : undefined),
    }) as unknown as z.ZodType<PluginOptions>,
  );
}
