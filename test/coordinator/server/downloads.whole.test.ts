// Downloads in a process of their own: connections go there and come back, and nothing of it is lost or left behind.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { Agent, get, type IncomingHttpHeaders } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { MOST_DEATHS } from "../../../coordinator/server/downloads.ts";
import { readReach } from "../../../coordinator/server/reach.ts";
import { MANIFEST_FILE, type StoreManifest } from "../../../coordinator/store/manifest.ts";
import { sha256Hex } from "../../../shared/base/hash.ts";
import { MAX_SHARD_BYTES, type Shard } from "../../../shared/data/dataset.ts";
import { indexBytes, writeIndex } from "../../../shared/data/shard-layout.ts";
import { CoordinatorProcess } from "../../fixtures/coordinator-process.ts";
import { reverseProxy } from "../../fixtures/reverse-proxy.ts";
import { noiseSamples, writeStoreFolder } from "../../fixtures/store-folder.ts";
import { scratchFolder, startTestRun, type TestRun } from "../../fixtures/test-run.ts";
import { descendants, survivors } from "../../platform/fixtures/processes.ts";

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Whether its connection had been used before. */
  readonly reused: boolean;
}

/** A client of one connection at a time, kept while the server keeps it. */
function client(url: string, headers: Record<string, string> = {}) {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  onTestFinished(() => agent.destroy());
  return (path: string, own: Record<string, string> = {}, token?: string): Promise<Answer> => {
    const address = new URL(path, url);
    address.searchParams.set("token", token ?? new URL(url).searchParams.get("token") ?? "");
    return new Promise((resolve, reject) => {
      const request = get(address, { agent, headers: { ...headers, ...own } }, async (response) => {
        const parts: Buffer[] = [];
        try {
          for await (const part of response) parts.push(part as Buffer);
        } catch (error) {
          reject(error as Error);
        }
        const { statusCode: status = 0, headers: got } = response;
        resolve({ status, headers: got, body: Buffer.concat(parts), reused: request.reusedSocket });
      });
      request.on("error", reject);
    });
  };
}

async function shardOf({ run }: TestRun) {
  const [{ sha256, bytes }] = run.data.dataset.train.shards;
  const stored = await run.data.shard(sha256);
  return { sha256, bytes, content: await readFile(stored?.path ?? "") };
}
const alive = (pid: number) => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

test("I65 ranges are answered by a process of their own over one connection, which any other request brings back", async () => {
  const started = await startTestRun();
  const { sha256, bytes, content } = await shardOf(started);
  const { server } = started.coordination;
  const ask = client(started.url);
  expect(server.downloadsPid).toBeUndefined();
  const first = await ask(`/shards/${sha256}`, { range: "bytes=16-99" });
  expect([first.status, first.headers["content-range"]]).toEqual([206, `bytes 16-99/${bytes}`]);
  expect(first.body.equals(content.subarray(16, 100))).toBe(true);
  expect(alive(server.downloadsPid ?? 0)).toBe(true);
  const more = await ask(`/shards/${sha256}`);
  expect([more.status, more.reused, more.body.equals(content)]).toEqual([200, true, true]);
  expect(more.headers).toMatchObject({ etag: `"${sha256}"`, "cache-control": "private, max-age=31536000, immutable" });
  const status = await ask("/status");
  expect([status.status, status.reused, JSON.parse(status.body.toString()).step]).toEqual([200, true, 0]);
  const back = await ask(`/shards/${sha256}`, { "if-none-match": `"${sha256}"` });
  expect([back.status, back.reused, back.body.length]).toEqual([304, true, 0]);
  const none = await ask(`/shards/${"0".repeat(64)}`);
  expect([none.status, none.reused, JSON.parse(none.body.toString()).code]).toEqual([404, true, "DATA_MISSING"]);
  const guess = await ask(`/shards/${sha256}`, {}, "guess");
  expect([guess.status, guess.reused, JSON.parse(guess.body.toString()).code]).toEqual([403, true, "TOKEN_INVALID"]);
  const outside = await ask(`/shards/${sha256}`, { range: `bytes=${bytes}-` });
  expect([outside.status, outside.headers["content-range"]]).toEqual([416, `bytes */${bytes}`]);
  expect(server.connections).toBe(1);
});

