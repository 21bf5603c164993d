// What is wrong with a configuration, in lines that name the field, what is allowed and what was given.

import { z } from "zod";

function valueAt(root: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (value, key) =>
      typeof value === "object" && value !== null ? (value as Record<PropertyKey, unknown>)[key] : undefined,
    root,
  );
}

/** Characters of a value that are shown. */
const SHOWN = 200;

function shown(value: unknown): string {
  // JSON has no NaN and no infinity.
  const text = typeof value === "number" ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text;
}

/** Names of the fields beside an unknown one. */
function knownFields(schema: z.ZodType, path: readonly PropertyKey[], value: unknown): string[] {
  type Node = {
    readonly properties?: Record<string, Node>;
    readonly oneOf?: readonly Node[];
    readonly const?: unknown;
  };
  let node = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Node | undefined;
  path.forEach((key, depth) => {
    node = node?.properties?.[String(key)];
    const kind = valueAt(value, [...path.slice(0, depth + 1), "kind"]);
    // Without a kind it is of the first, the default.
    if (node?.oneOf) node = node.oneOf.find((option) => option.properties?.kind?.const === kind) ?? node.oneOf[0];
  });
  return Object.keys(node?.properties ?? {});
}

/** Fields of earlier builds, and where they went. */
const moved: Readonly<Record<string, string>> = {
  ablation: "method.ablation",
  labelSmoothing: "task.labelSmoothing",
  rbcn: "method",
};

function unknownField(schema: z.ZodType, path: readonly PropertyKey[], value: unknown): string {
  const name = path.map(String).join(".");
  const now = moved[name];
  if (now !== undefined) return `  ${name}: is called ${now} now; move it there`;
  const known = knownFields(schema, path.slice(0, -1), value).join(", ");
  return `  ${name}: there is no such field, beside it are ${known}; got ${shown(valueAt(value, path))}`;
}

/** A line for each issue that `schema` has with `value`. */
export function configProblems(schema: z.ZodType, value: unknown, issues: readonly z.core.$ZodIssue[]): string[] {
  return issues.flatMap((issue) => {
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => unknownField(schema, [...issue.path, key], value));
    }
    const field = issue.path.map(String).join(".") || "(top level)";
    const actual = valueAt(value, issue.path);
    return `  ${field}: ${issue.message}${actual === undefined ? "" : `; got ${shown(actual)}`}`;
  });
}
