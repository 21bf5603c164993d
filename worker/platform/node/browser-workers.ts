// Runs workers as pages of one Chromium, which ends with this process however it ends.
import { setTimeout as sleep } from "node:timers/promises";
import type { Browser, ConsoleMessage, Page } from "puppeteer-core";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { SharedBrowser } from "./browser.ts";
import { findChromium } from "./chromium.ts";
import { parseRunUrl } from "./run-url.ts";
import {
  type LaunchedWorkers,
  sayOf,
  superviseWorkers,
  type WorkerEnd,
  type WorkersOptions,
  workerName,
} from "./supervise.ts";
import { hasHardwareGpu } from "./vulkan.ts";
import { type Given, reportInPage } from "./worker-report.ts";

export interface BrowserWorkersOptions extends WorkersOptions {
  /** Shows the browser's window. */
  readonly headful?: boolean;
  /** How long a page may take to load, then to get an adapter from a GPU's driver, then to set its first state. */
  readonly pageTimeoutMs?: number;
}

const pollMs = 500;

/**
 * Opens `count` pages of `url` with `&autostart=1` (and `&tune=0`, `&cache=MIB`, `&throttle=SHARE`, `&name=NAME`). A
 * page reports through `document.documentElement.dataset`: see worker-report.ts.
 * @throws BitswarmError CONFIG_INVALID, TOKEN_INVALID, RUNTIME_MISSING
 */
export async function launchBrowserWorkers(options: BrowserWorkersOptions): Promise<LaunchedWorkers> {
  const url = parseRunUrl(options.url);
  const pageTimeoutMs = options.pageTimeoutMs ?? 30_000;
  const browser = new SharedBrowser({
    program: findChromium(),
    headless: options.headful !== true,
    software: options.software ?? !hasHardwareGpu(),
    trustedOrigin: url.secure ? undefined : url.origin,
  });
  await browser.open();

  async function runWorker(slot: number, signal: AbortSignal, finish: AbortSignal): Promise<WorkerEnd> {
    const opened = await browser.open();
    if (signal.aborted) return { kind: "stopped" };
    const watched = new AbortController();
    const interrupted = interruption(opened, signal, watched.signal);
    try {
      const end = await Promise.race([interrupted, livePage(opened, slot, watched.signal, finish)]);
      if (end.kind === "failed" && end.error.code === "WEBGPU_MISSING" && !browser.software) {
        await browser.fallBackToSoftware();
        return { kind: "died", code: "WEBGPU_MISSING", reason: "the GPU's driver gives no adapter, SwiftShader will" };
      }
      return end;
    } finally {
      watched.abort();
    }
  }

  async function livePage(opened: Browser, slot: number, signal: AbortSignal, finish: AbortSignal): Promise<WorkerEnd> {
    const say = (text: string) => sayOf(options, "browser", slot, text);
    const address = new URL(url.href);
    address.searchParams.set("autostart", "1");
    if (options.tune === false) address.searchParams.set("tune", "0");
    if (options.cacheMiB !== undefined) address.searchParams.set("cache", `${options.cacheMiB}`);
    if (options.share !== undefined) address.searchParams.set("throttle", `${options.share}`);
    const name = workerName(options, slot);
    if (name !== undefined) address.searchParams.set("name", name);

    let page: Page | undefined;
    try {
      page = await browser.newPage(opened);
      const crashed = forwardPage(page, say);
      await Promise.race([page.goto(address.href, { waitUntil: "domcontentloaded", timeout: pageTimeoutMs }), crashed]);
      // Read in the page, since nothing watches the network.
      const status = await page.evaluate("performance.getEntriesByType('navigation')[0]?.responseStatus");
      if (status === 401 || status === 403) {
        const message = `${url.origin} refuses the token of this link: copy the whole link that the coordinator printed`;
        return { kind: "failed", error: new BitswarmError("TOKEN_INVALID", message) };
      }
      if (typeof status === "number" && status >= 400) throw new Error(`it answers with HTTP ${status}`);
      if (!browser.software && !(await Promise.race([crashed, hasAdapter(page, pageTimeoutMs)]))) {
        return { kind: "failed", error: new BitswarmError("WEBGPU_MISSING", "the GPU's driver gives no adapter") };
      }
      const press = () => finishPage(page);
      finish.addEventListener("abort", press, { once: true, signal });
      if (finish.aborted) await press();
      const joined = (worker: string) => options.onEvent?.({ event: "joined", runtime: "browser", slot, worker });
      const given = (what: Given) => options.onEvent?.({ event: "given", runtime: "browser", slot, ...what });
      return await Promise.race([crashed, watchState(page, { joined, given }, pageTimeoutMs, signal)]);
    } catch (cause) {
      const text = cause instanceof Error ? cause.message : String(cause);
      const [untrusted] = /ERR_CERT_\w+/.exec(text) ?? [];
      if (untrusted !== undefined) {
        const message = `the certificate of ${url.origin} is not trusted here (${untrusted}); where it is a class room's, ${url.origin.replace("https:", "http:")}/trust says how to trust it; \`doctor LINK\` looks at it closely`;
        return { kind: "failed", error: new BitswarmError("CERTIFICATE_INVALID", message, { cause }) };
      }
      return {
        kind: "died",
        code: "RUN_UNREACHABLE",
        reason: `${url.origin} cannot be opened (${text.split("\n")[0]})`,
      };
    } finally {
      if (page) await closePage(page);
    }
  }

  const supervised = superviseWorkers({ runtime: "browser", options, runWorker, release: () => browser.close() });
  return {
    ...supervised,
    get pids() {
      return browser.pids;
    },
  };
}

