// Rules H of SPEC.md: what the coordinator's port answers over HTTP, and to whom.

import { createHash } from "node:crypto";
import { readdirSync, readlinkSync } from "node:fs";
import { createServer } from "node:http";
import { createAdaptorServer } from "@hono/node-server";
import { expect, onTestFinished, test } from "vitest";
import { ShardStore } from "../../../coordinator/data/shard-store.ts";
import { coordinate } from "../../../coordinator/program/coordinate.ts";
import { readStatus, statusText } from "../../../coordinator/program/status-command.ts";
import { httpApp } from "../../../coordinator/server/http-app.ts";
import { wholeName } from "../../../coordinator/training/parameter-version.ts";
import { PROTOCOL_VERSION } from "../../../shared/wire/protocol.ts";
import { runStatusSchema } from "../../../shared/wire/run-status.ts";
import { readJoinLink } from "../../../worker/session/join-link.ts";
import { openTestRun, scratchFolder, startTestRun, workToTheEnd } from "../../fixtures/test-run.ts";

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return "";
  }
}

const hashOf = (bytes: ArrayBuffer) => createHash("sha256").update(new Uint8Array(bytes)).digest("hex");

test("H1 the page is shown to those with the link, and no cache keeps it", async () => {
  const { url } = await startTestRun();
  const page = await fetch(url);
  expect(page.status).toBe(200);
  expect(page.headers.get("content-type")).toMatch(/^text\/html/);
  expect(page.headers.get("cache-control")).toBe("no-store");
  expect(page.headers.get("referrer-policy")).toBe("no-referrer");
  expect(page.headers.get("content-security-policy")).toContain("default-src 'self'");
  const html = await page.text();
  const [, script] = /<script[^>]* src="([^"]+)"/.exec(html) ?? [];
  const asset = await fetch(new URL(script, url));
  expect(asset.status).toBe(200);
  expect(asset.headers.get("content-type")).toMatch(/^text\/javascript/);
  expect(asset.headers.get("cache-control")).toBe("public, max-age=31536000, immutable");
});

test.each(["/", "/?token=", "/?token=guess"])("H2 %s without the run's token is a page that says so", async (path) => {
  const { url } = await startTestRun();
  const page = await fetch(new URL(path, url));
  expect(page.status).toBe(403);
  expect(await page.text()).toContain("whole link");
});

test("H3 shards are given by their hash, to those with the token, to be kept for ever by them alone", async () => {
  const { url, run } = await startTestRun();
  const [{ sha256, bytes }] = run.data.dataset.train.shards;
  const { search } = new URL(url);
  const shard = await fetch(new URL(`/shards/${sha256}${search}`, url));
  expect(shard.headers.get("cache-control")).toBe("private, max-age=31536000, immutable");
  expect(shard.headers.get("content-type")).toBe("application/octet-stream");
  const content = await shard.arrayBuffer();
  expect(content.byteLength).toBe(bytes);
  expect(hashOf(content)).toBe(sha256);
  const refused = await fetch(new URL(`/shards/${sha256}?token=guess`, url));
  expect([refused.status, (await refused.json()).code]).toEqual([403, "TOKEN_INVALID"]);
  const unknown = await fetch(new URL(`/shards/${"0".repeat(64)}${search}`, url));
  expect([unknown.status, (await unknown.json()).code]).toEqual([404, "DATA_MISSING"]);
});

test("H4 the frozen teacher that a lease names is given by its hash", async () => {
  const { url, connect } = await startTestRun();
  const worker = await connect().join();
  let lease = await worker.lease();
  while (lease.phase !== "student") {
    await worker.answer(lease);
    expect(lease.frozen).toEqual({});
    lease = await worker.lease();
  }
  const { search } = new URL(url);
  const blob = await fetch(new URL(`/blobs/${lease.frozen.teacher}${search}`, url));
  expect(hashOf(await blob.arrayBuffer())).toBe(lease.frozen.teacher);
  expect((await fetch(new URL(`/blobs/${lease.frozen.teacher}`, url))).status).toBe(403);
});

test("H6 frames of parameters, which an engine has by names of its own, are not given over HTTP", async () => {
  const { url, connect } = await startTestRun();
  const { network, parametersHash } = await (await connect().join()).lease();
  const { search } = new URL(url);
  const name = wholeName({ set: network, hash: parametersHash });
  expect((await fetch(new URL(`/blobs/${name}${search}`, url))).status).toBe(404);
});

