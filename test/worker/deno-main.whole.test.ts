// The Deno worker as its launcher runs it: a real process with few permissions, a real device, a real lease.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { canaryAnswer, canaryLayers } from "../../shared/model/canary.ts";
import { buildNetworks } from "../../shared/run/networks.ts";
import { decodeFrame } from "../../shared/wire/frame.ts";
import { denoArguments, findDeno } from "../../worker/platform/node/deno.ts";
import { tuningTableSchema } from "../../worker/tuning/tuning-table.ts";
import { vulkanDriver } from "../fixtures/device.ts";
import { sendRealLease } from "./session/real-lease.ts";
import { ScriptedCoordinator } from "./session/scripted-coordinator.ts";

const packageRoot = fileURLToPath(new URL("../..", import.meta.url));
const main = fileURLToPath(new URL("../../worker/platform/deno/main.ts", import.meta.url));

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Running {
  readonly child: ChildProcessWithoutNullStreams;
  readonly exited: Promise<number | null>;
  /** Standard output and standard error so far. */
  readonly output: { out: string; err: string };
}

function spawnWorker(host: string, ...args: string[]): Running {
  const folderAfter = (flag: string) => (args.includes(flag) ? args[args.indexOf(flag) + 1] : undefined);
  const folders = { tunings: folderAfter("--tunings"), keys: folderAfter("--keys"), content: folderAfter("--content") };
  const child = spawn(findDeno(), [...denoArguments({ host, packageRoot, ...folders }), main, ...args], {
    env: { ...process.env, NO_COLOR: "1", ...vulkanDriver() },
  });
  const output = { out: "", err: "" };
  child.stdout.on("data", (data) => {
    output.out += data;
  });
  child.stderr.on("data", (data) => {
    output.err += data;
  });
  const exited = once(child, "close").then(([code]) => code as number | null);
  cleanups.push(async () => {
    child.kill("SIGKILL");
    await exited;
  });
  return { child, exited, output };
}

async function coordinator(): Promise<ScriptedCoordinator> {
  const scripted = await ScriptedCoordinator.start();
  cleanups.push(() => scripted.close());
  return scripted;
}

const reports = ({ output }: Running) =>
  output.out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

test("a worker joins, computes a lease on the device, and exits 0 when the run is over", async () => {
  const scripted = await coordinator();
  const worker = spawnWorker(`127.0.0.1:${scripted.port}`, scripted.url, "--no-tune", "--name", "tester");
  const peer = await scripted.joined();
  await peer.next("ready");
  peer.send({ type: "canary", seed: 3 });
  const layers = canaryLayers(buildNetworks(scripted.config, scripted.dataset).student.graph);
  expect(await peer.next("canary-answer")).toMatchObject({ seed: 3, hash: canaryAnswer(layers, 3) });
  sendRealLease(scripted, peer, 1);
  const { header, payload } = decodeFrame((await peer.next("frame")).bytes, 10_000);
  expect(header).toMatchObject({ kind: "contribution", codec: "exact", lease: 1, samples: 8, tensors: 1 });
  // One peak, the checksum of the samples, and the body.
  expect(payload).toHaveLength(4 + 4 + 64 * 4);
  peer.send({ type: "accepted", lease: 1, samples: 8 });
  await peer.next("ready");
  peer.send({ type: "ended", message: "all steps are done" });
  expect(await worker.exited).toBe(0);
  expect(reports(worker)).toEqual([
    { event: "joined", worker: "w1" },
    { event: "given", samples: 8, samplesPerSecond: expect.any(Number) },
    { event: "ended" },
  ]);
  expect(worker.output.err).toMatch(
    /joined scripted run as w1, computing on .+\n(.*\n)*.*lease 1 done.*\n(.*\n)*all steps are done/,
  );
});

/** Two visits that measure kernels take long where the cores have other work. */
const TUNING_MS = 300_000;

/** Passes of the one table in a folder; none where there is no table, or a damaged one. */
async function measuredIn(folder: string): Promise<number> {
  const [file] = (await readdir(folder)).filter((name) => name.endsWith(".json"));
  if (file === undefined) return 0;
  try {
    return tuningTableSchema.parse(JSON.parse(await readFile(join(folder, file), "utf8"))).passes.length;
  } catch {
    return 0;
  }
}

test(
  "a worker keeps what it measured in its folder, and a corrupt file costs a line and is replaced",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "bitswarm-tunings-"));
    cleanups.push(() => rm(folder, { recursive: true }));
    const work = async () => {
      const scripted = await coordinator();
      const worker = spawnWorker(`127.0.0.1:${scripted.port}`, scripted.url, "--tunings", folder);
      const peer = await scripted.joined();
      await peer.next("ready");
      sendRealLease(scripted, peer, 1);
      await peer.next("frame");
      // It measures beside its leases, and after them; where it is disturbed before it has learned something, again.
      const passes = () => measuredIn(folder);
      await expect.poll(passes, { timeout: TUNING_MS / 2, interval: 100 }).toBeGreaterThan(0);
      await expect.poll(() => worker.output.err).toMatch(/tuned \d+ convolution pass/);
      peer.send({ type: "ended", message: "all steps are done" });
      expect(await worker.exited).toBe(0);
      return { said: worker.output.err, passes: await passes() };
    };
    const first = await work();
    expect(first.said).toMatch(/tuning kernels for this GPU: \d+ convolution pass/);
    expect(first.said).not.toContain("cannot be");
    expect(first.passes).toBeGreaterThan(0);
    const [file] = await readdir(folder);
    await writeFile(join(folder, file), "{");
    const second = await work();
    expect(second.said).toMatch(/what earlier visits measured cannot be read/);
    expect(second.passes).toBeGreaterThan(0);
  },
  TUNING_MS,
);

