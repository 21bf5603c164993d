// The page of methods names every option, so that nobody has to read a schema.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { methods } from "../../../../shared/model/methods/methods.ts";

const page = readFileSync(new URL("../../../../shared/model/methods/README.md", import.meta.url), "utf8");
const [, table = ""] = page.split("## Options by method");
/** Rows of the table of options, by method. */
const rows = new Map(
  table.split("\n").flatMap((line) => {
    const cells = /^\| `([\w-]+)` \| (.*) \|$/.exec(line);
    return cells ? [[cells[1], cells[2]] as const] : [];
  }),
);

const options = methods.entries.flatMap(({ kind, schema }) => {
  const defaults: Readonly<Record<string, unknown>> = schema.parse({ kind });
  const names = Object.keys(schema.shape).filter((name) => name !== "kind");
  return names.map((name) => [kind, name, defaults[name]] as const);
});

test.each(options)("the row of %s has %s with its default %j", (kind, name, value) => {
  const row = rows.get(kind) ?? "";
  expect(row).toContain(`\`${name}\``);
  if (value === undefined) return;
  const shown = typeof value === "string" ? value : JSON.stringify(value).replaceAll(",", ", ");
  expect(row).toContain(`\`${name}\` **${shown}**`);
});

test("the table has the methods that there are", () => {
  expect(new Set(rows.keys())).toEqual(new Set(methods.kinds));
});