test("I65 connections that are away are counted, cut at the limit, and forgotten when their client leaves", async () => {
  const limits = { perAddress: 4, inAll: 100, requestsAtOnce: 8, headersMs: 10_000, stalledMs: 60_000 };
  const started = await startTestRun({ openSockets: limits });
  const { sha256 } = await shardOf(started);
  const { server } = started.coordination;
  const clients = Array.from({ length: 7 }, () => client(started.url));
  for (const ask of clients) expect((await ask(`/shards/${sha256}`, { range: "bytes=0-9" })).status).toBe(206);
  await expect.poll(() => server.connections).toBeLessThanOrEqual(4);
  const address = new URL(started.url);
  const socket = connect(Number(address.port), address.hostname);
  await once(socket, "connect");
  socket.write(`GET /shards/${sha256}${address.search} HTTP/1.1\r\nhost: x\r\n\r\n`);
  await once(socket, "data");
  socket.destroy();
  await expect.poll(() => server.connections).toBeLessThanOrEqual(4);
});

test("I65 whoever says nothing more, or half a request, on a connection that is away is not waited for", async () => {
  const limits = { perAddress: 9, inAll: 100, requestsAtOnce: 8, headersMs: 300, stalledMs: 60_000 };
  const started = await startTestRun({ openSockets: limits });
  const { sha256 } = await shardOf(started);
  const address = new URL(started.url);
  const socket = connect(Number(address.port), address.hostname);
  onTestFinished(() => void socket.destroy());
  const head = `GET /shards/${sha256}${address.search} HTTP/1.1\r\nhost: x\r\nrange: bytes=0-9\r\n\r\n`;
  socket.write(head);
  await once(socket, "data");
  socket.write("GET /shards/");
  await once(socket, "close");
  await expect.poll(() => started.coordination.server.connections).toBe(0);
});

test("I65 the process is started again where it dies, and after five deaths the coordinator answers itself", async () => {
  const started = await startTestRun();
  const { sha256, content } = await shardOf(started);
  const { server } = started.coordination;
  for (let death = 0; death < MOST_DEATHS; death++) {
    const { body } = await client(started.url)(`/shards/${sha256}`);
    expect(body.equals(content)).toBe(true);
    const pid = server.downloadsPid ?? 0;
    process.kill(pid, "SIGKILL");
    await expect.poll(() => server.downloadsPid).toBeUndefined();
  }
  const ask = client(started.url);
  expect((await ask(`/shards/${sha256}`, { range: "bytes=5-9" })).body.equals(content.subarray(5, 10))).toBe(true);
  expect(server.downloadsPid).toBeUndefined();
  const events = await started.events();
  expect(events.map(({ message }) => message)).toContainEqual(expect.stringMatching(/sends shards ended 5 times/));
});

/** Hands its one connection over to a process that it starts, and is killed so long after. */
const dying = (program: string, afterMs: number) => `
import { fork } from "node:child_process";
import { createServer } from "node:net";
createServer((socket) => {
  const child = fork(${JSON.stringify(program)}, [], { execArgv: [], env: {}, stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const settings = { token: "open", operatorToken: "own", proxies: [], headersMs: 60000, stalledMs: 60000 };
  const rate = { perSecond: 1000, burst: 1000 };
  child.send({ type: "settings", ...settings, rates: { requests: rate, bytes: rate } });
  const head = "GET /shards/${"0".repeat(64)}?token=open HTTP/1.1\\r\\nHost: here\\r\\n\\r\\n";
  child.send({ type: "connection", id: 0, head }, socket, {}, () => undefined);
  setTimeout(() => process.kill(process.pid, "SIGKILL"), ${afterMs});
}).listen(0, "127.0.0.1", function () { console.log(this.address().port); });
`;

