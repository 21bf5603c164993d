// `bench visits`: how long a volunteer waits for the first accepted sample, and for the full speed: the shipped
// example, a real coordinator and a real worker, at the first visit and where all is remembered.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import puppeteer, { type Page } from "puppeteer";
import { packageRoot } from "../../coordinator/base/package-root.ts";
import { chromiumArguments, findChromium } from "../../worker/platform/node/chromium.ts";
import { hasHardwareGpu } from "../../worker/platform/node/vulkan.ts";
import type { SessionEvent } from "../../worker/session/session-event.ts";
import type { Emit } from "./line.ts";
import { median, rounded } from "./statistics.ts";

export interface VisitsOptions {
  readonly runtime: "browser" | "deno";
  readonly rounds: number;
  /** How long each visit is. */
  readonly seconds: number;
  /** Of the configuration, beside the shipped example's. */
  readonly fields: readonly string[];
}

/** What happened, in milliseconds after Start. */
interface Happened {
  readonly ms: number;
  readonly event: SessionEvent;
}

/** One visit in seconds after Start: undefined for what did not happen. */
export interface Visit {
  readonly adapter: number | undefined;
  readonly welcome: number | undefined;
  readonly prepared: number | undefined;
  readonly lease: number | undefined;
  readonly accepted: number | undefined;
  /** The first stretch at the full speed. */
  readonly full: number | undefined;
  /** Kernels that the first lease needs. */
  readonly kernels: number;
  /** Samples a second at the end. */
  readonly speed: number;
}

/** The last part of a visit says what the full speed is, and it is reached where a stretch has so much of it. */
const LAST = 1 / 3;
const STRETCH_MS = 3000;
const FULL = 0.85;

/** Samples a second of a stretch: leases' samples are spread over the time since the one before. */
function speedIn(
  given: readonly { readonly ms: number; readonly samples: number }[],
  from: number,
  to: number,
): number {
  let samples = 0;
  given.forEach(({ ms, samples: all }, i) => {
    const before = i === 0 ? undefined : given[i - 1];
    if (!before) return;
    const share = (Math.min(to, ms) - Math.max(from, before.ms)) / (ms - before.ms);
    if (share > 0) samples += share * (all - before.samples);
  });
  return (1000 * samples) / (to - from);
}

export function visitOf(happened: readonly Happened[]): Visit {
  const at = (found: Happened | undefined) => (found ? rounded(found.ms / 1000, 3) : undefined);
  const first = (wanted: (event: SessionEvent) => boolean) => at(happened.find(({ event }) => wanted(event)));
  const state = (kind: string) => first((event) => event.type === "state" && event.state.kind === kind);
  const given = happened.flatMap(({ ms, event }) =>
    event.type === "contributed" ? [{ ms, samples: event.samples }] : [],
  );
  const [start, end] = [given[0]?.ms ?? 0, given.at(-1)?.ms ?? 0];
  const speed = given.length > 1 ? speedIn(given, end - LAST * (end - start), end) : 0;
  let full: number | undefined;
  for (let from = start; full === undefined && from + STRETCH_MS <= end; from += STRETCH_MS / 10) {
    if (speedIn(given, from, from + STRETCH_MS) >= FULL * speed) full = rounded(from / 1000, 3);
  }
  const compiling = happened.flatMap(({ event }) =>
    event.type === "tuning" && event.stage === "compiling" && event.done === 0 ? [event.total] : [],
  );
  return {
    adapter: first(({ type }) => type === "adapter"),
    welcome: first(({ type }) => type === "joined"),
    prepared: first((event) => event.type === "tuning" && event.stage === "compiling" && event.done === event.total),
    lease: state("computing"),
    accepted: first(({ type }) => type === "contributed"),
    full,
    kernels: compiling[0] ?? 0,
    speed: rounded(speed, 3),
  };
}

/** Notes when the page's worker is told to start, and what it says from then on. */
function watchWorkers(): void {
  const scope = globalThis as unknown as { Worker: typeof Worker; visit: { startedAt: number; happened: Happened[] } };
  const visit = { startedAt: 0, happened: [] as Happened[] };
  scope.visit = visit;
  scope.Worker = class extends Worker {
    constructor(...words: ConstructorParameters<typeof Worker>) {
      super(...words);
      visit.startedAt = performance.now();
      this.addEventListener("message", ({ data }) => {
        visit.happened.push({ ms: performance.now() - visit.startedAt, event: data as SessionEvent });
      });
    }
  };
}

async function visitPage(page: Page, seconds: number): Promise<readonly Happened[]> {
  await page.waitForSelector("#start:enabled");
  await page.click("#start");
  await sleep(1000 * seconds);
  const happened = (await page.evaluate("visit.happened")) as readonly Happened[];
  await page.click("#leave");
  await page.waitForFunction("document.documentElement.dataset.state === 'ended'");
  return happened;
}

async function openPage(profile: string, url: string) {
  const args = chromiumArguments({ software: !hasHardwareGpu(), headless: true });
  const browser = await puppeteer.launch({
    executablePath: findChromium(),
    args,
    pipe: true,
    userDataDir: profile,
  });
  const page = await browser.newPage();
  await page.evaluateOnNewDocument(watchWorkers);
  await page.goto(url);
  return { browser, page };
}

