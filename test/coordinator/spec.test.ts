// SPEC.md stays true to the code: every rule has its test, every error code its row.

import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { errorCodes } from "../../shared/base/errors.ts";
import { messageFields } from "./message-fields.ts";

const root = new URL("../../", import.meta.url);
const read = (path: string) => readFile(new URL(path, root), "utf8");
const spec = await read("SPEC.md");

/** Each rule with the file that holds its test: its own, or its section's. */
function rules() {
  let section = "";
  return spec.split("\n").flatMap((line) => {
    if (line.startsWith("## ")) section = /\((test\/[^)]+\.ts)\)/.exec(line)?.[1] ?? "";
    const [, id, rest] = /^- \*\*([A-Z]\d+)\*\* (.*)$/.exec(line) ?? [];
    if (id === undefined) return [];
    const [, file, title] = /(test\/\S+\.ts)(?:: "(.*)")?$/.exec(rest) ?? [];
    return [{ id, file: file ?? section, title }];
  });
}

/** Sections that several hands write at once: each has a range of numbers, which rise. */
const RANGES: readonly (string | undefined)[] = ["A", "I", "Q", "U", "X"];

test("ids of rules are unique, and counted from 1 within their letter or rising within its ranges", () => {
  const ids = rules().map(({ id }) => id);
  expect(new Set(ids).size).toBe(ids.length);
  for (const letter of new Set(ids.map((id) => id[0]))) {
    const numbers = ids.filter((id) => id[0] === letter).map((id) => Number(id.slice(1)));
    // A range is of ten; which comes first follows from what its rules are about.
    const tens = new Set(numbers.map((number) => Math.floor(number / 10)));
    const ranges = [...tens].map((ten) => numbers.filter((number) => Math.floor(number / 10) === ten));
    if (RANGES.includes(letter)) expect(ranges).toEqual(ranges.map((range) => range.toSorted((a, b) => a - b)));
    else expect(numbers).toEqual(numbers.map((_, i) => i + 1));
  }
});

/** More than that is two facts, of which each has an id. */
const LONGEST_RULE = 280;

test("a rule is one fact: few words, beside the name of its test", () => {
  const texts = spec.split("\n").flatMap((line) => {
    const [, id, rest] = /^- \*\*([A-Z]\d+)\*\* (.*)$/.exec(line) ?? [];
    return id === undefined ? [] : [{ id, length: rest.replace(/ test\/\S+\.ts.*$/, "").length }];
  });
  expect(texts.filter(({ length }) => length > LONGEST_RULE)).toEqual([]);
});

test.each(rules())("rule $id is expressed by a test in $file", async ({ id, file, title }) => {
  const tests = await read(file);
  if (title === undefined) expect(tests).toMatch(new RegExp(`["'\`]${id} `));
  else expect(tests).toContain(title);
});

test.each(Object.entries(errorCodes))(
  "%s has a row that names its close code %i, and rules or tests that exist",
  async (code, close) => {
    const row = spec.split("\n").find((line) => line.startsWith(`| ${code} | ${close} |`));
    expect(row).toBeDefined();
    const cells = row!.split("|").map((cell) => cell.trim());
    const known = new Set([...rules().map(({ id }) => id), "none yet"]);
    for (const proof of cells[4].split(", ")) {
      if (proof.startsWith("test/")) expect(await read(proof)).toContain(code);
      else expect(known).toContain(proof);
    }
  },
);

/** What annex 1 says of each message: its fields with their types. */
function writtenFields(): ReadonlyMap<string, readonly string[]> {
  const written = new Map<string, string[]>();
  for (const line of spec.slice(spec.indexOf("## Annex 1")).split("\n## ")[0].split("\n")) {
    const [, message, name, type] = /^\| (`[\w-]+`|the \w+) \| (?:`([^`]+)`|none) \| (.*?) \| .* \|$/.exec(line) ?? [];
    if (message === undefined) continue;
    const fields = written.get(message) ?? [];
    written.set(message, name === undefined ? fields : [...fields, `${name}: ${type}`]);
  }
  return written;
}

test.each([...messageFields()])(
  "annex 1 has the fields of %s, with their types, as its schema has them",
  (message, fields) => {
    const written = [...(writtenFields().get(message.startsWith("the ") ? message : `\`${message}\``) ?? [])];
    expect(written.sort()).toEqual(fields.map(({ name, type }) => `${name}: ${type}`).sort());
  },
);

test("annex 1 has no message that is none", () => {
  const known = [...messageFields().keys()].map((name) => (name.startsWith("the ") ? name : `\`${name}\``));
  expect([...writtenFields().keys()].sort()).toEqual(known.sort());
});
