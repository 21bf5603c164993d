// Parquet of Hugging Face: what its labels mean, what it claims of itself, and where it ends.

import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { MAX_FOOTER_BYTES } from "../../../../coordinator/import/formats/parquet.ts";
import { ThriftBounds } from "../../../../coordinator/import/formats/thrift-bounds.ts";
import { BitswarmError } from "../../../../shared/base/errors.ts";
import { imagenetFixtures } from "../../../fixtures/imagenet-fixtures.ts";
import { type ParquetRowBytes, parquetOf } from "./parquet-writer.ts";
import { folderOf, itemsOf, labelsOf, openAt, resumesEverywhere } from "./reading.ts";

const { root, expected } = imagenetFixtures();
const { train, val } = expected.layouts.huggingface!;
const TRAIN = "data/train-00000-of-00002.parquet";

function copy(): string {
  const folder = folderOf();
  cpSync(path.join(root, "huggingface"), folder, { recursive: true });
  return folder;
}

const row = (label: number, name: string | null, content = "picture"): ParquetRowBytes => ({
  content: Buffer.from(content),
  path: name,
  label,
});

describe("labels", () => {
  test("are those of expected.json, packed or not, with dictionaries and without", async () => {
    for (const given of ["huggingface", "huggingface/data"]) {
      const source = await openAt(path.join(root, given));
      expect(source.kind).toBe("huggingface");
      expect(source.classes).toEqual(expected.classes.map(({ wnid, words }) => ({ id: wnid, name: words })));
      expect(await labelsOf(source.splits.train)).toEqual(train);
      expect(await labelsOf(source.splits.val)).toEqual(val);
      expect(source.splits.train.samples).toBe(Object.keys(train).length);
      expect(source.splits.test).toBeUndefined();
      expect(source.notices.join()).toMatch(/passed over: data\/test-00000-of-00001\.parquet|passed over: test-00000/);
    }
  });

  test("of one file are read, and reading goes on behind any sample", async () => {
    const source = await openAt(path.join(root, "huggingface", TRAIN));
    expect(await resumesEverywhere(source.splits.train)).toBe(true);
    const whole = await openAt(path.join(root, "huggingface"));
    expect(await resumesEverywhere(whole.splits.train)).toBe(true);
  });

  test("that are not in the order of WordNet ids are mapped to it, and that is told", async () => {
    const rows = [row(0, "a_n03000000.jpg"), row(1, "b_n01000000.jpg"), row(2, "c_n02000000.jpg")];
    const source = await openAt(folderOf({ "train.parquet": parquetOf(rows, { names: ["x", "y", "z"] }) }));
    expect(source.classes).toEqual([
      { id: "n01000000", name: "y" },
      { id: "n02000000", name: "z" },
      { id: "n03000000", name: "x" },
    ]);
    expect(await labelsOf(source.splits.train)).toEqual({
      "a_n03000000.jpg": 2,
      "b_n01000000.jpg": 0,
      "c_n02000000.jpg": 1,
    });
    expect(source.notices.join()).toMatch(/not in the order of WordNet ids: they are mapped/);
  });

  test("whose names are WordNet ids out of order are mapped too", async () => {
    const names = ["n02000000", "n01000000"];
    const source = await openAt(folderOf({ "t.parquet": parquetOf([row(0, "a"), row(1, "b")], { names }) }));
    expect(await labelsOf(source.splits.train)).toEqual({ a: 1, b: 0 });
  });

  test("of which some ids are not known cannot be put in order", async () => {
    const rows = [row(0, "a_n03000000.jpg"), row(1, "b_n01000000.jpg"), row(2, "c.jpg")];
    const source = folderOf({ "train.parquet": parquetOf(rows, { names: ["x", "y", "z"] }) });
    await expect(openAt(source)).rejects.toThrow(/1 of 3 classes have no picture that tells its id/);
  });

  test("that contradict the pictures' paths are refused", async () => {
    const rows = [row(0, "a_n01000000.jpg"), row(0, "b_n02000000.jpg"), row(1, null)];
    await expect(openAt(folderOf({ "t.parquet": parquetOf(rows) }))).rejects.toThrow(
      /b_n02000000\.jpg is of n02000000, and label 0 is n01000000 elsewhere/,
    );
    const twice = [row(0, "a_n01000000.jpg"), row(1, "b_n01000000.jpg")];
    await expect(openAt(folderOf({ "t.parquet": parquetOf(twice) }))).rejects.toThrow(
      /two labels are of one WordNet id/,
    );
  });

  test("without names are numbers; rows without a label are passed over, those without a path named FILE#ROW", async () => {
    const rows = [row(1, null), row(-1, null), row(0, ""), row(0, "p.jpg")];
    const bytes = parquetOf(rows, { groupRows: 2, labelColumn: "fine_label" });
    const source = await openAt(folderOf({ "default/train/0000.parquet": bytes }));
    expect(source.classes).toEqual([{ name: "0" }, { name: "1" }]);
    expect(await labelsOf(source.splits.train)).toEqual({ "0000.parquet#0": 1, "0000.parquet#2": 0, "p.jpg": 0 });
    expect(source.notices.join()).toMatch(/passed over: 1 rows of the train split/);
    expect(await resumesEverywhere(source.splits.train)).toBe(true);
  });

  test("of pictures whose paths are all one are told apart by FILE#ROW", async () => {
    const rows = [row(1, "image.jpg"), row(0, "image.jpg")];
    const source = await openAt(folderOf({ "train.parquet": parquetOf(rows) }));
    expect(await labelsOf(source.splits.train)).toEqual({ "train.parquet#0": 1, "train.parquet#1": 0 });
  });

  test("beyond the names, or beyond any class, are refused", async () => {
    const beyond = parquetOf([row(0, null), row(2, null)], { names: ["a", "b"] });
    await expect(openAt(folderOf({ "t.parquet": beyond }))).rejects.toThrow(/label 2, and there are 2 names/);
    const large = parquetOf([row(0, null), row(65_536, null)]);
    await expect(openAt(folderOf({ "t.parquet": large }))).rejects.toThrow(/row 1: label 65536; the limit is 65535/);
  });
});