async function browserVisits(folder: string, url: string, seconds: number) {
  const profile = join(folder, "profile");
  const { browser, page } = await openPage(profile, url);
  const first = await visitPage(page, seconds);
  await page.reload();
  const reloaded = await visitPage(page, seconds);
  await browser.close();
  const next = await openPage(profile, url);
  const again = await visitPage(next.page, seconds);
  await next.browser.close();
  return { first, reloaded, again };
}

/** Lines of a launched worker, as far as they are events. */
async function denoVisit(folder: string, url: string, seconds: number): Promise<readonly Happened[]> {
  const since = performance.now();
  const program = join(packageRoot(), "dist", "worker", "platform", "node", "bin.js");
  const env = { ...process.env, XDG_CACHE_HOME: folder };
  const child = spawn(process.execPath, [program, "join", url, "--runtime", "deno"], { env });
  const exited = once(child, "exit");
  const lines: { ms: number; line: string }[] = [];
  for (const input of [child.stdout, child.stderr]) {
    createInterface({ input }).on("line", (line) => lines.push({ ms: performance.now() - since, line }));
  }
  await sleep(1000 * seconds);
  child.kill("SIGTERM");
  await exited;
  if (process.env.BITSWARM_VISIT_LINES) for (const { ms, line } of lines) console.error(Math.round(ms), line);
  return lines.flatMap(({ ms, line }) => [...eventsIn(line)].map((event) => ({ ms, event })));
}

/** A terminal has words for these alone. */
function* eventsIn(line: string): Generator<SessionEvent> {
  const compiled = /(\d+) of (\d+) shaders/.exec(line);
  if (compiled) yield { type: "tuning", stage: "compiling", done: Number(compiled[1]), total: Number(compiled[2]) };
  if (/\bjoined /.test(line)) yield { type: "joined", run: "", name: "", worker: "" };
  const given = /; (\d+) samples in (\d+) leases, (\d+) samples\/s/.exec(line);
  if (!given) return;
  const [samples, leases, samplesPerSecond] = given.slice(1).map(Number);
  const lease = { lease: 0, phase: "", network: "", doing: "", evaluate: false, step: 0, epoch: 0, ranges: [] };
  yield { type: "contributed", lease, samples, leases, samplesPerSecond };
}

async function denoVisits(folder: string, url: string, seconds: number) {
  const cache = join(folder, "cache");
  return { first: await denoVisit(cache, url, seconds), again: await denoVisit(cache, url, seconds) };
}

/** The shipped example on a port of its own, long enough. */
async function startRun(
  folder: string,
  fields: readonly string[],
): Promise<{ readonly child: ChildProcess; readonly url: string }> {
  const program = join(packageRoot(), "dist", "coordinator", "program", "bin.js");
  const sets = ["epochs=500", ...fields].flatMap((field) => ["--set", field]);
  const flags = ["start", "--workers", "0", "--port", "0", "--run-dir", join(folder, "run"), ...sets];
  const child = spawn(process.execPath, [program, ...flags], { stdio: ["ignore", "pipe", "pipe"] });
  let printed = "";
  for (const input of [child.stdout, child.stderr]) input.on("data", (data) => (printed += data));
  for (;;) {
    const url = /http:\S+\?token=[\w-]+/.exec(printed)?.[0];
    if (url) return { child, url };
    if (child.exitCode !== null) throw new Error(`the coordinator ended with ${child.exitCode}: ${printed}`);
    await sleep(20);
  }
}

async function oneRound({ runtime, seconds, fields }: VisitsOptions) {
  const folder = await mkdtemp(join(tmpdir(), "bitswarm-visits-"));
  const { child, url } = await startRun(folder, fields);
  try {
    return await (runtime === "browser" ? browserVisits : denoVisits)(folder, url, seconds);
  } finally {
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
    await rm(folder, { recursive: true, force: true });
  }
}

export async function benchVisits(options: VisitsOptions, emit: Emit): Promise<void> {
  const visits = new Map<string, Visit[]>();
  for (let round = 0; round < options.rounds; round++) {
    for (const [name, happened] of Object.entries(await oneRound(options))) {
      if (process.env.BITSWARM_VISIT_LINES) {
        for (const { ms, event } of happened) console.error(name, Math.round(ms), JSON.stringify(event).slice(0, 400));
      }
      visits.set(name, [...(visits.get(name) ?? []), visitOf(happened)]);
    }
  }
  for (const [name, all] of visits) {
    const middle = (of: (visit: Visit) => number | undefined) => {
      const seen = all.map(of).filter((value) => value !== undefined);
      return seen.length < all.length ? null : rounded(median(seen), 3);
    };
    await emit({
      record: "visit",
      runtime: options.runtime,
      visit: name,
      rounds: options.rounds,
      adapter: middle((visit) => visit.adapter),
      welcome: middle((visit) => visit.welcome),
      kernels: middle((visit) => visit.kernels),
      prepared: middle((visit) => visit.prepared),
      lease: middle((visit) => visit.lease),
      accepted: middle((visit) => visit.accepted),
      full: middle((visit) => visit.full),
      speed: middle((visit) => visit.speed),
      worst: Math.max(...all.map(({ accepted }) => accepted ?? Number.POSITIVE_INFINITY)),
    });
  }
}
