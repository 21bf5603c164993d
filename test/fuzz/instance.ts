// Values of a JSON schema, drawn at random: the messages' own schemas say which messages there are, so that none is
// left out.

import type { Rng } from "../../shared/base/rng.ts";

export interface JsonSchema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly oneOf?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly prefixItems?: readonly JsonSchema[];
  readonly items?: boolean | JsonSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly pattern?: string;
}

/** Hex digits of a pattern such as `^[0-9a-f]{64}$`, the only kind in the protocol. */
function hexOf(pattern: string, draws: Rng): string {
  const digits = Number(/\{(\d+)\}\$$/.exec(pattern)?.[1] ?? 0);
  return Array.from({ length: digits }, () => draws.below(16).toString(16)).join("");
}

function objectOf(schema: JsonSchema, draws: Rng): Record<string, unknown> {
  const { properties = {}, required = [], additionalProperties } = schema;
  const value: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(properties)) {
    if (required.includes(name) || draws.below(4) === 0) value[name] = instanceOf(field, draws);
  }
  if (typeof additionalProperties === "object") value.field = instanceOf(additionalProperties, draws);
  return value;
}

function arrayOf(schema: JsonSchema, draws: Rng): unknown[] {
  const { prefixItems, items, minItems = 0, maxItems = minItems + 3 } = schema;
  if (prefixItems) return prefixItems.map((item) => instanceOf(item, draws));
  const length = minItems + draws.below(Math.min(maxItems - minItems, 3) + 1);
  return Array.from({ length }, () => (typeof items === "object" ? instanceOf(items, draws) : null));
}

/** A value that fits the schema, but for rules that JSON schema cannot say. */
export function instanceOf(schema: JsonSchema, draws: Rng): unknown {
  const options = schema.oneOf ?? schema.anyOf;
  if (options) return instanceOf(options[draws.below(options.length)], draws);
  if ("const" in schema) return schema.const;
  if (schema.enum) return schema.enum[draws.below(schema.enum.length)];
  switch (schema.type) {
    case "object":
      return objectOf(schema, draws);
    case "array":
      return arrayOf(schema, draws);
    case "string":
      return schema.pattern === undefined ? "x".repeat(1 + draws.below(8)) : hexOf(schema.pattern, draws);
    case "boolean":
      return draws.below(2) === 1;
    case "integer":
    case "number": {
      const least =
        schema.exclusiveMinimum === undefined ? Math.max(schema.minimum ?? 0, -8) : schema.exclusiveMinimum + 1;
      return Math.min(least + draws.below(8), schema.maximum ?? Infinity);
    }
    default:
      return null;
  }
}
