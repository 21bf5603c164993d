// The volunteer page in a real browser: what it shows, what its buttons do, and what it says where WebGPU is missing.
import { readdir, readFile, stat } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createRequire } from "node:module";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import puppeteer, { type Browser, type Page } from "puppeteer";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { contentSecurityPolicy } from "../../coordinator/server/http-app.ts";
import { readPageFiles } from "../../coordinator/server/page-files.ts";
import { bytesText } from "../../shared/base/bytes-text.ts";
import { classification } from "../../shared/tasks/classification.ts";
import { shownScore } from "../../shared/tasks/task.ts";
import { decodeFrame } from "../../shared/wire/frame.ts";
import { chromiumArguments, findChromium } from "../../worker/platform/node/chromium.ts";
import { hasHardwareGpu } from "../../worker/platform/node/vulkan.ts";
import { tuningTableSchema } from "../../worker/tuning/tuning-table.ts";
import { patientPage } from "../fixtures/patient-page.ts";
import { sendRealLease } from "./session/real-lease.ts";
import { ScriptedCoordinator } from "./session/scripted-coordinator.ts";
import { scriptedStatus } from "./session/scripted-run.ts";

/** The page as built. */
const folder = fileURLToPath(new URL("../../dist/web", import.meta.url));
/** What the coordinator sends with everything; the page must not even try what it forbids. */
let policy = "";
const contentTypes: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};

const about = {
  description: "Tells clothes apart. <b>Bold</b>\nIt may run on a watch.",
  contact: "Ada & friends",
  url: "https://example.org/",
};

/** What checks that everybody can use a page; evaluated in it by the debugger, so that its policy stays as it is. */
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"];
/** Where pictures of every state go, for whoever wants to look at them. */
const PICTURES = process.env.BITSWARM_PICTURES;

async function picture(page: Page, state: string): Promise<void> {
  if (PICTURES === undefined) return;
  const devtools = await page.createCDPSession();
  for (const [look, width, scheme] of [
    ["light", 1280, "light"],
    ["dark", 1280, "dark"],
    ["phone", 390, "light"],
    ["forced", 1280, "dark"],
  ] as const) {
    await page.setViewport({ width, height: 844 });
    const forced = { name: "forced-colors", value: look === "forced" ? "active" : "none" };
    const features = [{ name: "prefers-color-scheme", value: scheme }, forced];
    await devtools.send("Emulation.setEmulatedMedia", { features });
    await page.screenshot({ path: join(PICTURES, `${state}-${look}.png`), fullPage: true });
  }
  await devtools.send("Emulation.setEmulatedMedia", { features: [] });
  await devtools.detach();
}

let browser: Browser;
/** A browser whose flags give it no adapter. */
let bare: Browser;

async function launch(args: string[]): Promise<Browser> {
  return puppeteer.launch({ executablePath: findChromium(), args, pipe: true });
}

beforeAll(async () => {
  policy = contentSecurityPolicy((await readPageFiles(folder)).get("index.html"));
  const flags = chromiumArguments({ software: !hasHardwareGpu(), headless: true });
  browser = await launch([...flags, "--host-resolver-rules=MAP class.room 127.0.0.1"]);
  const webgpuFlags = /webgpu|SwiftShader/i;
  bare = await launch([...flags.filter((flag) => !webgpuFlags.test(flag)), "--disable-gpu"]);
});

afterAll(async () => {
  await browser?.close();
  await bare?.close();
});

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Serves the built page and the run's status, as a coordinator does. */
async function servePage(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://localhost");
  const answers: Readonly<Record<string, unknown>> = {
    "/status": scriptedStatus({ about }),
    "/board": { places: [{ nickname: "Ada", account: "0123456789ab", samples: 4096 }] },
  };
  if (url.pathname in answers) {
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answers[url.pathname]));
    return;
  }
  const path = url.pathname === "/" ? "index.html" : url.pathname.slice(1);
  try {
    const bytes = await readFile(join(folder, path));
    response
      .writeHead(200, { "content-type": contentTypes[extname(path)], "content-security-policy": policy })
      .end(bytes);
  } catch {
    response.writeHead(404).end();
  }
}

