// The decode threads of Deno and Chromium make of a sample what Node does, to the bit, and go on after a damaged one.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { afterAll, beforeAll, expect, test } from "vitest";
import { sha256Hex } from "../../../shared/base/hash.ts";
import { createJpegDecoder } from "../../../shared/image/jpeg.ts";
import { decodeHere } from "../../../shared/samples/decoding.ts";
import { chromiumArguments } from "../../../worker/platform/node/chromium.ts";
import { packageRoot } from "../../../worker/platform/node/package-root.ts";
import { picturesInChunks } from "../../fixtures/encoded-data.ts";
import { runInBrowser, runInDeno } from "../../fixtures/in-runtime.ts";
import { jpegModule } from "../../fixtures/jpeg-module.ts";
import type { DecodeCase, DecodedCase } from "./decoded-case.ts";

const timeoutMs = 120_000;
const page = "decode-page";
const { config, dataset, held } = picturesInChunks({ size: 96 }, (bytes, i) =>
  i === 1 ? bytes.subarray(0, 2000) : bytes,
);
const given: DecodeCase = {
  config,
  dataset,
  held: [...held].map(([key, bytes]) => [key, [...bytes]]),
  microbatches: [[0, 2], [1], [2]],
};

let folder: string;
let expected: (DecodedCase | string)[];

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "bitswarm-decode-"));
  writeFileSync(path.join(folder, "case.json"), JSON.stringify(given));
  const here = decodeHere(config, dataset, { jpeg: await createJpegDecoder(jpegModule()) });
  const decoded = async (samples: readonly number[]) => {
    const { input, checksum } = await here.decode({ phase: "student", epoch: 2, split: "train" }, samples, held);
    return { checksum, image: sha256Hex(input.image as Uint8Array) };
  };
  expected = [await decoded([0, 2]), "DATA_INVALID", await decoded([2])];
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test("I54 Deno's decode thread has the bytes of Node", async () => {
  const heard: unknown[] = [];
  const args = [path.join(folder, "case.json")];
  await runInDeno({
    program: "test/worker/decode/deno.js",
    args,
    timeoutMs,
    onMessage: (said) => void heard.push(said),
  });
  expect(heard).toEqual([expected]);
});

test("I54 Chromium's has, started by a Web Worker, where nothing but WebAssembly may be compiled", async () => {
  const root = fileURLToPath(new URL("page", import.meta.url));
  const outDir = path.join(packageRoot(), "dist", page);
  const worker = { format: "es" } as const;
  const options = { outDir, emptyOutDir: true, target: "esnext", assetsInlineLimit: 0 };
  await build({ root, base: "./", logLevel: "error", build: options, worker });
  const heard: unknown[] = [];
  await runInBrowser({
    page,
    args: chromiumArguments({ software: true, headless: true, unclamped: false }),
    timeoutMs,
    onMessage: (message) => void heard.push(message),
    answer: async (pathname) => (pathname === "/case" ? JSON.stringify(given) : undefined),
  });
  expect(heard).toEqual([expected]);
});
