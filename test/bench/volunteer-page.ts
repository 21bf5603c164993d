// `bench page`: the volunteers' page of the shipped example in a Chromium of its own: when something is to be seen, how
// much script is loaded, and for how long its main thread is busy at once while the page trains.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import puppeteer, { type Browser, type Page } from "puppeteer";
import { packageRoot } from "../../coordinator/base/package-root.ts";
import { chromiumArguments, findChromium } from "../../worker/platform/node/chromium.ts";
import { hasHardwareGpu } from "../../worker/platform/node/vulkan.ts";
import type { Emit } from "./line.ts";
import { mainThreadTasks, TASK_CATEGORIES } from "./main-thread.ts";
import { median, rounded } from "./statistics.ts";

export interface PageOptions {
  /** Visits of each kind. */
  readonly visits: number;
  /** Of training, in which the main thread is watched. */
  readonly seconds: number;
  /** More fields of the run, as `--set` takes them. */
  readonly fields: readonly string[];
}

/** A wait of the browser's that only a broken page would use up. */
const PATIENCE_MS = 600_000;

interface Started {
  readonly url: string;
  readonly child: ChildProcess;
}

async function startCoordinator(runDir: string, fields: readonly string[]): Promise<Started> {
  const program = join(packageRoot(), "dist", "coordinator", "program", "bin.js");
  const sets = fields.flatMap((field) => ["--set", field]);
  const flags = ["start", "--workers", "0", "--port", "0", "--run-dir", runDir, ...sets];
  const child = spawn(process.execPath, [program, ...flags], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  for await (const chunk of child.stdout) {
    said += chunk;
    const [url] = /http:\S+\?token=[\w-]+/.exec(said) ?? [];
    if (url === undefined) continue;
    return { url, child };
  }
  throw new Error(`the coordinator ended and gave no link: ${said.slice(-2000)}`);
}

/** Bytes of scripts as they came over the line, by address. */
type Scripts = readonly (readonly [address: string, bytes: number])[];

const SCRIPTS = `performance.getEntriesByType("resource")
  .filter(({ name }) => name.endsWith(".js")).map(({ name, encodedBodySize }) => [name, encodedBodySize])`;
const FIRST_PAINT = 'performance.getEntriesByName("first-contentful-paint")[0]?.startTime';

function totalOf(scripts: Scripts): { readonly scripts: number; readonly scriptBytes: number } {
  // What is in a cache the second time has its size all the same.
  const bytes = new Map(scripts);
  return { scripts: bytes.size, scriptBytes: [...bytes.values()].reduce((sum, one) => sum + one, 0) };
}

interface Loaded {
  readonly firstPaintMs: number;
  readonly scripts: Scripts;
}

async function open(page: Page, url: string): Promise<Loaded> {
  await page.goto(url);
  await page.waitForSelector("#start:enabled", { timeout: PATIENCE_MS });
  await page.waitForFunction(`${FIRST_PAINT} > 0`);
  const firstPaintMs = (await page.evaluate(FIRST_PAINT)) as number;
  return { firstPaintMs, scripts: (await page.evaluate(SCRIPTS)) as Scripts };
}

/** Visits by people who have never been there, and a reload of each. */
async function measureLoading(browser: Browser, url: string, visits: number, emit: Emit): Promise<void> {
  const measured: Readonly<Record<"first" | "again", Loaded[]>> = { first: [], again: [] };
  for (let visit = 0; visit < visits; visit++) {
    const stranger = await browser.createBrowserContext();
    const page = await stranger.newPage();
    measured.first.push(await open(page, url));
    measured.again.push(await open(page, url));
    await stranger.close();
  }
  for (const [visit, pages] of Object.entries(measured)) {
    const firstPaintMs = rounded(median(pages.map((one) => one.firstPaintMs)));
    await emit({ record: "page", visit, visits, firstPaintMs, ...totalOf(pages[0].scripts) });
  }
}

async function measureTraining(browser: Browser, url: string, seconds: number, emit: Emit): Promise<void> {
  const stranger = await browser.createBrowserContext();
  const page = await stranger.newPage();
  await open(page, url);
  await page.tracing.start({ categories: [...TASK_CATEGORIES] });
  await page.click("#start");
  await page.waitForFunction("Number(document.documentElement.dataset.samples) > 0", { timeout: PATIENCE_MS });
  const starting = mainThreadTasks(JSON.parse(new TextDecoder().decode(await page.tracing.stop())));
  await page.tracing.start({ categories: [...TASK_CATEGORIES] });
  await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  const training = mainThreadTasks(JSON.parse(new TextDecoder().decode(await page.tracing.stop())));
  const adapter = (await page.$eval("#adapter", (node) => node.textContent)) ?? "";
  for (const [stage, tasks] of Object.entries({ starting, training })) {
    await emit({ record: "main-thread", stage, adapter, ...tasks });
  }
  // A worker's own script is among the page's.
  const places = [page, ...page.workers()];
  const scripts = await Promise.all(places.map((place) => place.evaluate(SCRIPTS) as Promise<Scripts>));
  await emit({ record: "scripts", ...totalOf(scripts.flat()) });
  await stranger.close();
}

export async function benchPage({ visits, seconds, fields }: PageOptions, emit: Emit): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "bitswarm-page-"));
  const { url, child } = await startCoordinator(join(folder, "run"), fields);
  const args = chromiumArguments({ software: !hasHardwareGpu(), headless: true });
  const browser = await puppeteer.launch({
    executablePath: findChromium(),
    args,
    pipe: true,
    protocolTimeout: PATIENCE_MS,
  });
  try {
    await measureLoading(browser, url, visits, emit);
    await measureTraining(browser, url, seconds, emit);
  } finally {
    await browser.close();
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    await rm(folder, { recursive: true, force: true });
  }
}
