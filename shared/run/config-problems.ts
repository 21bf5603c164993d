// What is wrong with a configuration, in lines that name the field, what is allowed and what was given.

import { z } from "zod";
import { didYouMean, nearest } from "../base/nearest.ts";

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

/** A part of a JSON schema. */
interface Node {
  readonly properties?: Readonly<Record<string, Node>>;
  readonly oneOf?: readonly Node[];
  readonly const?: unknown;
}

function schemaNode(schema: z.ZodType): Node {
  return z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }) as Node;
}

/** Names of the fields beside an unknown one. */
function knownFields(root: Node, path: readonly PropertyKey[], value: unknown): string[] {
  let node: Node | undefined = root;
  path.forEach((key, depth) => {
    node = node?.properties?.[String(key)];
    const kind = valueAt(value, [...path.slice(0, depth + 1), "kind"]);
    // Without a kind it is of the first, the default.
    if (node?.oneOf) node = node.oneOf.find((option) => option.properties?.kind?.const === kind) ?? node.oneOf[0];
  });
  return Object.keys(node?.properties ?? {});
}

/** Every field that any kind has, from the top: "optimizer.schedule.warmupSteps". */
function allFields(node: Node, path = ""): string[] {
  const own = Object.entries(node.properties ?? {}).flatMap(([name, of]) => {
    const field = path === "" ? name : `${path}.${name}`;
    return [field, ...allFields(of, field)];
  });
  return [...own, ...(node.oneOf ?? []).flatMap((option) => allFields(option, path))];
}

/** Fields that are called so elsewhere; more than these are not listed. */
const MOST_ELSEWHERE = 3;

/** A field beside the unknown one that is nearly called so, else those that are called so elsewhere. */
function meantFields(root: Node, path: readonly PropertyKey[], siblings: readonly string[]): string | undefined {
  const key = String(path.at(-1));
  const before = path.slice(0, -1).map((part) => `${String(part)}.`);
  const near = nearest(key, siblings);
  if (near !== undefined) return `did you mean ${before.join("")}${near}?`;
  const ending = `.${key.toLowerCase()}`;
  const elsewhere = [...new Set(allFields(root))].filter(
    (field) => field.toLowerCase().endsWith(ending) && field !== [...before, key].join(""),
  );
  return elsewhere.length === 0 ? undefined : `did you mean ${elsewhere.slice(0, MOST_ELSEWHERE).join(" or ")}?`;
}

/** Fields of earlier builds, and where they went. */
const moved: Readonly<Record<string, string>> = {
  ablation: "method.ablation",
  labelSmoothing: "task.labelSmoothing",
  rbcn: "method",
};

/** The kind that has the field where another one has not: its `kind` was forgotten, or is another. */
function otherKind(root: Node, path: readonly PropertyKey[]): string | undefined {
  const group = path.slice(0, -1).reduce<Node | undefined>((node, key) => node?.properties?.[String(key)], root);
  const having = (group?.oneOf ?? []).flatMap(({ properties = {} }) =>
    Object.hasOwn(properties, String(path.at(-1))) ? [properties.kind?.const] : [],
  );
  return having.length === 1 ? [...path.slice(0, -1).map(String), `kind=${having[0]}`].join(".") : undefined;
}

function unknownField(root: Node, path: readonly PropertyKey[], value: unknown): string {
  const name = path.map(String).join(".");
  const now = moved[name];
  if (now !== undefined) return `  ${name}: is called ${now} now; move it there`;
  const siblings = knownFields(root, path.slice(0, -1), value);
  const kind = otherKind(root, path);
  const had = kind === undefined ? "" : `${kind} alone has it; `;
  const meant = (had === "" && meantFields(root, path, siblings)) || `${had}beside it are ${siblings.join(", ")};`;
  return `  ${name}: there is no such field, ${meant} got ${shown(valueAt(value, path))}`;
}

/** Words that a message says are allowed: in quotes, or in a list after "one of". */
function allowedWords(message: string): string[] {
  const quoted = [...message.matchAll(/["']([\w.+-]+)["']/g)].map(([, word]) => word);
  return quoted.length > 0 ? quoted : (/one of (.+)$/.exec(message)?.[1].split(", ") ?? []);
}

/** What was perhaps meant by a value that is not allowed. */
function meantValue(message: string, actual: unknown): string {
  if (typeof actual !== "string") return "";
  // A shell's list is no list of YAML's.
  if (/expected (array|tuple)/.test(message) && actual.includes(",")) return `; a list is written [${actual}]`;
  return didYouMean(actual, allowedWords(message));
}

/** What one of several shapes allows, without "Invalid input:" before it and what was given behind. */
function allowedBy(issues: readonly z.core.$ZodIssue[]): string {
  return issues.map(({ message }) => message.replace(/^Invalid \w+: |, received .*$/g, "")).join(", ");
}

/** A field of several shapes says what each allows, unless it has words of its own. */
function messageOf(issue: z.core.$ZodIssue): string {
  if (issue.code !== "invalid_union" || issue.message !== "Invalid input") return issue.message;
  const allowed = issue.errors.filter((errors) => errors.length > 0).map(allowedBy);
  return allowed.length === 0 ? issue.message : `${issue.message}: ${allowed.join(", or ")}`;
}

/** A line for each issue that `schema` has with `value`. */
export function configProblems(schema: z.ZodType, value: unknown, issues: readonly z.core.$ZodIssue[]): string[] {
  let root: Node | undefined;
  return issues.flatMap((issue) => {
    if (issue.code === "unrecognized_keys") {
      root ??= schemaNode(schema);
      const known = root;
      return issue.keys.map((key) => unknownField(known, [...issue.path, key], value));
    }
    const field = issue.path.map(String).join(".") || "(top level)";
    const actual = valueAt(value, issue.path);
    const message = messageOf(issue);
    const given = actual === undefined ? "" : `; got ${shown(actual)}${meantValue(message, actual)}`;
    return `  ${field}: ${message}${given}`;
  });
}
