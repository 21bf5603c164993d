// Rules H of SPEC.md: what the coordinator's port answers over HTTP, and to whom.

import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { expect, test } from "vitest";
import { coordinate } from "../../../coordinator/program/coordinate.ts";
import { readStatus, statusText } from "../../../coordinator/program/status-command.ts";
import { runStatusSchema } from "../../../shared/wire/protocol.ts";
import { openTestRun, startTestRun, workToTheEnd } from "../../fixtures/test-run.ts";

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
  while (lease.kind !== "student") {
    await worker.answer(lease);
    expect(lease.teacherHash).toBeNull();
    lease = await worker.lease();
  }
  const { search } = new URL(url);
  const blob = await fetch(new URL(`/blobs/${lease.teacherHash}${search}`, url));
  expect(hashOf(await blob.arrayBuffer())).toBe(lease.teacherHash);
  expect((await fetch(new URL(`/blobs/${lease.teacherHash}`, url))).status).toBe(403);
});

test("H5 the status says in words what the run waits for", async () => {
  const { url, connect, jsonLines } = await startTestRun();
  const status = async () => runStatusSchema.parse(await (await fetch(url.replace("/?", "/status?"))).json());
  expect(await status()).toMatchObject({
    run: "run",
    state: "waiting",
    step: 0,
    steps: 24,
    phase: "teacher, epoch 1/2",
    reason: "waiting for workers: nobody has joined",
    bytesPerWorker: null,
    loopDelayMs: null,
  });
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
  expect(statusText(await status(), url)).toMatch(
    /last step: \S+ [kM]B down and \S+ [kM]B up a worker; event loop late by/,
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
  await expect(readStatus(`${started.url}x`)).rejects.toMatchObject({ code: "TOKEN_INVALID" });
  const { checkpoint } = await workToTheEnd(started, 1);
  await expect(readStatus(started.url)).rejects.toMatchObject({ code: "RUN_UNREACHABLE" });
  expect(await readStatus(path)).toMatchObject({
    state: "stopped",
    run: "run",
    step: 9,
    steps: 24,
    samples: 9 * 64,
    teacherAccuracy: 0.5,
    testAccuracy: 0.5,
    checkpoint,
    checkpointStep: 9,
  });
  await expect(readStatus("nowhere")).rejects.toMatchObject({ code: "CONFIG_INVALID" });
});
