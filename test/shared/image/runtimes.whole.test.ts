// Node, Deno and Chromium see the same pixels, and Pillow's: contributions of different workers are compared.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sha256Hex } from "../../../shared/base/hash.ts";
import { chromiumArguments } from "../../../worker/platform/node/chromium.ts";
import { packageRoot } from "../../../worker/platform/node/package-root.ts";
import { fixturePicture, fixtureTensor, imagenetFixtures } from "../../fixtures/imagenet-fixtures.ts";
import { runInBrowser, runInDeno } from "../../fixtures/in-runtime.ts";
import { type Digests, imageDigests } from "./digests.ts";

const { bad, tensors } = imagenetFixtures().expected;
const names = [...new Set([...Object.keys(bad), ...tensors.map(({ source }) => source)])];
const wanted = { pictures: names, tensors };
const module = createRequire(import.meta.url).resolve("@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasm");
const timeoutMs = 120_000;
const page = "image-page";

let folder: string;
let node: Digests;

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "bitswarm-images-"));
  for (const name of names) writeFileSync(path.join(folder, name), fixturePicture(name));
  writeFileSync(path.join(folder, "wanted.json"), JSON.stringify(wanted));
  node = await imageDigests(new Uint8Array(readFileSync(module)), wanted, async (name) => fixturePicture(name));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("I1 Node has the bytes of Pillow: 11 kinds of JPEG and eight tensors", () => {
  const kinds = [9002, 9003, 9004, 9005, 9008, 9009, 9010, 9011, 9013, 9014, 9018, 9021];
  for (const kind of kinds) {
    const name = names.find((each) => each.endsWith(`_${kind}.JPEG`))!;
    expect(node.pictures[name], bad[name]!.why).toBe(bad[name]!.rgb_sha256);
  }
  for (const { file } of tensors) expect(node.tensors[file], file).toBe(sha256Hex(fixtureTensor(file)));
  expect(Object.keys(node.crops).length).toBeGreaterThanOrEqual(kinds.length);
  for (const crop of Object.values(node.crops)) expect(crop).toMatch(/^[0-9a-f]{64}$/);
});

test("I1 Deno has the same", async () => {
  const heard: unknown[] = [];
  const program = "test/shared/image/deno.js";
  await runInDeno({ program, args: [folder, module], timeoutMs, onMessage: (message) => void heard.push(message) });
  expect(heard).toEqual([node]);
});

test("I1 Chromium has the same, where nothing but WebAssembly may be compiled", async () => {
  const root = fileURLToPath(new URL("page", import.meta.url));
  const outDir = path.join(packageRoot(), "dist", page);
  await build({ root, logLevel: "error", build: { outDir, emptyOutDir: true, target: "esnext" } });
  const heard: unknown[] = [];
  await runInBrowser({
    page,
    args: chromiumArguments({ software: true, headless: true, unclamped: false }),
    timeoutMs,
    onMessage: (message) => void heard.push(message),
    answer: async (pathname) => {
      if (!pathname.startsWith("/pictures/")) return undefined;
      const name = path.basename(pathname);
      return readFileSync(name === "module" ? module : path.join(folder, name));
    },
  });
  expect(heard).toEqual([node]);
});