test("a worker keeps its key in a file that only its user can read; one that is damaged costs a line", async () => {
  const folder = await mkdtemp(join(tmpdir(), "bitswarm-keys-"));
  cleanups.push(() => rm(folder, { recursive: true }));
  const visit = async () => {
    const scripted = await coordinator();
    const worker = spawnWorker(`127.0.0.1:${scripted.port}`, scripted.url, "--no-tune", "--keys", folder);
    const peer = await scripted.joined();
    await peer.next("ready");
    worker.child.kill("SIGTERM");
    expect(await worker.exited).toBe(0);
    return { key: peer.publicKey, said: worker.output.err };
  };
  const [first, second] = [await visit(), await visit()];
  expect(second.key).toBe(first.key);
  const files = await readdir(folder);
  expect(files).toHaveLength(1);
  const path = join(folder, files[0]);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  await writeFile(path, "{}");
  const third = await visit();
  expect(third.key).not.toBe(first.key);
  expect(third.said).toContain("key cannot be kept");
});

test("a worker that comes back has what it fetched before, and fetches nothing again", async () => {
  const folder = await mkdtemp(join(tmpdir(), "bitswarm-content-"));
  cleanups.push(() => rm(folder, { recursive: true }));
  const visit = async () => {
    const scripted = await coordinator();
    const worker = spawnWorker(
      `127.0.0.1:${scripted.port}`,
      ...[scripted.url, "--no-tune", "--content", folder, "--cache-mib", "64"],
    );
    const peer = await scripted.joined();
    await peer.next("ready");
    sendRealLease(scripted, peer, 1);
    await peer.next("frame");
    peer.send({ type: "ended", message: "all steps are done" });
    expect(await worker.exited).toBe(0);
    return scripted.requests.filter((path) => /^\/(?:shards|blobs)\//.test(path));
  };
  expect((await visit()).length).toBeGreaterThan(0);
  expect(await visit()).toEqual([]);
});

test("SIGTERM gives the lease back, says goodbye, and exits 0", async () => {
  const scripted = await coordinator();
  const worker = spawnWorker(`127.0.0.1:${scripted.port}`, scripted.url, "--no-tune");
  const peer = await scripted.joined();
  await peer.next("ready");
  worker.child.kill("SIGTERM");
  await peer.next("leave");
  expect(await worker.exited).toBe(0);
});

test("with --parent-watch the end of standard input ends the worker", async () => {
  const scripted = await coordinator();
  const worker = spawnWorker(`127.0.0.1:${scripted.port}`, scripted.url, "--no-tune", "--parent-watch");
  const peer = await scripted.joined();
  await peer.next("ready");
  worker.child.stdin.end();
  await peer.next("leave");
  expect(await worker.exited).toBe(0);
});

test("a refused token is an error in words, a report for the launcher, and exit code 1", async () => {
  const scripted = await coordinator();
  const worker = spawnWorker(`127.0.0.1:${scripted.port}`, scripted.url);
  const peer = await scripted.peer();
  await peer.next("hello");
  peer.send({ type: "error", code: "TOKEN_INVALID", message: "this token opens no run", retry: false });
  expect(await worker.exited).toBe(1);
  expect(worker.output.err).toContain("error TOKEN_INVALID: this token opens no run");
  expect(reports(worker)).toEqual([{ event: "failed", code: "TOKEN_INVALID", message: "this token opens no run" }]);
});

test("a wrong command line is an error in words and exit code 1", async () => {
  const worker = spawnWorker("127.0.0.1:1", "--nmae", "x");
  expect(await worker.exited).toBe(1);
  expect(worker.output.err).toMatch(/error CONFIG_INVALID: "--nmae" is not understood; usage/);
});

test("a throttled worker says what it was asked for, and answers its lease before it leaves on SIGUSR1", async () => {
  const scripted = await coordinator();
  const worker = spawnWorker(`127.0.0.1:${scripted.port}`, scripted.url, "--no-tune", "--throttle", "0.5");
  const peer = await scripted.joined();
  await peer.next("ready");
  sendRealLease(scripted, peer, 1);
  // The lease is there when its data are asked for.
  await expect.poll(() => scripted.requests.join()).toContain("/shards/");
  worker.child.kill("SIGUSR1");
  await peer.next("frame");
  peer.send({ type: "accepted", lease: 1, samples: 8 });
  await peer.next("leave");
  expect(await worker.exited).toBe(0);
  expect(reports(worker).at(-1)).toEqual({ event: "ended" });
  expect(worker.output.err).toContain("the GPU computes at most 50 % of the time");
});