test("H5 the status says in words what the run waits for, and over HTTP what the run is about", async () => {
  const about = { description: "Tells clothes apart.\nFor a paper.", contact: "Ada", url: "https://example.org/" };
  const { url, connect, jsonLines } = await startTestRun({ config: about });
  const status = async () => runStatusSchema.parse(await (await fetch(url.replace("/?", "/status?"))).json());
  expect(await status()).toMatchObject({
    run: "run",
    state: "waiting",
    step: 0,
    steps: 24,
    phase: "teacher, epoch 1/2",
    reason: "waiting for workers: nobody has joined",
    bytesPerWorker: null,
    downlink: { bitsPerWeight: 32, wholeBytes: expect.any(Number), updateBytes: null },
    loopDelayMs: null,
    about,
  });
  expect(statusText(await status(), url)).toMatch(
    /a volunteer fetches \S+ KiB on joining \(32 bits a weight\), at most that a step/,
  );
  const worker = await connect().join();
  await worker.answer(await worker.lease());
  await worker.lease();
  expect(await status()).toMatchObject({
    state: "training",
    step: 1,
    samples: 64,
    workers: 1,
    wanted: 64,
    reason: "1/1 workers, 0/64 samples, waiting for w1 (0 s)",
  });
  const [step] = jsonLines.map((line) => JSON.parse(line));
  expect(await status()).toMatchObject({ bytesPerWorker: step.bytes.perWorker, loopDelayMs: step.loopDelayMs });
  const { wholeBytes, updateBytes } = (await status()).downlink!;
  // A teacher's floats move all, each by a little.
  expect(updateBytes).toBeGreaterThan(wholeBytes / 8);
  expect(updateBytes).toBeLessThan(wholeBytes);
  expect(statusText(await status(), url)).toMatch(
    /last step: \S+ [KM]iB down and \S+ [KM]iB up a worker; event loop late by/,
  );
  expect((await fetch(new URL("/status", url))).status).toBe(403);
});

test.each([
  "/index.html",
  "/assets/../index.html",
  "/assets/%2e%2e/%2e%2e/package.json",
  "/..%2fpackage.json",
  "/run.yaml",
  "/token",
  "/shards/",
  "/ws",
])("H6 %s is not there", async (path) => {
  const { url } = await startTestRun();
  expect((await fetch(new URL(path, url))).status).toBe(404);
});

test("H7 a port in use is PORT_IN_USE and names what to do", async () => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, "127.0.0.1", resolve));
  const { port } = holder.address() as { port: number };
  try {
    const starting = coordinate(await openTestRun(), {
      host: "127.0.0.1",
      port,
      workers: 0,
      runtime: "auto",
      terminal: { write: () => true },
    });
    await expect(starting).rejects.toMatchObject({
      code: "PORT_IN_USE",
      message: expect.stringMatching(new RegExp(`port ${port} .*--port`)),
    });
  } finally {
    holder.close();
  }
});

test("H8 status reads a running run by its link or folder, and a stopped one from the disk", async () => {
  const started = await startTestRun({ maxSteps: 9 });
  const { path } = started.run.directory;
  expect(await readStatus(started.url)).toMatchObject({ state: "waiting", step: 0 });
  expect(await readStatus(path)).toMatchObject({ state: "waiting", step: 0 });
  // The other link that is printed at the start is understood, too.
  const { dashboardToken } = started.run.directory;
  const dashboard = started.coordination.server.linkTo("dashboard", dashboardToken);
  expect(await readStatus(dashboard)).toMatchObject({ state: "waiting", step: 0 });
  await expect(readStatus(`${dashboard}x`)).rejects.toMatchObject({ code: "TOKEN_INVALID" });
  expect(() => readJoinLink(dashboard)).toThrow("a worker needs the volunteers' link");
  await expect(readStatus(`${started.url}x`)).rejects.toMatchObject({ code: "TOKEN_INVALID" });
  const { checkpoint } = await workToTheEnd(started, 1);
  await expect(readStatus(started.url)).rejects.toMatchObject({ code: "RUN_UNREACHABLE" });
  expect(await readStatus(path)).toMatchObject({
    state: "stopped",
    run: "run",
    step: 9,
    steps: 24,
    samples: 9 * 64,
    scores: { teacher: { name: "accuracy", value: 0.5 }, student: { name: "accuracy", value: 0.5 } },
    checkpoint,
    checkpointStep: 9,
  });
  await expect(readStatus("nowhere")).rejects.toMatchObject({ code: "CONFIG_INVALID" });
});

test("H9 a shard comes with its length and a strong ETag, and whoever has it is told so", async () => {
  const { url, run } = await startTestRun();
  const [{ sha256, bytes }] = run.data.dataset.train.shards;
  const address = new URL(`/shards/${sha256}${new URL(url).search}`, url);
  const { headers } = await fetch(address);
  expect([headers.get("content-length"), headers.get("etag")]).toEqual([String(bytes), `"${sha256}"`]);
  const again = await fetch(address, { headers: { "if-none-match": `"${sha256}"` } });
  expect([again.status, (await again.arrayBuffer()).byteLength]).toEqual([304, 0]);
  expect(again.headers.get("cache-control")).toBe("private, max-age=31536000, immutable");
  expect((await fetch(address, { headers: { "if-none-match": '"another"' } })).status).toBe(200);
  expect((await fetch(address, { method: "HEAD" })).headers.get("etag")).toBe(`"${sha256}"`);
});