interface Visit {
  readonly coordinator: ScriptedCoordinator;
  readonly page: Page;
  text(id: string): Promise<string>;
  enabled(): Promise<string[]>;
  /** Waits until the document says that it is in this state. */
  state(wanted: string): Promise<void>;
  /** Errors that the page and its console reported. */
  readonly errors: string[];
  /** What the page's console says to its visitor. */
  readonly lines: string[];
  /**
   * Sees that everybody can use the page as it is now, in light and in dark, and that it is not wider than a phone.
   * @param state what it is a picture of
   */
  sound(state: string): Promise<void>;
}

async function visit(query = "", { host = "127.0.0.1", on = browser, tune = false } = {}): Promise<Visit> {
  const coordinator = await ScriptedCoordinator.start({
    page: (request, response) => void servePage(request, response),
    status: scriptedStatus(),
  });
  cleanups.push(() => coordinator.close());
  const page = await patientPage(on);
  cleanups.push(async () => page.isClosed() || page.close());
  const errors: string[] = [];
  const lines: string[] = [];
  const hosts = new Set<string>();
  cleanups.push(async () => {
    // Whatever a test did with the page, it asked nobody else.
    hosts.delete("");
    expect([...hosts]).toEqual([host]);
  });
  page.on("console", (message) => message.type() === "info" && lines.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() !== "info" && errors.push(`${message.type()}: ${message.text()}`));
  page.on("issue", (issue) => errors.push(JSON.stringify(issue)));
  page.on("request", (request) => hosts.add(new URL(request.url()).hostname));
  const tuning = tune ? "" : "&tune=0";
  await page.goto(coordinator.url.replace("127.0.0.1", host) + query + tuning);
  const visit: Visit = {
    coordinator,
    page,
    errors,
    lines,
    text: (id) => page.$eval(`#${id}`, (node) => node.textContent ?? ""),
    enabled: () => page.$$eval(".buttons button:enabled", (nodes) => nodes.map((node) => node.textContent ?? "")),
    state: async (wanted) => {
      await page.waitForFunction(`document.documentElement.dataset.state === ${JSON.stringify(wanted)}`);
    },
    sound: async (state) => {
      await page.evaluate(`${axe};0`);
      await page.setViewport({ width: 360, height: 740 });
      for (const value of ["dark", "light"]) {
        await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value }]);
        const found = await page.evaluate(`axe.run({ runOnly: ${JSON.stringify(rules)} }).then(({ violations }) =>
          violations.map(({ id, nodes }) => id + ": " + nodes.map(({ html }) => html).join(" ")))`);
        expect(found, value).toEqual([]);
      }
      expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(360);
      if (!(await page.evaluate("document.hidden"))) await picture(page, state);
    },
  };
  await page.waitForFunction("document.querySelector('#state').textContent !== 'Loading…'");
  return visit;
}

test("before Start the page shows the run and what it is about, as text, and offers Start alone", async () => {
  const { coordinator, page, text, enabled, errors, sound } = await visit();
  await page.waitForFunction("document.querySelector('#step').textContent.startsWith('131')");
  expect(await text("run-name")).toBe("scripted run");
  expect(await text("step")).toBe("131 of 480");
  expect(await text("score-student")).toBe("76.5 %");
  expect(await text("eta")).toBe("3 min 35 s");
  expect(await enabled()).toEqual(["Start"]);
  expect(await text("about")).toBe(about.description);
  expect(await text("by")).toBe(`Asked for by ${about.contact}. More about it`);
  expect(await page.$eval("#by a", (link) => [link.getAttribute("href"), link.getAttribute("rel")])).toEqual([
    about.url,
    "noopener noreferrer",
  ]);
  await page.waitForFunction("document.querySelector('#board').textContent.includes('Ada4,096 checked')");
  await sound("before-start");
  expect(errors).toEqual([]);
  // Who never pressed Start hears of no end: that nobody answers is all that there is to tell.
  await coordinator.close();
  await page.waitForFunction("document.querySelector('#state').textContent === 'The coordinator does not answer'");
  expect([await enabled(), await text("eta")]).toEqual([["Try again"], "–"]);
  await sound("unanswered");
});

