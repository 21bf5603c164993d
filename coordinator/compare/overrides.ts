// What a plan lays over a configuration: fields in a map, with dots or nested, later ones over earlier ones.

import { BitswarmError } from "../../shared/base/errors.ts";

export type Plain = Readonly<Record<string, unknown>>;

function isPlain(value: unknown): value is Plain {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Nested, whichever way it was written. @throws CONFIG_INVALID for a name that is no field's */
function nested(over: Plain, source: string): Plain {
  const made: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(over)) {
    const keys = name.split(".");
    if (keys.some((key) => key === "" || key === "__proto__")) {
      throw new BitswarmError("CONFIG_INVALID", `${source}: there is no field ${JSON.stringify(name)}`);
    }
    const inner = isPlain(value) ? nested(value, source) : value;
    const last = keys.reduceRight<unknown>((of, key) => ({ [key]: of }), inner) as Plain;
    Object.assign(made, laid(made, last));
  }
  return made;
}

/**
 * Where an object is of another kind than the one it is laid over, nothing of that stays: its options are those of its
 * kind.
 */
function laid(base: Plain, over: Plain): Plain {
  const made: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const before = made[key];
    const other =
      isPlain(value) && isPlain(before) && "kind" in value && "kind" in before && value.kind !== before.kind;
    made[key] = isPlain(value) && isPlain(before) && !other ? laid(before, value) : value;
  }
  return made;
}

/**
 * A configuration with fields laid over it, `{ "method.kind": "bnn" }` or `{ method: { kind: "bnn" } }`.
 * @param source of the fields, for errors @throws CONFIG_INVALID
 */
export function laidOver(base: Plain, over: Plain, source: string): Plain {
  return laid(base, nested(over, source));
}

/** The fields that are laid over, with dots. */
export function fieldsOf(over: Plain, before = ""): readonly string[] {
  return Object.entries(over).flatMap(([name, value]) => {
    const field = before === "" ? name : `${before}.${name}`;
    return isPlain(value) ? [field, ...fieldsOf(value, field)] : [field];
  });
}
