// Owns one Chromium for all pages of a launcher: starts it when it is first needed or needed again, and leaves nothing
// behind.
import { setTimeout as sleep } from "node:timers/promises";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { chromiumArguments } from "./chromium.ts";
import { createProfile, removeProfile, sweepProfiles } from "./chromium-profile.ts";

export interface BrowserOptions {
  readonly program: string;
  readonly headless: boolean;
  readonly software: boolean;
  readonly trustedOrigin?: string | undefined;
}

const openWithinMs = 30_000;
const closeWithinMs = 3000;

export class SharedBrowser {
  readonly #options: BrowserOptions;
  #software: boolean;
  #running: Promise<Browser> | undefined;
  /** The page that Chromium starts with; without one it would end. */
  #firstPage: Page | undefined;
  /** Of the browsers that this object started and whose processes or profiles may still be there. */
  readonly #disposals = new Map<Browser, () => Promise<void>>();

  constructor(options: BrowserOptions) {
    this.#options = options;
    this.#software = options.software;
  }

  get software(): boolean {
    return this.#software;
  }

  get pids(): number[] {
    return [...this.#disposals.keys()].map((browser) => browser.process()?.pid).filter((pid) => pid !== undefined);
  }

  /** @throws BitswarmError RUNTIME_MISSING where Chromium does not start. */
  open(): Promise<Browser> {
    this.#running ??= this.#launch();
    return this.#running;
  }

  /** A page in a window of its own, where it counts as visible. A browser that cannot open one is closed. */
  async newPage(browser: Browser): Promise<Page> {
    const first = this.#firstPage;
    this.#firstPage = undefined;
    if (first?.browser() === browser && !first.isClosed()) return first;
    const late = sleep(openWithinMs, undefined, { ref: false });
    const page = await Promise.race([browser.newPage({ type: "window" }), late]);
    if (page) return page;
    await end(browser);
    throw new Error(`Chromium opened no page within ${openWithinMs / 1000} s`);
  }

  /** Gives up the GPU's driver for SwiftShader: every page is closed with the browser and has to be opened again. */
  async fallBackToSoftware(): Promise<void> {
    if (this.#software) return;
    this.#software = true;
    await this.close();
  }

  /** Ends the browser, if one runs, and waits until its processes and its profile are gone. */
  async close(): Promise<void> {
    await this.#running?.catch(() => undefined);
    this.#running = undefined;
    await Promise.all([...this.#disposals.values()].map((dispose) => dispose()));
  }

  async #launch(): Promise<Browser> {
    const { program, headless, trustedOrigin } = this.#options;
    sweepProfiles();
    const profile = createProfile();
    try {
      const trust = trustedOrigin === undefined ? {} : { trustedOrigin };
      const browser = await puppeteer.launch({
        executablePath: program,
        args: [
          ...chromiumArguments({ software: this.#software, headless, unclamped: headless, ...trust }),
          `--user-data-dir=${profile}`,
          "about:blank",
        ],
        ignoreDefaultArgs: true,
        headless,
        // Chromium ends when this pipe closes, hence with this process, however that dies.
        pipe: true,
        // The DevTools protocol copies the body of every request that it watches: 42 MB/s where 290 are possible.
        networkEnabled: false,
        defaultViewport: null,
        handleSIGINT: false,
        handleSIGTERM: false,
        handleSIGHUP: false,
        timeout: 60_000,
      });
      this.#own(browser, profile);
      this.#firstPage = (await browser.pages())[0];
      return browser;
    } catch (cause) {
      this.#running = undefined;
      await removeProfile(profile);
      throw cannotStart(program, cause);
    }
  }

  #own(browser: Browser, profile: string): void {
    let disposal: Promise<void> | undefined;
    const dispose = () => {
      disposal ??= end(browser)
        .then(() => removeProfile(profile))
        .finally(() => this.#disposals.delete(browser));
      return disposal;
    };
    this.#disposals.set(browser, dispose);
    const running = this.#running;
    browser.once("disconnected", () => {
      if (this.#running === running) this.#running = undefined;
      dispose().catch(() => undefined);
    });
  }
}

/** Chromium is asked first; its process group is killed when it has not gone in time. */
async function end(browser: Browser): Promise<void> {
  const child = browser.process();
  const gone = new Promise<void>((resolve) => {
    if (child === null || child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once("exit", () => resolve());
  });
  const timer = setTimeout(() => kill(child?.pid), closeWithinMs);
  browser.close().catch(() => undefined);
  await gone;
  clearTimeout(timer);
}

function kill(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(process.platform === "win32" ? pid : -pid, "SIGKILL");
  } catch {
    // It went in the meantime.
  }
}

function cannotStart(program: string, cause: unknown): BitswarmError {
  const text = cause instanceof Error ? cause.message : String(cause);
  const why = /No usable sandbox|SUID sandbox/.test(text)
    ? "this system allows it no sandbox (unprivileged user namespaces are off): allow them, or run the worker in a container as root"
    : /Missing X server|cannot open display|DISPLAY/i.test(text)
      ? "there is no display: leave --headful away"
      : text.trim().split("\n").slice(0, 3).join(" ");
  return new BitswarmError("RUNTIME_MISSING", `${program} does not start: ${why}; --runtime deno needs no browser`, {
    cause,
  });
}