/** Resolves when the worker is to stop or its browser is gone; `unlisten` takes the listeners off again. */
function interruption(browser: Browser, stop: AbortSignal, unlisten: AbortSignal): Promise<WorkerEnd> {
  return new Promise((resolve) => {
    const gone = () => resolve({ kind: "died", code: "COMPUTE_FAILED", reason: "the browser ended unexpectedly" });
    browser.once("disconnected", gone);
    unlisten.addEventListener("abort", () => browser.off("disconnected", gone), { once: true });
    stop.addEventListener("abort", () => resolve({ kind: "stopped" }), { once: true, signal: unlisten });
    if (!browser.connected) gone();
  });
}

/** Hands on what the page and its workers print; resolves when its process dies. */
function forwardPage(page: Page, say: (text: string) => void): Promise<WorkerEnd> {
  page.on("console", (message: ConsoleMessage) => {
    if (message.type() !== "debug" && message.type() !== "verbose") say(message.text());
    // An object that was printed is kept alive in the page for as long as its handle is.
    for (const handle of message.args()) handle.dispose().catch(() => undefined);
  });
  page.on("pageerror", (error) => say(`error: ${error instanceof Error ? error.message : String(error)}`));
  page.on("dialog", (dialog) => void dialog.dismiss().catch(() => undefined));
  return new Promise((resolve) => {
    page.once("error", (error) =>
      resolve({ kind: "died", code: "COMPUTE_FAILED", reason: `the page crashed (${error.message})` }),
    );
    page.once("close", () => resolve({ kind: "died", code: "COMPUTE_FAILED", reason: "the page was closed" }));
  });
}

/** Seconds that a page may take to close: one that crashed on a busy machine took more than three. */
const CLOSE_ATTEMPTS = 20;

/**
 * Chromium loses a request to close a page that is just being loaded: it is asked again each second, and in the end it
 * is closed itself, with the pages of other workers.
 */
async function closePage(page: Page): Promise<void> {
  const browser = page.browser();
  for (let attempt = 0; attempt < CLOSE_ATTEMPTS && browser.connected && !page.isClosed(); attempt++) {
    const closed = page.close().catch(() => undefined);
    await Promise.race([closed, sleep(1000)]);
  }
  if (browser.connected && !page.isClosed()) await browser.close();
}

/** With a driver that does not work Chromium may never answer: its GPU process dies and is started again, for ever. */
async function hasAdapter(page: Page, withinMs: number): Promise<boolean> {
  const answer = page.evaluate("navigator.gpu?.requestAdapter().then((adapter) => adapter !== null)");
  const adapter = await Promise.race([answer, sleep(withinMs, false, { ref: false })]);
  return adapter === true;
}

/** Has a page answer what it holds, and leave; one that does not offer that holds nothing. */
async function finishPage(page: Page | undefined): Promise<void> {
  await page
    ?.evaluate("(document.getElementById('finish') ?? document.getElementById('leave'))?.click()")
    .catch(() => undefined);
}

/** Looks at the page's data attributes twice a second until they say that it is over. */
async function watchState(
  page: Page,
  tell: { joined(worker: string): void; given(given: Given): void },
  patienceMs: number,
  signal: AbortSignal,
): Promise<WorkerEnd> {
  const openedAtMs = performance.now();
  let lastWorker: string | undefined;
  let lastSamples: number | undefined;
  while (!signal.aborted) {
    if (page.url().startsWith("chrome-error:"))
      throw new Error("the page reloaded itself and the server did not answer");
    // A page that is being reloaded has no context to ask for a moment.
    const dataset: unknown = await page.evaluate("({ ...document.documentElement.dataset })").catch(() => undefined);
    if (dataset !== undefined) {
      const report = reportInPage(dataset);
      switch (report.kind) {
        case "unset":
          if (performance.now() - openedAtMs > patienceMs)
            throw new Error("it shows no page of a bitswarm coordinator");
          break;
        case "failed":
          return report;
        case "working":
        case "ended":
          if (report.worker !== undefined && report.worker !== lastWorker) tell.joined(report.worker);
          lastWorker = report.worker ?? lastWorker;
          if (report.kind === "ended") return { kind: "ended" };
          if (report.given !== undefined && report.given.samples !== lastSamples) tell.given(report.given);
          lastSamples = report.given?.samples;
          break;
        default:
          report satisfies never;
      }
    }
    await sleep(pollMs);
  }
  return { kind: "stopped" };
}
