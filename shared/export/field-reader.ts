// JSON of strangers, field by field: what is asked of a value is checked where it is read, and whoever gets it wrong is
// told the field, the limit and the value. By hand, for a bundle that a page loads before it can show anything.

import { BitswarmError } from "../base/errors.ts";

/** Characters of a value in a message. */
const SHOWN = 60;

/** Without looking into it: what is nested deeply enough can be read as JSON, and not written. */
function shown(value: unknown): string {
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  const text = typeof value === "string" ? value : String(value);
  const cut = text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
  return typeof value === "string" ? JSON.stringify(cut) : cut;
}

/** @param where the field: "input.mean" */
export function modelInvalid(where: string, what: string): BitswarmError {
  return new BitswarmError(
    "MODEL_INVALID",
    `${where} ${what}; export the network again with this version, or get the file anew`,
  );
}

function refused(where: string, wanted: string, value: unknown): BitswarmError {
  return modelInvalid(where, `must be ${wanted}; got ${shown(value)}`);
}

/** An object of a document, with its place in it. */
export class FieldReader {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #where: string;

  /** @throws MODEL_INVALID for what is no object */
  constructor(value: unknown, where: string) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw refused(where, "an object", value);
    this.#fields = value as Readonly<Record<string, unknown>>;
    this.#where = where;
  }

  #at(name: string): string {
    return `${this.#where}.${name}`;
  }

  #value(name: string): unknown {
    return Object.hasOwn(this.#fields, name) ? this.#fields[name] : undefined;
  }

  has(name: string): boolean {
    return this.#value(name) !== undefined;
  }

  integer(name: string, least: number, most: number): number {
    const value = this.#value(name);
    if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
    throw refused(this.#at(name), `a whole number from ${least} to ${most}`, value);
  }

  number(name: string): number {
    return numberAt(this.#value(name), this.#at(name));
  }

  text(name: string, most: number): string {
    return textAt(this.#value(name), most, this.#at(name));
  }

  choice<const Word extends string>(name: string, words: readonly Word[]): Word {
    const value = this.#value(name);
    const word = words.find((one) => one === value);
    if (word !== undefined) return word;
    throw refused(this.#at(name), `one of ${words.join(", ")}`, value);
  }

  numbers(name: string, length: number): readonly number[] {
    const where = this.#at(name);
    return this.#list(name, length, length).map((value, i) => numberAt(value, `${where}[${i}]`));
  }

  texts(name: string, length: number, most: number): readonly string[] {
    const where = this.#at(name);
    return this.#list(name, length, length).map((value, i) => textAt(value, most, `${where}[${i}]`));
  }

  #list(name: string, least: number, most: number): readonly unknown[] {
    const value = this.#value(name);
    if (Array.isArray(value) && value.length >= least && value.length <= most) return value;
    throw refused(this.#at(name), least === most ? `a list of ${most}` : `a list of ${least} to ${most}`, value);
  }

  object(name: string): FieldReader {
    return new FieldReader(this.#value(name), this.#at(name));
  }

  objects(name: string, least: number, most: number): readonly FieldReader[] {
    const where = this.#at(name);
    return this.#list(name, least, most).map((value, i) => new FieldReader(value, `${where}[${i}]`));
  }

  /** Numbers by name. @param most of them */
  numberMap(name: string, most: number, longest: number): Readonly<Record<string, number>> {
    const entries = this.#entries(name, most, longest);
    return Object.fromEntries(entries.map(([key, value]) => [key, numberAt(value, `${this.#at(name)}.${key}`)]));
  }

  /** Texts by name. @param most of them */
  textMap(name: string, most: number, longest: number): Readonly<Record<string, string>> {
    const entries = this.#entries(name, most, longest);
    return Object.fromEntries(entries.map(([key, value]) => [key, textAt(value, longest, `${this.#at(name)}.${key}`)]));
  }

  #entries(name: string, most: number, longest: number): readonly (readonly [string, unknown])[] {
    const value = this.#value(name);
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw refused(this.#at(name), "an object", value);
    }
    const entries = Object.entries(value);
    if (entries.length > most) throw refused(this.#at(name), `an object of at most ${most} fields`, entries.length);
    for (const [key] of entries) textAt(key, longest, `a name in ${this.#at(name)}`);
    return entries;
  }

  /** A kind with whatever options it has, which are for whoever knows the kind. */
  kind(name: string, longest: number): { readonly kind: string; readonly [option: string]: unknown } {
    const kind = this.object(name).text("kind", longest);
    return { ...(this.#value(name) as object), kind };
  }
}

function numberAt(value: unknown, where: string): number {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw refused(where, "a number", value);
}

function textAt(value: unknown, most: number, where: string): string {
  if (typeof value === "string" && value.length <= most) return value;
  throw refused(where, `a text of at most ${most} characters`, value);
}
