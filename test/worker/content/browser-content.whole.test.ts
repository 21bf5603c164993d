// What a browser keeps, in Chromium against a real server: nothing is fetched twice over reloads, damage is repaired,
// and a quota that is full costs what was not used for longest.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import puppeteer, { type Browser } from "puppeteer";
import { build } from "vite";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { sha256Hex } from "../../../shared/base/hash.ts";
import type { Piece } from "../../../shared/data/piece.ts";
import type { CachedDataset } from "../../../worker/content/dataset-cache.ts";
import { chromiumArguments, findChromium } from "../../../worker/platform/node/chromium.ts";
import { patientPage } from "../../fixtures/patient-page.ts";
import { contentServer, sendPart } from "./chunk-server.ts";
import { chunkedDataset, chunkedShard } from "./chunked-data.ts";
import type { Seen } from "./page/main.ts";

const configFile = fileURLToPath(new URL("page/vite.config.ts", import.meta.url));
const CACHE = "bitswarm-content-1";
/** 16 chunks of four samples of 20 KB. */
const one = chunkedShard(64, 0, 20_000);
const dataset = chunkedDataset(one.shard);
const all = Array.from({ length: one.index.chunks }, (_, chunk) => one.piece(chunk));
const lengths = all.map(({ chunk }) => {
  const { begin, end } = one.index.chunk(chunk);
  return end - begin;
});

let folder = "";
let browser: Browser;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "bitswarm-content-page-"));
  await build({ configFile, logLevel: "error", build: { outDir: folder } });
  browser = await puppeteer.launch({
    executablePath: findChromium(),
    args: [...chromiumArguments({ software: true, headless: true })],
    pipe: true,
  });
});

afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

/** The page of a fresh origin, and what its server was asked for of the data. */
async function opened() {
  const { asked, base } = await contentServer(async (_, response, what) => {
    if (what.path.startsWith("/shards/")) return sendPart([one], what, response);
    const path = what.path.startsWith("/assets/") ? what.path.slice(1) : "index.html";
    const type = path.endsWith(".js") ? "text/javascript" : "text/html";
    response.writeHead(200, { "content-type": type }).end(await readFile(join(folder, path)));
  });
  const page = await patientPage(browser);
  onTestFinished(() => page.close());
  const load = async () => {
    await page.goto(`${base}/?token=t`);
    await page.waitForFunction("globalThis.content !== undefined");
  };
  await load();
  const run = <T>(code: string) => page.evaluate(code) as Promise<T>;
  return {
    page,
    base,
    load,
    run,
    /** Requests for the data so far. */
    asked: () => asked.filter(({ path }) => path.startsWith("/shards/")),
    open: (mostMiB?: number) => run<number | undefined>(`content.open(${mostMiB ?? ""})`),
    visit: (pieces: readonly Piece[], of: CachedDataset = dataset) =>
      run<Seen>(`content.visit(${JSON.stringify(of)}, ${JSON.stringify(pieces)})`),
  };
}

test("a reload fetches nothing again, and a chunk that rotted alone is fetched again", async () => {
  const { asked, base, load, open, run, visit } = await opened();
  await open();
  const first = await visit(all);
  expect(first.lengths).toEqual(lengths);
  expect(asked()).toHaveLength(17);
  await load();
  await open();
  const { lengths: again, kept } = await visit(all);
  expect([again, kept]).toEqual([lengths, first.kept]);
  expect(asked()).toHaveLength(17);
  await run(`caches.open("${CACHE}").then((cache) =>
    cache.put("${base}/chunks/${one.sha256}/5", new Response(new Uint8Array(${lengths[5]}))))`);
  await load();
  await open();
  expect((await visit(all)).lengths).toEqual(lengths);
  const { begin, end } = one.index.chunk(5);
  expect(asked().slice(17)).toEqual([expect.objectContaining({ range: `bytes=${begin}-${end - 1}` })]);
  await visit(all);
  expect(asked()).toHaveLength(18);
});

