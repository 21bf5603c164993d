// The fields of messages as SPEC.md's tables have them: read from the schemas, so that the two cannot drift apart.

import { z } from "zod";
import { datasetSchema } from "../../shared/data/dataset.ts";
import { outlineSchema } from "../../shared/model/phases.ts";
import { coordinatorMessageSchema, workerMessageSchema } from "../../shared/wire/protocol.ts";
import { runStatusSchema } from "../../shared/wire/run-status.ts";

/** What of JSON Schema zod writes. */
interface Json {
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly items?: Json;
  readonly properties?: Readonly<Record<string, Json>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Json;
  readonly anyOf?: readonly Json[];
  readonly oneOf?: readonly Json[];
}

export interface Field {
  /** With a question mark where it may be left out. */
  readonly name: string;
  readonly type: string;
}

/** Schemas that have a table of their own, by the field that holds one. */
const tables = ["program", "dataset", "status"];

/** Longer lists of words are the error codes. */
const MOST_WORDS = 16;

function bounds(low: number | undefined, high: number | undefined): string {
  const from = low === undefined || low <= Number.MIN_SAFE_INTEGER ? undefined : low;
  const to = high === undefined || high >= Number.MAX_SAFE_INTEGER ? undefined : high;
  if (from !== undefined && to !== undefined) return ` ${from} to ${to}`;
  if (from !== undefined) return ` from ${from}`;
  return to === undefined ? "" : ` to ${to}`;
}

function typeOf(json: Json): string {
  const { type, pattern, minimum, exclusiveMinimum, maximum } = json;
  if (Array.isArray(type)) return type.map((one: string) => typeOf({ ...json, type: one })).join(" or ");
  if (json.const !== undefined) return `\`${json.const}\``;
  if (json.enum)
    return json.enum.length > MOST_WORDS ? "an error code" : json.enum.map((one) => `\`${one}\``).join(" ");
  const choices = json.anyOf ?? json.oneOf;
  if (choices) return choices.map(typeOf).join(" or ");
  switch (type) {
    case "string":
      if (pattern === "^[0-9a-f]{64}$") return "hash";
      if (pattern === "^[0-9a-f]{32}$") return "hex, 32 digits";
      if (pattern === "^[0-9a-f]{128}$") return "hex, 128 digits";
      if (pattern === "^04[0-9a-f]{128}$") return "hex, 130 digits, the first `04`";
      if (pattern !== undefined) return "word";
      return json.maxLength === undefined ? "text" : `text to ${json.maxLength}`;
    case "integer": {
      const from = exclusiveMinimum === undefined ? minimum : exclusiveMinimum + 1;
      return `integer${bounds(from, maximum)}`;
    }
    case "number":
      return exclusiveMinimum === undefined ? `number${bounds(minimum, maximum)}` : `number above ${exclusiveMinimum}`;
    case "array":
      return `list${bounds(json.minItems, json.maxItems)} of ${typeOf(json.items ?? {})}`;
    case "object":
      return typeof json.additionalProperties === "object" ? `map to ${typeOf(json.additionalProperties)}` : "map";
    case "boolean":
    case "null":
      return type;
    default:
      return "bytes";
  }
}

/** The object that a value holds, however wrapped: itself, or what a list or a map of names has. */
function inner(json: Json): { readonly suffix: string; readonly json: Json } | undefined {
  if (json.properties) return { suffix: "", json };
  if (json.type === "array" && json.items) {
    return json.items.properties && { suffix: "[]", json: json.items };
  }
  const named = json.additionalProperties;
  if (typeof named === "object" && named.properties) return { suffix: "{}", json: named };
  const some = (json.anyOf ?? json.oneOf)?.filter(({ properties }) => properties) ?? [];
  return some.length === 1 ? { suffix: "", json: some[0] } : undefined;
}

/** Fields of the kinds of a union: one of each name. */
function merged(fields: readonly Field[]): Field[] {
  const types = new Map<string, string[]>();
  for (const { name, type } of fields) types.set(name, [...(types.get(name) ?? []), type]);
  return [...types].map(([name, of]) => ({ name, type: [...new Set(of)].join(" or ") }));
}

function fieldsOf({ properties = {}, required = [] }: Json, prefix = "", expands = true): Field[] {
  return Object.entries(properties).flatMap(([key, json]) => {
    if (prefix === "" && key === "type" && json.const !== undefined) return [];
    const optional = required.includes(key) ? "" : "?";
    // JSON Schema has no word for what is checked by other code: the configuration's own schema, and bytes.
    const own = { name: `${prefix}${key}${optional}`, type: key === "config" ? "map" : typeOf(json) };
    const choices = (json.oneOf ?? json.anyOf)?.filter((one) => one.properties?.kind) ?? [];
    if (choices.length > 1) {
      return [{ ...own, type: "map" }, ...merged(choices.flatMap((one) => fieldsOf(one, `${prefix}${key}.`)))];
    }
    const held = expands && !tables.includes(key) ? inner(json) : undefined;
    return held ? [own, ...fieldsOf(held.json, `${prefix}${key}${held.suffix}.`)] : [own];
  });
}

const jsonOf = (schema: z.core.$ZodType): Json =>
  z.toJSONSchema(schema, { unrepresentable: "any", io: "input" }) as Json;

/** Of each message, by its type; `offer` and `have` are alike on both sides. */
export function messageFields(): ReadonlyMap<string, readonly Field[]> {
  const all = [workerMessageSchema, coordinatorMessageSchema].flatMap((schema) => {
    const json = jsonOf(schema);
    return (json.oneOf ?? json.anyOf ?? []).map((one) => [String(one.properties?.type?.const), fieldsOf(one)] as const);
  });
  const parts = Object.entries({ program: outlineSchema, dataset: datasetSchema, status: runStatusSchema });
  const messages = all.map(([type, fields]) => [type, fields] as const);
  return new Map([...messages, ...parts.map(([name, schema]) => [`the ${name}`, fieldsOf(jsonOf(schema))] as const)]);
}
