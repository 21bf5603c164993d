// Ranges a second and bytes that the coordinator's process for downloads serves, beside what of a core that takes.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { Agent, createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StoredFile } from "../../../coordinator/disk/stored-file.ts";
import { Downloads } from "../../../coordinator/server/downloads.ts";
import { downloadRates } from "../../../coordinator/trust/download-limits.ts";
import { bytesText } from "../../../shared/base/bytes-text.ts";
import { rng } from "../../../shared/base/rng.ts";
import type { Emit } from "../line.ts";
import { rounded } from "../statistics.ts";

/** As shards of ImageNet have. */
const SHARD_BYTES = 60 * 2 ** 20;
/** A sample alone, a chunk of 8, a chunk of 32. */
const RANGES = [32 * 1024, 256 * 1024, 2 ** 20];
const CONNECTIONS = 6;
const SECONDS = 4;
const SHA256 = "ab".repeat(32);
/** Whose requests are not limited. */
const OPERATOR = "operator-of-the-bench";
/** Of the kernel's clock in which it counts a process's time, on every Linux that there is. */
const TICKS = 100;

/** Seconds that a process has computed; undefined where the system does not tell. */
async function coreSeconds(pid: number): Promise<number | undefined> {
  try {
    const fields = (await readFile(`/proc/${pid}/stat`, "latin1")).replace(/^.*\) /s, "").split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS;
  } catch {
    return undefined;
  }
}

function fetchRange(agent: Agent, port: number, begin: number, end: number): Promise<number> {
  const options = { agent, port, path: `/shards/${SHA256}?token=${OPERATOR}` };
  const headers = { range: `bytes=${begin}-${end - 1}` };
  return new Promise((resolve, reject) => {
    get({ ...options, host: "127.0.0.1", headers }, async (response) => {
      let bytes = 0;
      for await (const piece of response) bytes += (piece as Buffer).length;
      if (response.statusCode === 206 && bytes === end - begin) resolve(bytes);
      else reject(new Error(`a range was answered with ${response.statusCode} and ${bytes} bytes`));
    }).on("error", reject);
  });
}

/** One connection that asks for ranges anywhere, one after another. @returns how many */
async function client(port: number, bytes: number, number: number, until: number): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const draws = rng("ranges", bytes, number);
  let ranges = 0;
  for (; performance.now() < until; ranges++) {
    const begin = draws.below(SHARD_BYTES - bytes);
    await fetchRange(agent, port, begin, begin + bytes);
  }
  agent.destroy();
  return ranges;
}

async function measure(port: number, downloads: Downloads, bytes: number, emit: Emit): Promise<void> {
  const clients = async (seconds: number) => {
    const until = performance.now() + 1000 * seconds;
    const counts = await Promise.all(Array.from({ length: CONNECTIONS }, (_, i) => client(port, bytes, i, until)));
    return counts.reduce((sum, count) => sum + count, 0);
  };
  await clients(0.5);
  const pid = downloads.pid ?? 0;
  const before = await coreSeconds(pid);
  const begin = performance.now();
  const ranges = await clients(SECONDS);
  const seconds = (performance.now() - begin) / 1000;
  const after = await coreSeconds(pid);
  const mebibytes = (ranges * bytes) / 2 ** 20;
  const core = before === undefined || after === undefined ? undefined : after - before;
  await emit({
    record: "ranges",
    name: `ranges of ${bytesText(bytes)}, ${CONNECTIONS} connections`,
    perSecond: rounded(ranges / seconds, 3),
    mebibytesPerSecond: rounded(mebibytes / seconds, 3),
    ...(core !== undefined && {
      perCoreSecond: rounded(ranges / core, 3),
      mebibytesPerCoreSecond: rounded(mebibytes / core, 3),
    }),
  });
}

export async function benchRanges(emit: Emit): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "bitswarm-bench-ranges-"));
  const path = join(folder, "shard");
  await writeFile(path, new Uint8Array(SHARD_BYTES).fill(7));
  const file = new StoredFile(path, SHARD_BYTES);
  const server = createServer();
  const shard = async (sha256: string) => (sha256 === SHA256 ? file : undefined);
  const downloads = new Downloads({
    server,
    source: { token: "volunteers-of-the-bench", operatorToken: OPERATOR, shard },
    proxies: [],
    limits: { headersMs: 10_000, stalledMs: 60_000 },
    rates: downloadRates,
    onNotice: (text) => void emit({ record: "note", text }),
  });
  server.on("request", (request, response) => {
    const here = () => response.writeHead(404).end();
    if (!downloads.takes(request, () => true, here)) here();
  });
  try {
    await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
    for (const bytes of RANGES) await measure((server.address() as AddressInfo).port, downloads, bytes, emit);
  } finally {
    downloads.close();
    server.closeAllConnections();
    server.close();
    await rm(folder, { recursive: true, force: true });
  }
}
