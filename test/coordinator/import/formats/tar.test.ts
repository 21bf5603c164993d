// Tar archives, by an independent writer, cut off at every block, and damaged.

import { writeFileSync } from "node:fs";
import path from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { pack } from "tar-stream";
import { expect, test } from "vitest";
import { openBytes } from "../../../../coordinator/import/formats/byte-reader.ts";
import { MAX_EXTENDED_BYTES, MAX_NAME_BYTES, TarReader } from "../../../../coordinator/import/formats/tar.ts";
import { BitswarmError } from "../../../../shared/base/errors.ts";
import { folderOf } from "../layouts/reading.ts";

async function tarOf(files: Readonly<Record<string, string | Uint8Array>>): Promise<Buffer> {
  const tar = pack();
  for (const [name, content] of Object.entries(files)) tar.entry({ name }, Buffer.from(content));
  tar.finalize();
  const parts: Buffer[] = [];
  for await (const part of tar) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

async function membersOf(bytes: Uint8Array, from?: number): Promise<[string, string, number][]> {
  const file = path.join(folderOf(), "some.tar");
  writeFileSync(file, bytes);
  const reader = await openBytes(file, { from });
  try {
    const tar = new TarReader(reader);
    const members: [string, string, number][] = [];
    for (let member = await tar.next(); member; member = await tar.next()) {
      if (member.bytes > 2 ** 20) throw new Error("too large for a test");
      members.push([member.name, Buffer.from(await tar.content()).toString("latin1"), member.header]);
    }
    return members;
  } finally {
    await reader.close();
  }
}

const long = `${"folder/".repeat(40)}n01440764_1.JPEG`;
const files = { "a.txt": "one", empty: "", [long]: "long", "b/c.bin": "x".repeat(2000), "ünï.jpg": "u" };

test("members have their names and contents, long names and packed archives too", async () => {
  const tar = await tarOf(files);
  const plain = await membersOf(tar);
  expect(plain.map(([name, content]) => [name, content])).toEqual(Object.entries(files));
  expect(await membersOf(gzipSync(tar))).toEqual(plain);
});

test("reading begins at the header of any member, packed or not", async () => {
  const tar = await tarOf(files);
  const all = await membersOf(tar);
  for (const [i, [, , header]] of all.entries()) {
    expect(await membersOf(tar, header)).toEqual(all.slice(i));
    expect(await membersOf(gzipSync(tar), header)).toEqual(all.slice(i));
  }
});

test("an archive that is cut off anywhere is refused, with file and byte", async () => {
  const tar = await tarOf(files);
  const end = tar.length - 1024;
  for (let cut = 1; cut <= end; cut += 256) {
    await expect(membersOf(tar.subarray(0, cut))).rejects.toThrow(
      /some\.tar: the archive is cut off: .* at byte \d+; get/,
    );
  }
});

test("a gzip stream that is cut off is refused, with what was read of it", async () => {
  const packed = gzipSync(
    await tarOf({ a: Buffer.from(Array.from({ length: 9000 }, (_, i) => (i * i * 7919) % 251)) }),
  );
  for (const cut of [20, packed.length >> 1, packed.length - 1]) {
    await expect(membersOf(packed.subarray(0, cut))).rejects.toThrow(/middle of its gzip stream.*get the file again/);
  }
});

test("archives one behind the other, a wrong checksum, an empty file", async () => {
  const tar = await tarOf({ a: "x" });
  await expect(membersOf(Buffer.concat([tar, tar]))).rejects.toThrow(/behind the end mark .*several archives/);
  const wrong = Buffer.from(tar);
  wrong[0] ^= 1;
  await expect(membersOf(wrong)).rejects.toThrow(/no header of a member, or a damaged one, at byte 0/);
  await expect(membersOf(new Uint8Array())).rejects.toThrow(/has 0 bytes/);
});

function headerBlock(fields: { name?: string; size: string; type: string }): Buffer {
  const block = Buffer.alloc(512);
  block.write(fields.name ?? "x", 0, "latin1");
  block.write(fields.size, 124, "latin1");
  block.write("ustar\0", 257, "latin1");
  block.write(fields.type, 156, "latin1");
  block.fill(" ", 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

test("sizes that a header claims have limits", async () => {
  const extended = headerBlock({ size: (MAX_EXTENDED_BYTES + 1).toString(8), type: "x" });
  await expect(membersOf(extended)).rejects.toThrow(/extended header of 1048577 bytes; the limit is 1048576/);
  const name = "n".repeat(MAX_NAME_BYTES + 1);
  const body = Buffer.alloc(Math.ceil(name.length / 512) * 512);
  body.write(name);
  const longName = Buffer.concat([
    headerBlock({ size: name.length.toString(8), type: "L" }),
    body,
    headerBlock({ size: "0", type: "0" }),
  ]);
  await expect(membersOf(longName)).rejects.toThrow(/a name of 4097 bytes; the limit is 4096/);
  await expect(membersOf(headerBlock({ size: "77777777777", type: "0" }))).rejects.toThrow(
    /cut off: member x takes 8589934591/,
  );
  await expect(membersOf(headerBlock({ size: "0", type: "S" }))).rejects.toThrow(/sparse/);
  await expect(membersOf(headerBlock({ size: "9", type: "0" }))).rejects.toThrow(/is no number/);
});

test("whatever is damaged, members come or a BitswarmError does", async () => {
  const tar = await tarOf(files);
  await fc.assert(
    fc.asyncProperty(fc.nat(tar.length - 1), fc.nat(255), fc.boolean(), async (at, value, cut) => {
      const damaged = Buffer.from(cut ? tar.subarray(0, Math.max(1, at)) : tar);
      damaged[Math.min(at, damaged.length - 1)] = value;
      try {
        await membersOf(damaged);
      } catch (error) {
        expect(error).toBeInstanceOf(BitswarmError);
      }
    }),
    { numRuns: 150 },
  );
});
