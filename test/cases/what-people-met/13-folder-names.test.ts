// A checkout may lie in any folder: one with a space does, and where a tool of others cannot, that is said.

import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { checkoutPathProblem } from "../../../deploy/checkout-path.mjs";
import { denoArguments } from "../../../worker/platform/node/deno.ts";
import { programFiles } from "../../rooms.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

/** Where a file's text takes the path of a URL that tells where the file lies: it has %20 for a space. */
function encodedPaths(text: string): string[] {
  const named = [...text.matchAll(/\b(\w+)(?:: \w+)? = new URL\([^;]*?import\.meta\.url[^;]*?\);/g)].map(
    ([, name]) => name,
  );
  const straight = text.match(/new URL\([^;]*?import\.meta\.url\)\s*\.(?:pathname|href\.\w+)/g) ?? [];
  const later = named.filter((name) => new RegExp(`\\b${name}\\.(?:pathname|href\\.\\w+)`).test(text));
  return [...straight, ...later];
}

test("no file takes the path of a file's URL as it is, with its %20: fileURLToPath gives the file's", () => {
  const others = programFiles(root).filter(
    (file) => path.basename(file) !== path.basename(fileURLToPath(import.meta.url)),
  );
  const wrong = others.flatMap((file) =>
    encodedPaths(readFileSync(path.join(root, file), "utf8")).map((how) => `${file}: ${how}`),
  );
  expect(wrong).toEqual([]);
});

test.each([
  'const root = new URL(".", import.meta.url).pathname;',
  'const here = new URL("..", import.meta.url);\nexport const root = here.pathname;',
  'const here: URL = new URL(\n  "..",\n  import.meta.url,\n);\nspawn(here.href.slice(7));',
])("the rule sees %j", (text) => {
  expect(encodedPaths(text)).toHaveLength(1);
});

test("the rule looks at the settings of Vite and vitest, at scripts and at programs", () => {
  expect(programFiles(root)).toEqual(
    expect.arrayContaining([
      "worker/web/vite.config.ts",
      "test/vitest.config.ts",
      "deploy/setup.mjs",
      "coordinator/program/cli.ts",
    ]),
  );
});

test("a checkout builds in a folder with a space, an umlaut, a quote or a per cent sign", () => {
  for (const folder of ["/home/a b", "/home/zürich", "/home/it's (1)", "/home/100 %", "C:\\Users\\A B"]) {
    expect(checkoutPathProblem(folder, "build")).toBeUndefined();
    expect(checkoutPathProblem(folder, "test")).toBeUndefined();
  }
});

test.each([
  ["/home/c#", "build", /\/home\/c# has "#" in it: Vite.*rename the folder/],
  ["/home/what?", "test", /has "\?" in it: Vite/],
  ["/home/a%20b", "test", /has "%20" in it: vitest.*rename the folder/],
] as const)("%s, which a tool cannot work in, is named before the tool of the %s fails", (folder, purpose, text) => {
  expect(checkoutPathProblem(folder, purpose)).toMatch(text);
});

test("a comma in a folder's name, which Deno would take for two folders, is named before a worker starts", () => {
  expect(() => denoArguments({ host: "127.0.0.1:1", packageRoot: "/a,b c" })).toThrow(
    /comma in \/a,b c .*Rename the folder, or use --runtime browser/,
  );
  expect(denoArguments({ host: "127.0.0.1:1", packageRoot: "/a b", keys: "/k" })).toContain("--allow-read=/a b,/k");
});
