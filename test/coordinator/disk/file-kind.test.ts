// What a file is shows at its beginning: a large one is not read for it.

import { expect, test } from "vitest";
import { fileKind, HEAD_BYTES } from "../../../coordinator/disk/file-kind.ts";

test("text is looked for in the first HEAD_BYTES only, whatever comes with them", () => {
  const text = (spaces: number) => Buffer.from(`${" ".repeat(spaces)}{"a": 1}`);
  expect(fileKind(text(HEAD_BYTES - 8))).toBe("json");
  expect(fileKind(text(HEAD_BYTES))).toBeUndefined();
});
