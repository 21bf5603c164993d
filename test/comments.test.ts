// Comments stay within 120 columns, as code does: the formatter keeps code so, and nothing else keeps them.

import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { sources, WINGS } from "./rooms.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const COLUMNS = 120;

test(`no line of a comment passes ${COLUMNS} columns`, () => {
  const long = [...WINGS, "test"].flatMap((folder) =>
    sources(root, folder).flatMap((file) =>
      readFileSync(path.join(root, file), "utf8")
        .split("\n")
        .flatMap((line, i) =>
          /^ *(?:\/\/|\*|\/\*\*)/.test(line) && line.length > COLUMNS ? [`${file}:${i + 1}`] : [],
        ),
    ),
  );
  expect(long).toEqual([]);
});