test("I65 a process whose coordinator is killed while it starts goes too, with a connection in hand", async () => {
  const program = fileURLToPath(new URL("../../../dist/coordinator/server/shard-process.js", import.meta.url));
  // It is loaded for some tens of milliseconds, in which it hears nothing.
  for (let afterMs = 0; afterMs <= 120; afterMs += 10) {
    const parent = spawn(process.execPath, ["--input-type=module", "-e", dying(program, afterMs)], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [port] = await once(parent.stdout, "data");
    const socket = connect(Number(String(port)), "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    socket.on("error", () => undefined);
    // Its end of the pipe is the last that closes.
    await once(parent, "close", { signal: AbortSignal.timeout(5_000) });
  }
});

test("I66 a volunteer is slowed down by address, as a trusted proxy tells it, and the operator's own workers are not", async () => {
  const rates = { requests: { perSecond: 1, burst: 40 }, bytes: { perSecond: 2 ** 20, burst: 2 ** 26 } };
  const started = await startTestRun({ reach: readReach({ behindProxy: true }), downloads: rates });
  const { sha256 } = await shardOf(started);
  const { run, straightUrl } = started;
  const flood = async (from: string, token: string) => {
    const ask = client(straightUrl, { "x-forwarded-for": from });
    let refused: Answer | undefined;
    for (let i = 0; i < 60 && !refused; i++) {
      const answer = await ask(`/shards/${sha256}`, { range: "bytes=0-0" }, token);
      if (answer.status !== 206) refused = answer;
    }
    return refused;
  };
  const refused = await flood("203.0.113.1", run.directory.token);
  expect([refused?.status, refused?.headers["retry-after"], refused?.reused]).toEqual([429, "1", true]);
  expect(JSON.parse(refused?.body.toString() ?? "")).toMatchObject({ code: "RATE_LIMITED" });
  const other = client(straightUrl, { "x-forwarded-for": "203.0.113.2" });
  expect((await other(`/shards/${sha256}`, { range: "bytes=0-0" })).status).toBe(206);
  expect(await flood("203.0.113.1", run.directory.operatorToken)).toBeUndefined();
});

test("I63 a shard whose file goes while it is served is none from then on, and the operator is told which it is", async () => {
  const folder = join(await scratchFolder(), "store");
  const shape = { h: 28, w: 28, c: 1 };
  const splits = { train: noiseSamples(64, shape, 10), val: noiseSamples(16, shape, 10, 3) };
  const parts = { media: "pixels", shape, mean: [0.5], std: [0.25], classes: 10, chunk: 4, chunksPerShard: 8 } as const;
  await writeStoreFolder(folder, { ...parts, splits });
  const started = await startTestRun({ config: { data: { kind: "store", store: folder } } });
  const { sha256 } = await shardOf(started);
  const ask = client(started.url);
  expect((await ask(`/shards/${sha256}`, { range: "bytes=0-9" })).status).toBe(206);
  await rm(join(folder, "shards", sha256));
  for (let i = 0; i < 2; i++) {
    const { status, reused, body } = await ask(`/shards/${sha256}`, { range: "bytes=0-9" });
    expect([status, reused]).toEqual([404, true]);
    expect(body.toString()).not.toContain(folder);
  }
  const told = (await started.events()).filter(({ message }) => String(message).includes(folder));
  expect(told).toMatchObject([{ message: expect.stringMatching(/workers cannot have a shard .* is gone: copy/) }]);
});

test("I65 behind a proxy that takes a path off and closes each connection, ranges come from that process too", async () => {
  const started = await startTestRun({ reach: readReach({ behindProxy: true }) });
  const { sha256, bytes, content } = await shardOf(started);
  const proxy = await reverseProxy(() => started.straightUrl, { prefix: "/bitswarm" });
  const ask = client(`${proxy.origin}/bitswarm/${new URL(started.url).search}`);
  for (let begin = 0; begin < 40; begin += 10) {
    const { status, headers, body } = await ask(`/bitswarm/shards/${sha256}`, { range: `bytes=${begin}-${begin + 9}` });
    expect([status, headers["content-range"]]).toEqual([206, `bytes ${begin}-${begin + 9}/${bytes}`]);
    expect(body.equals(content.subarray(begin, begin + 10))).toBe(true);
  }
  const { server } = started.coordination;
  expect(alive(server.downloadsPid ?? 0)).toBe(true);
  await expect.poll(() => server.connections).toBe(0);
});

test("I65 it ends with the coordinator, and keeps no secret in its environment or arguments", async () => {
  const started = await startTestRun();
  const { sha256 } = await shardOf(started);
  await client(started.url)(`/shards/${sha256}`, { range: "bytes=0-9" });
  const pid = started.coordination.server.downloadsPid ?? 0;
  const told = await Promise.all(["environ", "cmdline"].map((file) => readFile(join("/proc", `${pid}`, file), "utf8")));
  expect(told.join()).not.toContain(started.run.directory.token);
  expect(await readdir(join("/proc", `${pid}`, "fd"))).not.toHaveLength(0);
  started.coordination.stop();
  await started.coordination.done;
  await expect.poll(() => alive(pid)).toBe(false);
});

/** A store of so many shards of 256 MiB, which are empty but for their index: no disk has to hold them. */
async function sparseStore(folder: string, shards: number): Promise<StoreManifest> {
  const format = { kind: "bytes", media: "image/jpeg", targetBytes: 2, chunk: 8 } as const;
  const shape = { h: 256, w: 256, c: 3 };
  const usual = { media: "image/jpeg", shape, mean: [0, 0, 0], std: [1, 1, 1], classes: 2, chunk: 8 } as const;
  const made = await writeStoreFolder(folder, {
    ...usual,
    chunksPerShard: 1,
    splits: { train: noiseSamples(8, { h: 1, w: 1, c: 1 }, 2), val: noiseSamples(8, { h: 1, w: 1, c: 1 }, 2) },
  });
  await mkdir(join(folder, "shards"), { recursive: true });
  const chunks = 256;
  const head = indexBytes(format, 8 * chunks);
  const each = Math.floor((MAX_SHARD_BYTES - head) / chunks / 16) * 16;
  const list: Shard[] = [];
  for (let number = 0; number < shards; number++) {
    const index = writeIndex(
      Array.from({ length: chunks }, (_, i) => ({ bytes: each, sha256: sha256Hex(Uint8Array.of(number, i)) })),
    );
    const shard = { sha256: sha256Hex(index), samples: 8 * chunks, bytes: head + each * chunks };
    const file = await open(join(folder, "shards", shard.sha256), "w");
    await file.write(index);
    await file.truncate(shard.bytes);
    await file.close();
    list.push(shard);
  }
  const train = { samples: 8 * chunks * shards, shards: list };
  const manifest = { ...made, splits: { ...made.splits, train } };
  await writeFile(join(folder, MANIFEST_FILE), JSON.stringify(manifest));
  return manifest;
}

const residentBytes = async (pid: number) =>
  1024 * Number(/VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, "utf8"))?.[1]);

