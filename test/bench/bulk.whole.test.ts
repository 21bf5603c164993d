// The bench of long bytes measures every way that there is.

import { expect, test } from "vitest";
import { notOnLinux } from "../fixtures/test-tool.ts";
import { type BulkLine, benchBulk, bulkText } from "./bulk.ts";

test.skipIf(notOnLinux)("long bytes come by each way, and how fast is told", async () => {
  const lines: BulkLine[] = [];
  await benchBulk({ mebibytes: 2, rounds: 1 }, (line) => lines.push(line));
  expect(lines.map(({ way }) => way)).toEqual(["memory", "nats", "http", "https"]);
  expect(lines.every(({ ms, mebibytesPerSecond }) => ms > 0 && mebibytesPerSecond > 0)).toBe(true);
  expect(bulkText(lines[1])).toMatch(/^nats {5}2 MiB in \d+ ms/);
});