test("H10 a download that ends early lets go of the shard's file", async () => {
  const folder = await scratchFolder();
  const store = new ShardStore(folder);
  // More than sockets hold for a reader who does not read.
  const kept = await store.put(new Uint8Array(2 ** 25));
  const app = httpApp(
    {
      token: "open sesame",
      operatorToken: "open says me",
      dashboardToken: "open for a look",
      page: new Map(),
      shard: () => store.find(kept),
      blob: () => undefined,
      status: () => {
        throw new Error("nobody asks");
      },
      metrics: async () => ({ contentType: "", text: "" }),
      full: () => false,
    },
    { wrongToken: () => undefined, download: () => undefined, refusalOf: () => undefined },
  );
  const server = createAdaptorServer({ fetch: app.fetch });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const openFiles = () => readdirSync("/proc/self/fd").filter((fd) => linkOf(fd).startsWith(folder)).length;
  const abort = new AbortController();
  const { port } = server.address() as { port: number };
  const address = `http://127.0.0.1:${port}/shards/${kept.sha256}?token=open%20sesame`;
  const reader = (await fetch(address, { signal: abort.signal })).body?.getReader();
  await reader?.read();
  expect(openFiles()).toBe(1);
  abort.abort();
  await expect.poll(openFiles).toBe(0);
});

test("I68 addresses of shards elsewhere are given to those with the token, and the page may fetch from there", async () => {
  const run = await openTestRun();
  const [{ sha256 }] = run.data.dataset.train.shards;
  const elsewhere = {
    origin: "https://photos.example",
    addressOf: async (name: string) =>
      name === sha256 ? { url: `https://photos.example/${name}?signed`, expires: 7200 } : undefined,
  };
  const downloads = { requests: { perSecond: 1, burst: 3 }, bytes: { perSecond: 1, burst: 2 ** 30 } };
  const { url } = await startTestRun({ open: { ...run, data: { ...run.data, elsewhere } }, downloads });
  const ask = async (path: string, token = new URL(url).search) => fetch(new URL(`${path}${token}`, url));
  const given = await ask(`/shards/${sha256}/url`);
  expect([given.status, given.headers.get("cache-control")]).toEqual([200, "no-store"]);
  expect(await given.json()).toEqual({ url: `https://photos.example/${sha256}?signed`, expires: 7200 });
  expect((await ask(`/shards/${sha256}/url`, "?token=guess")).status).toBe(403);
  expect((await ask(`/shards/${"0".repeat(64)}/url`)).status).toBe(404);
  expect(await (await ask("/joinable")).json()).toEqual({
    joinable: true,
    protocol: PROTOCOL_VERSION,
    shardsAt: "https://photos.example",
  });
  const policy = given.headers.get("content-security-policy");
  expect(policy).toContain("connect-src 'self' https://photos.example;");
  await ask(`/shards/${sha256}/url`);
  const tooMany = await ask(`/shards/${sha256}/url`);
  expect([tooMany.status, tooMany.headers.get("retry-after")]).toEqual([429, "1"]);
  const here = await startTestRun();
  const none = await fetch(new URL(`/shards/${sha256}/url${new URL(here.url).search}`, here.url));
  expect([none.status, (await none.json()).code]).toEqual([404, "DATA_MISSING"]);
});

test("what goes wrong while a shard is read is told to the operator once, and to nobody else", async () => {
  const run = await openTestRun();
  const [{ sha256 }] = run.data.dataset.train.shards;
  const broken = { pull: () => Promise.reject(new Error("/home/somebody/disk is broken")) };
  const stored = { bytes: 1000, stream: () => new ReadableStream(broken, { highWaterMark: 0 }) };
  const started = await startTestRun({ open: { ...run, data: { ...run.data, shard: async () => stored } } });
  const address = new URL(`/shards/${sha256}${new URL(started.url).search}`, started.url);
  for (const range of ["bytes=0-9", "bytes=0-99"]) {
    const answer = await fetch(address, { headers: { range } });
    expect([answer.status, await answer.json()]).toEqual([
      503,
      { code: "DATA_MISSING", message: expect.not.stringContaining("somebody") },
    ]);
  }
  const told = (await started.events()).filter(({ message }) => String(message).includes("somebody"));
  expect(told).toMatchObject([
    { message: "workers cannot have a shard of the data set: /home/somebody/disk is broken" },
  ]);
});