test("Start joins, computes real leases in the Web Worker, shows them, and ends with the run", async () => {
  const { coordinator, page, text, enabled, state, errors, sound } = await visit();
  await page.click("#start");
  const peer = await coordinator.joined();
  await peer.next("ready");
  await state("waiting");
  await sound("waiting");
  expect(await enabled()).toEqual(["Pause", "Finish this and leave", "Leave now"]);
  sendRealLease(coordinator, peer, 1);
  const { header } = decodeFrame((await peer.next("frame")).bytes, 10_000);
  expect(header).toMatchObject({ kind: "contribution", lease: 1, samples: 8 });
  // It may get faster meanwhile, and says so behind it.
  expect(await text("doing")).toMatch(/^Testing the network on 8 examples that it does not learn from(; .+)?$/);
  expect(await text("detail")).toBe("Testing the 1-bit network on held-out images: samples 0 to 8");
  peer.send({ type: "accepted", lease: 1, samples: 8 });
  peer.send({ type: "status", status: scriptedStatus({ step: 132 }) });
  await peer.next("ready");
  await page.waitForFunction("document.querySelector('#step').textContent.startsWith('132')");
  expect(await text("samples")).toBe("8");
  expect(Number(await text("speed"))).toBeGreaterThan(0);
  expect(await text("adapter")).not.toBe("");
  expect(await text("traffic")).toMatch(/KiB received, \d.* sent/);
  expect(await page.$eval("html", (root) => root.dataset.worker)).toBe("w1");
  // The last words, one right after the other.
  const score = { title: "1-bit network", ...shownScore(classification.score, 0.7712) };
  const reason = "the last of 480 steps is done";
  peer.send({
    type: "status",
    status: scriptedStatus({ state: "done", step: 480, reason, scores: { student: score } }),
  });
  peer.send({ type: "ended", message: "the last of 480 steps of run-1 is done" });
  await state("ended");
  expect(await text("state")).toBe("The run is over. Thank you!");
  expect(await text("doing")).toBe("The last of 480 steps of run-1 is done.");
  expect(await text("score-student")).toBe("77.1 %");
  expect(await text("reason")).toBe(reason);
  expect(await text("step")).toBe("480 of 480");
  expect(await enabled()).toEqual([]);
  expect(await text("result")).toMatch(/1-bit network: accuracy 77.1 %/);
  expect(await page.$("#nickname")).toBe(null);
  expect(await page.$eval("footer", (footer) => footer.textContent)).toMatch(
    /the run is over, and this tab can be closed/,
  );
  await sound("over");
  expect(errors).toEqual([]);
});

test("what is measured for this GPU stays in the browser for the next visit", async () => {
  const { coordinator, page, lines, errors } = await visit("&autostart=1", { tune: true });
  const keys: string[] = [];
  const tables = async () => {
    const peer = await coordinator.joined();
    keys.push(peer.publicKey);
    await peer.next("ready");
    sendRealLease(coordinator, peer, 1);
    await peer.next("frame");
    // It measures beside its leases, and after them.
    await expect.poll(() => lines.join("\n"), { timeout: 90_000 }).toMatch(/tuned \d+ convolution pass/);
    lines.length = 0;
    const stored = await page.evaluate(`new Promise((resolve, reject) => {
      const opening = indexedDB.open("bitswarm");
      opening.onerror = () => reject(opening.error);
      opening.onsuccess = () => {
        const reading = opening.result.transaction("tunings").objectStore("tunings").getAll();
        reading.onsuccess = () => resolve(reading.result);
      };
    })`);
    return (stored as unknown[]).map((table) => tuningTableSchema.parse(table).passes.map(({ pass }) => pass));
  };
  const [first] = await tables();
  await page.reload();
  const [second, ...others] = await tables();
  expect(others).toEqual([]);
  expect(second).toEqual(expect.arrayContaining(first));
  // So does the worker's key: the next visit is the same account.
  expect(keys[1]).toBe(keys[0]);
  expect(errors).toEqual([]);
});