test("at most a quarter of the quota is kept, and what was used last under the cap, over a reload too", async () => {
  const { asked, load, open, run, visit } = await opened();
  const { quota } = await run<{ quota: number }>("navigator.storage.estimate()");
  expect(await open(2 ** 40)).toBe(Math.min(4 * 2 ** 30, Math.floor(quota / 4)));
  expect(await open(0.5)).toBe(2 ** 19);
  // Pieces that are asked for together may come in any order.
  await visit(all.slice(0, -4));
  const seen = await visit(all.slice(-4));
  expect(seen.kept).toBeGreaterThan(2 ** 18);
  expect(seen.kept).toBeLessThanOrEqual(2 ** 19);
  const before = asked().length;
  await load();
  await open(0.5);
  await visit(all.slice(-4));
  // Of the index alone, which was used least of late.
  expect(
    asked()
      .slice(before)
      .filter(({ range }) => !range?.startsWith("bytes=0-")),
  ).toEqual([]);
});

test("a quota that shrinks while the tab computes is survived: it keeps what fits", async () => {
  const { base, open, page, run, visit } = await opened();
  const session = await page.createCDPSession();
  await open(2);
  await visit(all.slice(0, 6));
  const { usage } = await run<{ usage: number }>("navigator.storage.estimate()");
  await session.send("Storage.overrideQuotaForOrigin", { origin: base, quotaSize: usage + 150_000 });
  // Pieces that are asked for together may come in any order.
  expect((await visit(all.slice(6, -1))).lengths).toEqual(lengths.slice(6, -1));
  const seen = await visit(all.slice(-1));
  expect(seen.lengths).toEqual(lengths.slice(-1));
  expect(seen.capBytes).toBeLessThan(2 ** 21);
  expect(seen.kept).toBeGreaterThan(0);
  expect(seen.kept).toBeLessThanOrEqual(seen.capBytes ?? 0);
  const keys = await run<string[]>(`caches.open("${CACHE}").then(async (cache) =>
    (await cache.keys()).map(({ url }) => url))`);
  expect(keys).toContain(`${base}/chunks/${one.sha256}/15`);
});

test("whole shards that an earlier version kept are used, counted, and go in their turn", async () => {
  const { asked, base, open, run, visit } = await opened();
  const bytes = new Uint8Array(3 * (4 + 2)).fill(7);
  const shard = { sha256: sha256Hex(bytes), samples: 3, bytes: bytes.length };
  const split = { samples: 3, shards: [shard] };
  const raw: CachedDataset = { name: "old", format: { kind: "raw" }, train: split, test: split };
  await run(`caches.open("${CACHE}").then((cache) => Promise.all([
    cache.put("${base}/shards/${shard.sha256}", new Response(new Uint8Array(18).fill(7))),
    cache.put("${base}/elsewhere/shards/${"e".repeat(64)}", new Response(new Uint8Array(1000)))]))`);
  await open();
  const seen = await visit([{ key: shard.sha256, shard }], raw);
  expect(seen).toMatchObject({ lengths: [18], kept: 1018 });
  expect(asked()).toEqual([]);
});

test.each([
  ["Cache Storage", `Object.defineProperty(globalThis, "caches", { value: undefined })`],
  ["an open cache", `caches.open = () => Promise.reject(new DOMException("denied", "SecurityError"))`],
  ["IndexedDB", `indexedDB.open = () => { throw new DOMException("denied", "InvalidStateError") }`],
])("a browser that withholds %s only costs downloads", async (_, breaking) => {
  const { asked, open, run, visit } = await opened();
  await run(`void (${breaking.startsWith("Object") ? breaking : `(() => { ${breaking} })()`})`);
  expect(await open()).toBeUndefined();
  expect((await visit(all.slice(0, 2))).lengths).toEqual(lengths.slice(0, 2));
  await visit(all.slice(0, 2));
  expect(asked()).toHaveLength(6);
});