test("I67 memory does not grow with the store, and nothing is left of a coordinator that is killed", async () => {
  const folder = await scratchFolder();
  const manifest = await sparseStore(join(folder, "store"), 64);
  const fields = { kind: "store", store: join(folder, "store"), size: 16 };
  const set = [
    "--set",
    `data=${JSON.stringify(fields)}`,
    "--set",
    "model.kind=resnet",
    "--set",
    "model.widths=[4]",
    "--set",
    "model.blocks=[1]",
  ];
  const flags = ["--run-dir", join(folder, "run"), "--port", "0", "--workers", "0", "--json"];
  const coordinator = new CoordinatorProcess(["start", ...set, ...flags]);
  const url = await coordinator.url();
  const operator = (await readFile(join(folder, "run", "operator-token"), "utf8")).trim();
  const pid = coordinator.child.pid ?? 0;
  const asks = Array.from({ length: 8 }, () => client(url));
  let fetched = 0;
  const fetchMany = async (from: number, to: number, bytes: number) => {
    const shards = manifest.splits.train.shards.slice(from, to);
    await Promise.all(
      asks.map(async (ask, at) => {
        for (let i = at; i < 64 * shards.length; i += asks.length) {
          const { sha256 } = shards[i % shards.length];
          const begin = 2 ** 20 * (i % 200);
          const { status, body } = await ask(
            `/shards/${sha256}`,
            { range: `bytes=${begin}-${begin + bytes - 1}` },
            operator,
          );
          expect([status, body.length]).toEqual([206, bytes]);
          fetched += bytes;
        }
      }),
    );
  };
  await fetchMany(0, 4, 2 ** 18);
  const [child] = descendants(pid);
  const before = [await residentBytes(pid), await residentBytes(child)];
  await fetchMany(4, 64, 2 ** 18);
  const after = [await residentBytes(pid), await residentBytes(child)];
  expect(fetched).toBeGreaterThanOrEqual(2 ** 30);
  for (const [i, bytes] of after.entries()) expect(bytes - before[i]).toBeLessThan(64 * 2 ** 20);
  coordinator.child.kill("SIGKILL");
  await coordinator.exited;
  expect(await survivors([child], 30_000)).toEqual([]);
}, 300_000);
