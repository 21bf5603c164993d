// Rules of files that must survive a crash.
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { diskFiles, writeDurably } from "../../../coordinator/disk/durable-file.ts";
import { withFolder } from "../../fixtures/tiny-run.ts";

test("a file is replaced whole, and nothing is left beside it", () =>
  withFolder(async (folder) => {
    const path = join(folder, "file");
    await writeDurably(path, "first");
    await writeDurably(path, new Uint8Array([1, 2, 3]));
    expect([...(await readFile(path))]).toEqual([1, 2, 3]);
    expect(await readdir(folder)).toEqual(["file"]);
  }));

test("a secret is made with its permissions", () =>
  withFolder(async (folder) => {
    await writeDurably(join(folder, "token"), "secret", 0o600);
    expect((await stat(join(folder, "token"))).mode & 0o777).toBe(0o600);
  }));

test("a write that fails leaves the old file as it was", () =>
  withFolder(async (folder) => {
    const path = join(folder, "file");
    await writeFile(path, "old");
    const full = {
      ...diskFiles,
      writeFile: async (at: string) => {
        await writeFile(at, "ne");
        throw new Error("disk full");
      },
    };
    const stuck = { ...diskFiles, rename: () => Promise.reject(new Error("no rename")) };
    for (const files of [full, stuck]) {
      await expect(writeDurably(path, "new", undefined, files)).rejects.toThrow();
      expect(await readFile(path, "utf8")).toBe("old");
      expect(await readdir(folder)).toEqual(["file"]);
    }
  }));
