// MD5 sums: what lists of them say, and when they are looked at.

import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { archiveSplit, flatTar, openArchives } from "../../../../coordinator/import/layouts/archive-split.ts";
import { Sums, sumIn } from "../../../../coordinator/import/layouts/sums.ts";
import { folderOf, itemsOf } from "./reading.ts";
import { tarOf } from "./tars.ts";

const sum = "0123456789abcdef0123456789abcdef";
const md5 = (bytes: Uint8Array) => createHash("md5").update(bytes).digest("hex");

test("lists of md5sum, of BSD, and a sum alone in a file of its own", () => {
  expect(sumIn(`${sum}  a.tar\n`, "a.tar", false)).toBe(sum);
  expect(sumIn(`x\n${sum.toUpperCase()} *data/a.tar\r\n`, "a.tar", false)).toBe(sum);
  expect(sumIn(`MD5 (a.tar) = ${sum}`, "a.tar", false)).toBe(sum);
  expect(sumIn(`${sum}\n`, "a.tar", true)).toBe(sum);
  expect(sumIn(`${sum}\n`, "a.tar", false)).toBeUndefined();
  expect(sumIn(`${sum}  b.tar`, "a.tar", true)).toBeUndefined();
  expect(sumIn("no sums here", "a.tar", true)).toBeUndefined();
});

test.each([false, true])(
  "a large archive is summed while it is read, also where reading began in its midst (packed: %s)",
  async (packed) => {
    const tar = await tarOf({ "a.jpg": "a", "b.jpg": "b", "c.jpg": "c".repeat(3_000_000) });
    const bytes = packed ? gzipSync(tar) : tar;
    const root = folderOf({ "x.tar": bytes });
    const file = path.join(root, "x.tar");
    const split = async (said: string) => {
      writeFileSync(`${file}.md5`, said);
      return archiveSplit(
        await openArchives([file], new Sums(0)),
        flatTar(() => 0),
      );
    };
    const [first] = await itemsOf(await split(md5(bytes)));
    expect(await itemsOf(await split(md5(bytes)), first.cursor)).toHaveLength(2);
    const wrong = await split(sum);
    await expect(itemsOf(wrong)).rejects.toThrow(`has MD5 ${md5(bytes)}; by x.tar.md5 it has ${sum}`);
    await expect(itemsOf(wrong, first.cursor)).rejects.toThrow(`by x.tar.md5 it has ${sum}`);
  },
);

test("of very many archives the first are summed before any is read, the others while they are", async () => {
  const tar = await tarOf({ "a.jpg": "a" });
  const root = folderOf({ "1.tar": tar, "2.tar": tar, MD5SUMS: `${md5(tar)}  1.tar\n${sum}  2.tar\n` });
  const files = ["1.tar", "2.tar"].map((name) => path.join(root, name));
  const split = archiveSplit(
    await openArchives(files, new Sums(tar.length)),
    flatTar(() => 0),
  );
  const read: string[] = [];
  await expect(
    (async () => {
      for await (const { sample } of split.read()) read.push(sample?.name ?? "");
    })(),
  ).rejects.toThrow(/2\.tar has MD5 .*; by MD5SUMS/);
  expect(read).toEqual(["a.jpg", "a.jpg"]);
  await expect(openArchives(files, new Sums())).rejects.toThrow(/2\.tar has MD5/);
});