test("files with no pictures are no source, with no labels they name their columns", async () => {
  const nothing = parquetOf([row(0, null)], { labelColumn: "caption_id" });
  await expect(openAt(folderOf({ "t.parquet": nothing }))).rejects.toThrow(
    /no column of labels .*image\.bytes BYTE_ARRAY/,
  );
});

describe("damage", () => {
  test("a file that is cut off says so, with its byte", async () => {
    const folder = copy();
    const file = path.join(folder, TRAIN);
    const whole = readFileSync(file);
    writeFileSync(file, whole.subarray(0, whole.length >> 1));
    await expect(openAt(folder)).rejects.toThrow(
      /train-00000-of-00002\.parquet: does not end with PAR1 at byte \d+: .*cut off/,
    );
    writeFileSync(file, "");
    await expect(openAt(folder)).rejects.toThrow(/has 0 bytes and does not begin with PAR1/);
    writeFileSync(file, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n");
    await expect(openAt(folder)).rejects.toThrow(/does not begin with PAR1/);
    // The end is there, a part in the middle is not, as some downloads that went on in the wrong place have it.
    writeFileSync(file, Buffer.concat([whole.subarray(0, 5000), whole.subarray(9000)]));
    await expect(openAt(folder)).rejects.toThrow(BitswarmError);
  });

  test("what a footer or a page claims has limits", async () => {
    const bytes = parquetOf([row(0, null), row(1, null)]);
    const long = Buffer.from(bytes);
    long.writeUInt32LE(MAX_FOOTER_BYTES + 1, long.length - 8);
    await expect(openAt(folderOf({ "t.parquet": long }))).rejects.toThrow(/footer of 67108865 bytes/);
    const claims = parquetOf([row(0, null), row(1, null)], { claims: 2 ** 30 });
    await expect(openAt(folderOf({ "t.parquet": claims }))).rejects.toThrow(
      /claims \d+ bytes and 1073741824 values of 2 rows/,
    );
  });

  test("a list that claims more items than there are bytes, and structures in structures, are none", () => {
    expect(ThriftBounds.end(Uint8Array.from([0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x07]))).toBe("short");
    expect(ThriftBounds.end(new Uint8Array(100).fill(0x1c))).toMatch(/too deep/);
    expect(ThriftBounds.end(new Uint8Array(100).fill(0x19))).toMatch(/too deep|short/);
    expect(ThriftBounds.end(Uint8Array.from([0x15, 0x02, 0x00, 9]))).toBe(3);
  });

  test("whatever is damaged, rows come or a BitswarmError does", async () => {
    const names = ["a", "b"];
    const whole = parquetOf([row(0, "x"), row(1, "y"), row(1, null)], { names, groupRows: 2 });
    const folder = folderOf();
    mkdirSync(path.join(folder, "data"));
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(255), async (at, value) => {
        const damaged = Buffer.from(whole);
        damaged[at] = value;
        writeFileSync(path.join(folder, "data/train.parquet"), damaged);
        try {
          await itemsOf((await openAt(folder)).splits.train);
        } catch (error) {
          expect(error).toBeInstanceOf(BitswarmError);
        }
      }),
      { numRuns: 400 },
    );
  });
});