test("what was fetched stays over a reload, is told in MiB, and goes with a press of Clear, while the tab computes too", async () => {
  const { coordinator, page, text, errors } = await visit("&autostart=1");
  const fetched = () => coordinator.requests.filter((path) => /^\/(?:shards|blobs)\//.test(path)).length;
  const computed = async () => {
    const peer = await coordinator.joined();
    await peer.next("ready");
    sendRealLease(coordinator, peer, 1);
    await peer.next("frame");
    peer.send({ type: "accepted", lease: 1, samples: 8 });
    await peer.next("ready");
    return peer;
  };
  const says = (words: string) =>
    page.waitForFunction(`document.querySelector("#kept")?.textContent === ${JSON.stringify(words)}`);
  const pressable = () => page.$eval("#forget", (button) => !(button as HTMLButtonElement).disabled);
  await says("Keeps no images on this device.");
  expect(await pressable()).toBe(false);
  await computed();
  const once = fetched();
  expect(once).toBeGreaterThan(0);
  const bytes = coordinator.dataset.test.shards.reduce((sum, shard) => sum + shard.bytes, 0);
  await says(`Keeps ${bytesText(bytes)} of images on this device.`);
  // So does what was chosen, and what was given.
  await page.$eval("#share", (slider) => {
    (slider as HTMLInputElement).value = "40";
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  });
  await page.click("#visible");
  await page.reload();
  const peer = await computed();
  expect(await page.$eval("#share", (slider) => (slider as HTMLInputElement).value)).toBe("40");
  expect(await page.$eval("#visible", (box) => (box as HTMLInputElement).checked)).toBe(true);
  await page.waitForFunction("document.querySelector('#given').textContent === '16'");
  expect(await text("samples")).toBe("8");
  // A tab that nobody sees, and that is to compute only in sight, pauses, and goes on when it is seen again.
  const other = await patientPage(browser);
  await other.bringToFront();
  await peer.next("paused");
  expect(await text("state")).toBe("Paused while in the background");
  await page.bringToFront();
  await other.close();
  await peer.next("ready");
  expect(fetched()).toBe(once);
  await says(`Keeps ${bytesText(bytes)} of images on this device.`);
  await page.click("#forget");
  await says("Keeps no images on this device.");
  expect(await page.evaluate("document.activeElement.id")).toBe("pause");
  // It works on.
  sendRealLease(coordinator, peer, 2);
  await peer.next("frame");
  await page.reload();
  await computed();
  expect(fetched()).toBeGreaterThan(once);
  await page.click("#leave");
  await page.waitForFunction("document.documentElement.dataset.state === 'ended'");
  // Between Leave and the next Start the page itself clears.
  await page.click("#forget");
  await says("Keeps no images on this device.");
  expect(await text("notice-text")).toBe("");
  expect(errors).toEqual([]);
});

test("every button works by keyboard, and the focus goes on to what can be pressed next", async () => {
  const { coordinator, page, enabled, state, text, sound } = await visit("&name=keys");
  const focused = () => page.evaluate("document.activeElement.id");
  await page.focus("#start");
  await page.keyboard.press("Enter");
  const peer = await coordinator.joined();
  await peer.next("ready");
  await state("waiting");
  expect(await focused()).toBe("pause");
  await page.keyboard.press("Enter");
  await peer.next("paused");
  await state("paused");
  expect(await enabled()).toEqual(["Resume", "Finish this and leave", "Leave now"]);
  await sound("paused");
  await page.keyboard.press("Space");
  await peer.next("ready");
  await page.focus("#leave");
  await page.keyboard.press("Enter");
  await peer.next("leave");
  await state("ended");
  expect(await enabled()).toEqual(["Start again"]);
  expect(await focused()).toBe("start");
  // Whoever finishes sends what is in hand, and takes no more.
  await page.keyboard.press("Enter");
  const next = await coordinator.joined();
  await next.next("ready");
  sendRealLease(coordinator, next, 2);
  await state("computing");
  await page.focus("#finish");
  await page.keyboard.press("Enter");
  await page.waitForFunction("document.querySelector('#state').textContent.startsWith('Finishing')");
  expect(await focused()).toBe("pause");
  expect(await text("pause")).toBe("Stay");
  await next.next("frame");
  next.send({ type: "accepted", lease: 2, samples: 8 });
  await next.next("leave");
  await state("ended");
  expect(await focused()).toBe("start");
  await page.waitForSelector("#card");
  await page.evaluate(`URL.createObjectURL = ((make) => (kept) => {
    globalThis.kept = kept.type;
    return make.call(URL, kept);
  })(URL.createObjectURL)`);
  await page.click("#card");
  await page.waitForFunction("globalThis.kept === 'image/png'");
});

test("whoever wants to be seen is, by a nickname that the browser keeps, until they say otherwise", async () => {
  const { coordinator, page, errors } = await visit();
  await page.type("#nickname", "  Gra");
  // The page is drawn anew meanwhile.
  await page.$eval("#share", (slider) => {
    (slider as HTMLInputElement).value = "90";
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  });
  await page.type("#nickname", "ce\u202e  ");
  await page.click("#listed");
  await page.click("#start");
  const peer = await coordinator.joined();
  expect(await peer.next("list")).toEqual({ type: "list", nickname: "Grace" });
  await peer.next("ready");
  await page.click("#listed");
  expect(await peer.next("list")).toEqual({ type: "list", nickname: null });
  sendRealLease(coordinator, peer, 1);
  await peer.next("frame");
  peer.send({ type: "accepted", lease: 1, samples: 8 });
  await peer.next("ready");
  await page.reload();
  await page.waitForSelector("#start:enabled");
  // What was given before is told before Start.
  await page.waitForFunction("document.querySelector('#given')?.textContent === '8'");
  expect(await page.$eval("#nickname", (field) => (field as HTMLInputElement).value)).toBe("Grace");
  expect(errors).toEqual([]);
});

test("the screen stays on while the tab computes and is seen, for whoever wants that, and no longer", async () => {
  const { coordinator, page, state, errors } = await visit();
  // Nobody is told of locks but who asked for them.
  await page.evaluate(`{
    globalThis.locks = [];
    const { request } = WakeLock.prototype;
    WakeLock.prototype.request = async function (...given) {
      const lock = await request.apply(this, given);
      locks.push(lock);
      return lock;
    };
  }`);
  const held = async () => ((await page.evaluate("locks.map(({ released }) => released)")) as boolean[]).join();
  await page.click("#awake");
  await page.click("#start");
  const peer = await coordinator.joined();
  await peer.next("ready");
  await expect.poll(held).toBe("false");
  await page.click("#pause");
  await peer.next("paused");
  await state("paused");
  await expect.poll(held).toBe("true");
  await page.click("#pause");
  await peer.next("ready");
  await expect.poll(held).toBe("true,false");
  const other = await browser.newPage();
  cleanups.push(() => other.close());
  await other.bringToFront();
  // The browser takes it from a page that nobody sees.
  await expect.poll(held).toBe("true,true");
  await page.bringToFront();
  await expect.poll(held).toBe("true,true,false");
  await page.click("#awake");
  await expect.poll(held).toBe("true,true,true");
  expect(errors).toEqual([]);
});

test("a tab that is to compute on mains power alone pauses with the plug pulled, until it is back or told to go on", async () => {
  const { coordinator, page, text, enabled, sound } = await visit();
  // The browser's own battery, which this machine may not have.
  const plug = (charging: boolean) =>
    page.evaluate(`navigator.getBattery().then((battery) => {
      Object.defineProperty(battery, "charging", { value: ${charging}, configurable: true });
      battery.dispatchEvent(new Event("chargingchange"));
    })`);
  await page.waitForSelector("#mains");
  await page.click("#mains");
  await page.click("#start");
  const peer = await coordinator.joined();
  await peer.next("ready");
  await plug(false);
  await peer.next("paused");
  await expect.poll(() => text("state")).toBe("Paused while on battery");
  await sound("on-battery");
  await plug(true);
  await peer.next("ready");
  await plug(false);
  await peer.next("paused");
  await expect.poll(enabled).toEqual(["Go on anyway", "Finish this and leave", "Leave now"]);
  await page.click("#pause");
  await peer.next("ready");
});

test("a run that ends under the focused button leaves the focus with what is said of it", async () => {
  const { coordinator, page, state } = await visit("&autostart=1");
  const peer = await coordinator.joined();
  await peer.next("ready");
  await page.focus("#leave");
  peer.send({ type: "ended", message: "the last step is done" });
  await state("ended");
  expect(await page.evaluate("document.activeElement.id")).toBe("state");
});

test("a tab that goes elsewhere leaves the run at once, and can start again on the way back", async () => {
  const { coordinator, page, enabled } = await visit();
  await page.click("#start");
  const peer = await coordinator.joined();
  await peer.next("ready");
  await page.goto("about:blank");
  await peer.closed;
  await page.goBack();
  await page.waitForFunction("document.querySelector('#start')?.disabled === false");
  expect((await enabled())[0]).toMatch(/^Start/);
});

test("a closed tab leaves the run at once", async () => {
  const { coordinator, page } = await visit("&autostart=1");
  const peer = await coordinator.joined();
  await peer.next("ready");
  await page.close();
  await peer.closed;
});

test("what the coordinator refuses is shown in words, and told to a launcher", async () => {
  const { coordinator, page, state, text, enabled, sound } = await visit("&autostart=1");
  const peer = await coordinator.peer();
  await peer.next("hello");
  peer.send({ type: "error", code: "TOKEN_INVALID", message: "This token opens no run.", retry: false });
  await state("failed");
  expect(await text("notice-title")).toBe("This link is not for the run that is going on");
  expect(await text("notice-text")).toBe("This token opens no run.");
  expect(await page.$eval("html", (root) => [root.dataset.code, root.dataset.message])).toEqual([
    "TOKEN_INVALID",
    "This token opens no run.",
  ]);
  expect(await enabled()).toEqual([]);
  await sound("refused");
});

test("a coordinator that dies while a fresh tab tunes: the tab says that, counts down, and tries at once when told", async () => {
  const { coordinator, page, state, text, sound } = await visit("&autostart=1", { tune: true });
  const peer = await coordinator.joined();
  await state("preparing");
  await page.evaluate(`{
    globalThis.said = [];
    const state = document.querySelector("#state");
    new MutationObserver(() => said.push(state.textContent)).observe(state, { childList: true });
  }`);
  const { port } = coordinator;
  peer.terminate();
  await coordinator.close();
  await state("reconnecting");
  await sound("reconnecting");
  // Until attempts are far apart: what the tab had begun is over by then.
  await page.waitForFunction("/in ([5-9]|[12][0-9]|30) s/.test(document.querySelector('#doing').textContent)");
  const seconds = async () => Number(/\d+/.exec(await text("doing")));
  const first = await seconds();
  // A second passes before the count is another one.
  await expect.poll(seconds).toBeLessThan(first);
  const said = (await page.evaluate("said")) as string[];
  expect(said.filter((one) => /joined|computing/i.test(one))).toEqual([]);
  expect(await text("notice-title")).toBe("The connection was lost");
  await coordinator.listen(port);
  await page.click("#start");
  await (await coordinator.joined()).next("ready");
  await state("waiting");
});

test("a machine that loses its network says so at once", async () => {
  const { coordinator, page, state, text } = await visit("&autostart=1");
  const peer = await coordinator.joined();
  await peer.next("ready");
  const gone = state("reconnecting");
  await page.setOfflineMode(true);
  await gone;
  expect(await text("notice-text")).toBe("This machine has no network. This tab keeps trying.");
  await page.setOfflineMode(false);
  await (await coordinator.joined()).next("ready");
});

test("a lost connection is shown, and the tab comes back by itself", async () => {
  const { coordinator, page, state, text } = await visit("&autostart=1");
  const peer = await coordinator.joined();
  await peer.next("ready");
  await page.focus("#pause");
  peer.terminate();
  await state("reconnecting");
  expect(await page.evaluate("document.activeElement.id")).toBe("pause");
  expect(await text("notice-title")).toBe("The connection was lost");
  await (await coordinator.joined()).next("ready");
  await state("waiting");
});

/** The process that computes for the browser. */
async function gpuProcess(): Promise<number> {
  const devtools = await browser.target().createCDPSession();
  const { processInfo } = await devtools.send("SystemInfo.getProcessInfo");
  await devtools.detach();
  return processInfo.find(({ type }) => type === "GPU")?.id as number;
}

test("a GPU process that crashes costs a lease at most: the tab asks for the device again and goes on", async () => {
  const { coordinator, lines, page, text, sound } = await visit("&autostart=1");
  const peer = await coordinator.joined();
  await peer.next("ready");
  sendRealLease(coordinator, peer, 1);
  await peer.next("frame");
  peer.send({ type: "accepted", lease: 1, samples: 8 });
  await peer.next("ready");
  process.kill(await gpuProcess(), "SIGKILL");
  const lease = sendRealLease(coordinator, peer, 2);
  const answer = await peer.next("frame", "return");
  if (answer.type === "return") {
    expect(answer.reason).toBe("device-lost");
    await peer.next("ready");
    peer.send({ ...lease, lease: 3 });
    await peer.next("frame");
  }
  await expect.poll(() => lines.join()).toMatch(/the GPU was lost and is back/);
  await expect.poll(() => text("notice-title")).toBe("The GPU was lost and is back");
  await sound("gpu-back");
  peer.send({ type: "accepted", lease: answer.type === "return" ? 3 : 2, samples: 8 });
  await page.waitForFunction("document.querySelector('#notice').hidden");
});

test("a tab that the browser slows down in the background says so there, and still when it is seen again", async () => {
  const { coordinator, page, text, sound, errors } = await visit("&autostart=1");
  const peer = await coordinator.joined();
  await peer.next("ready");
  let lease = 0;
  const computed = async () => {
    lease++;
    sendRealLease(coordinator, peer, lease);
    await peer.next("frame");
    peer.send({ type: "accepted", lease, samples: 8 });
    await peer.next("ready");
  };
  // The first compiles.
  for (let i = 0; i < 4; i++) await computed();
  const speed = Number(await page.$eval("html", (root) => root.dataset.speed));
  const other = await browser.newPage();
  cleanups.push(() => other.close());
  await other.bringToFront();
  await page.waitForFunction("document.hidden", { polling: 100 });
  const gpu = await gpuProcess();
  const says = () => page.evaluate('document.querySelector("#background")?.textContent ?? ""') as Promise<string>;
  // As a browser that gives the tab a tenth of its time, however slow the machine is besides.
  for (let tries = 0; (await says()) === "" && tries < 20; tries++) {
    process.kill(gpu, "SIGSTOP");
    const going = setTimeout(() => process.kill(gpu, "SIGCONT"), Math.min(3000, (10 * 8000) / speed));
    await computed();
    clearTimeout(going);
  }
  expect(await says()).toMatch(
    /^The browser slows this tab down in the background: it computes at \d+ % of its speed\.$/,
  );
  await sound("background");
  await page.bringToFront();
  await page.waitForFunction('document.querySelector("#background").textContent.startsWith("In the background")');
  await sound("was-in-background");
  // A wait is shown once it lasts.
  await expect.poll(() => text("state")).toBe("Joined as w1, waiting for work");
  expect(errors).toEqual([]);
});

test("a page that is not secure says that it needs https or localhost, and offers no Start", async () => {
  const { page, enabled, text, sound } = await visit("&autostart=1", { host: "class.room" });
  await sound("not-secure");
  expect(await enabled()).toEqual([]);
  expect(await text("notice-title")).toBe("WebGPU needs a secure page");
  expect(await text("notice-text")).toMatch(/http:\/\/class\.room:\d+ is not one.*https:\/\/.*localhost/);
  expect(await page.$eval("html", (root) => [root.dataset.state, root.dataset.code])).toEqual([
    "failed",
    "WEBGPU_MISSING",
  ]);
});

test("a browser without an adapter says why and what to do", async () => {
  const { enabled, text, page, sound } = await visit("", { on: bare });
  await sound("no-adapter");
  expect(await page.$$eval("#notice-steps li", (steps) => steps.map((step) => step.textContent).join(" "))).toMatch(
    /chrome:\/\/settings\/system.*chrome:\/\/gpu/,
  );
  expect(await enabled()).toEqual([]);
  expect(await text("notice-title")).toBe("WebGPU is there, but no adapter");
  expect(await text("notice-text")).toMatch(/driver/);
  expect(await text("notice-text")).not.toMatch(/Deno/);
});

test("where the visitor chose the colours, the state and the progress are drawn with the system's", async () => {
  const { page } = await visit();
  const devtools = await page.createCDPSession();
  await devtools.send("Emulation.setEmulatedMedia", { features: [{ name: "forced-colors", value: "active" }] });
  const drawn = await page.evaluate(`[["#state", "::before"], ["#progress", null]].map(([id, part]) => {
    const style = getComputedStyle(document.querySelector(id), part);
    return [style.forcedColorAdjust, Number.parseFloat(style.borderTopWidth) > 0];
  })`);
  expect(drawn).toEqual([
    ["none", true],
    ["none", true],
  ]);
});

/** Scripts that these import before any of their own runs, and they themselves. */
async function loadedWith(scripts: readonly string[]): Promise<ReadonlySet<string>> {
  const loaded = new Set<string>();
  const due = [...scripts];
  for (let script = due.pop(); script !== undefined; script = due.pop()) {
    if (loaded.has(script)) continue;
    loaded.add(script);
    const text = await readFile(join(folder, "assets", script), "utf8");
    due.push(...[...text.matchAll(/(?:from|import) ?"\.\/([\w-]+\.js)"/g)].map(([, name]) => name));
  }
  return loaded;
}

async function packedBytes(scripts: Iterable<string>): Promise<number> {
  const sizes = [...scripts].map(async (script) => (await stat(join(folder, "assets", `${script}.gz`))).size);
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

test("scripts are small: what is loaded before Start, and what a run of pixels loads in all", async () => {
  const html = await readFile(join(folder, "index.html"), "utf8");
  const named = (pattern: RegExp) => [...html.matchAll(pattern)].map(([, name]) => name);
  const first = named(/<script[^>]* src="[^"]*\/([\w-]+\.js)"/g);
  expect(first).toHaveLength(1);
  const before = await loadedWith(first);
  // The browser need not read one to know of the next.
  expect([...first, ...named(/<link rel="modulepreload"[^>]* href="[^"]*\/([\w-]+\.js)"/g)].sort()).toEqual(
    [...before].sort(),
  );
  expect(await packedBytes(before)).toBeLessThan(36 * 1024);
  const worker = (await readdir(join(folder, "assets"))).filter((name) => /^gpu-worker.*\.js$/.test(name));
  expect(worker).toHaveLength(1);
  expect(await packedBytes(await loadedWith([...first, ...worker]))).toBeLessThan(180 * 1024);
});
