// What the package of npm has in it is what its programs ask for when they run.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packageRoot } from "../../coordinator/base/package-root.ts";
import { bundledPrograms } from "../../deploy/bundle.mjs";

const root = packageRoot();
const { files } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly files: readonly string[] };

/** What sources join to the folder that this function gives: paths, as far as they are written out. */
function joinedTo(folder: string): readonly string[] {
  const sources = ["coordinator", "worker"].flatMap((wing) =>
    readdirSync(join(root, wing), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => readFileSync(join(root, wing, name), "utf8")),
  );
  const call = new RegExp(`join\\(\\s*${folder}\\(\\),\\s*((?:"[^"]+",?\\s*)+)`, "g");
  return sources.flatMap((source) =>
    [...source.matchAll(call)].map(([, words]) => words.match(/[^"\s,][^"]*/g)!.join("/")),
  );
}

test("every program that is started from the folder of what is built is bundled", () => {
  const started = joinedTo("builtFolder");
  expect(started.length).toBeGreaterThan(5);
  expect(started.filter((file) => !bundledPrograms.includes(file.replace(/\.js$/, "")))).toEqual([]);
});

test("every file that is read from the package's folder is among its files", () => {
  const read = joinedTo("packageRoot");
  expect(read).toContain("dist/web");
  // Folders that are only looked into: of what is built, and of the run files, which are all among the files.
  const wanted = read.filter((file) => !["dist", "dist/packed", "coordinator"].includes(file));
  expect(files).toContain("coordinator/*.yaml");
  const packed = (file: string) =>
    files.some((pattern) => new RegExp(`^${pattern.replaceAll(".", "\\.").replaceAll("*", "[^/]*")}(/|$)`).test(file));
  expect(wanted.filter((file) => !packed(file))).toEqual([]);
});
