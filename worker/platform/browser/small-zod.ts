// What the page's build puts in the place of zod: the same schemas from zod/mini, which has no methods, with the few
// methods that shared's schemas are written in. A third of the bytes; messages are shorter where a schema has none of
// its own, and what JSON schemas are made of is not there.

import * as mini from "zod/mini";

type Schema = mini.ZodMiniType;
type Check = Parameters<Schema["check"]>[number];
type Params = string | { readonly error: unknown };

/** A method takes the schema that it is called on as `this`, and gives another that has methods, too. */
const methods = {
  describe(this: Schema) {
    return this;
  },
  check(this: Schema, ...checks: Check[]) {
    return checked(this, ...checks);
  },
  int(this: Schema) {
    return checked(this, mini.int() as unknown as Check);
  },
  positive(this: Schema) {
    return checked(this, mini.positive() as Check);
  },
  nonnegative(this: Schema) {
    return checked(this, mini.nonnegative() as Check);
  },
  min(this: Schema, least: number) {
    return checked(this, (isNumber(this) ? mini.gte(least) : mini.minLength(least)) as Check);
  },
  max(this: Schema, most: number) {
    return checked(this, (isNumber(this) ? mini.lte(most) : mini.maxLength(most)) as Check);
  },
  gt(this: Schema, bound: number) {
    return checked(this, mini.gt(bound) as Check);
  },
  lt(this: Schema, bound: number) {
    return checked(this, mini.lt(bound) as Check);
  },
  regex(this: Schema, pattern: RegExp, params?: Params) {
    return checked(this, mini.regex(pattern, params as string) as Check);
  },
  refine(this: Schema, holds: (value: unknown) => unknown, params?: Params) {
    return checked(this, mini.refine(holds, params as string));
  },
  transform(this: Schema, change: (value: unknown, context: mini.core.ParsePayload) => unknown) {
    return withMethods(mini.pipe(this, transformation(change)));
  },
  or(this: Schema, other: Schema) {
    return withMethods(mini.union([this, other]));
  },
  optional(this: Schema) {
    return withMethods(mini.optional(this));
  },
  nullable(this: Schema) {
    return withMethods(mini.nullable(this));
  },
  default(this: Schema, value: unknown) {
    return withMethods(mini._default(this, value as never));
  },
  prefault(this: Schema, value: unknown) {
    return withMethods(mini.prefault(this, value));
  },
  extend(this: mini.ZodMiniObject, shape: Record<string, Schema>) {
    return withMethods(mini.extend(this, shape));
  },
};

function withMethods<T extends Schema>(schema: T): T {
  return Object.assign(schema, methods);
}

function checked(schema: Schema, ...checks: Check[]): Schema {
  const { def } = schema as unknown as { readonly def: { readonly checks?: readonly Check[] } };
  return withMethods(schema.clone({ ...def, checks: [...(def.checks ?? []), ...checks] } as never, { parent: true }));
}

function isNumber({ def }: Schema): boolean {
  return def.type === "number";
}

/** zod's transformations can add an issue. */
function transformation(change: (value: unknown, context: mini.core.ParsePayload) => unknown): Schema {
  return mini.transform((value, context) =>
    change(
      value,
      Object.assign(context, {
        addIssue: (issue: object) => context.issues.push({ input: value, ...issue } as never),
      }),
    ),
  );
}

function making<A extends unknown[], T extends Schema>(make: (...given: A) => T) {
  return (...given: A) => withMethods(make(...given));
}

export const z = {
  string: making(mini.string),
  number: making(mini.number),
  int: making(mini.int),
  boolean: making(mini.boolean),
  unknown: making(mini.unknown),
  undefined: making(mini.undefined),
  literal: making(mini.literal as (value: string) => Schema),
  enum: making(mini.enum as (values: string[]) => Schema),
  url: making(mini.url),
  custom: making(mini.custom),
  array: making(mini.array),
  tuple: making(mini.tuple as (items: [Schema]) => Schema),
  record: making(mini.record),
  object: making(mini.object),
  strictObject: making(mini.strictObject),
  looseObject: making(mini.looseObject),
  union: making(mini.union),
  discriminatedUnion: making(mini.discriminatedUnion),
  preprocess: (change: (value: unknown) => unknown, schema: Schema) =>
    withMethods(mini.pipe(transformation(change), schema)),
  NEVER: mini.NEVER,
};
