// The volunteer page in a real browser: what it shows, what its buttons do, and what it says where WebGPU is missing.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import puppeteer, { type Browser, type Page } from "puppeteer";
import { build } from "vite";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { contentSecurityPolicy } from "../../coordinator/server/http-app.ts";
import { readPageFiles } from "../../coordinator/server/page-files.ts";
import { classification } from "../../shared/tasks/classification.ts";
import { shownScore } from "../../shared/tasks/task.ts";
import { decodeFrame } from "../../shared/wire/frame.ts";
import { chromiumArguments, findChromium } from "../../worker/platform/node/chromium.ts";
import { hasHardwareGpu } from "../../worker/platform/node/vulkan.ts";
import { tuningTableSchema } from "../../worker/tuning/tuning-table.ts";
import { sendRealLease } from "./session/real-lease.ts";
import { ScriptedCoordinator } from "./session/scripted-coordinator.ts";
import { scriptedStatus } from "./session/scripted-run.ts";

const configFile = fileURLToPath(new URL("../../worker/web/vite.config.ts", import.meta.url));
/** What the coordinator sends with everything; the page must not even try what it forbids. */
let policy = "";
const contentTypes: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
};

let folder = "";
let browser: Browser;
/** A browser whose flags give it no adapter. */
let bare: Browser;

async function launch(args: string[]): Promise<Browser> {
  return puppeteer.launch({ executablePath: findChromium(), args, pipe: true });
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "bitswarm-page-"));
  await build({ configFile, logLevel: "error", build: { outDir: folder } });
  policy = contentSecurityPolicy((await readPageFiles(folder)).get("index.html"));
  const flags = chromiumArguments({ software: !hasHardwareGpu(), headless: true });
  browser = await launch([...flags, "--host-resolver-rules=MAP class.room 127.0.0.1"]);
  const webgpuFlags = /webgpu|SwiftShader/i;
  bare = await launch([...flags.filter((flag) => !webgpuFlags.test(flag)), "--disable-gpu"]);
});

afterAll(async () => {
  await browser?.close();
  await bare?.close();
  await rm(folder, { recursive: true, force: true });
});

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** Serves the built page and the run's status, as a coordinator does. */
async function servePage(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://localhost");
  if (url.pathname === "/status") {
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(scriptedStatus()));
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
}

async function visit(query = "", { host = "127.0.0.1", on = browser, tune = false } = {}): Promise<Visit> {
  const coordinator = await ScriptedCoordinator.start({
    page: (request, response) => void servePage(request, response),
    status: scriptedStatus(),
  });
  cleanups.push(() => coordinator.close());
  const page = await on.newPage();
  cleanups.push(async () => page.isClosed() || page.close());
  const errors: string[] = [];
  const lines: string[] = [];
  page.on("console", (message) => message.type() === "info" && lines.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => message.type() !== "info" && errors.push(`${message.type()}: ${message.text()}`));
  page.on("issue", (issue) => errors.push(JSON.stringify(issue)));
  const tuning = tune ? "" : "&tune=0";
  await page.goto(coordinator.url.replace("127.0.0.1", host) + query + tuning);
  const visit: Visit = {
    coordinator,
    page,
    errors,
    lines,
    text: (id) => page.$eval(`#${id}`, (node) => node.textContent ?? ""),
    enabled: () => page.$$eval("button:enabled", (nodes) => nodes.map((node) => node.textContent ?? "")),
    state: async (wanted) => {
      await page.waitForFunction(`document.documentElement.dataset.state === ${JSON.stringify(wanted)}`, {
        timeout: 8000,
      });
    },
  };
  await page.waitForFunction("document.querySelector('#state').textContent !== 'Loading…'");
  return visit;
}

test("before Start the page shows the run and offers Start alone", async () => {
  const { page, text, enabled, errors } = await visit();
  await page.waitForFunction("document.querySelector('#step').textContent.startsWith('131')");
  expect(await text("run-name")).toBe("scripted run");
  expect(await text("step")).toBe("131 of 480");
  expect(await text("score-student")).toBe("76.5 %");
  expect(await text("eta")).toBe("3 min 35 s");
  expect(await enabled()).toEqual(["Start"]);
  expect(errors).toEqual([]);
});

test("Start joins, computes real leases in the Web Worker, shows them, and ends with the run", async () => {
  const { coordinator, page, text, enabled, state, errors } = await visit();
  await page.click("#start");
  const peer = await coordinator.joined();
  await peer.next("ready");
  await state("waiting");
  expect(await enabled()).toEqual(["Pause", "Leave"]);
  sendRealLease(coordinator, peer, 1);
  const { header } = decodeFrame((await peer.next("frame")).bytes, 10_000);
  expect(header).toMatchObject({ kind: "contribution", lease: 1, samples: 8 });
  expect(await text("doing")).toBe("Testing the 1-bit network on held-out images: samples 0 to 8");
  peer.send({ type: "accepted", lease: 1, samples: 8 });
  peer.send({ type: "status", status: scriptedStatus({ step: 132 }) });
  await peer.next("ready");
  await page.waitForFunction("document.querySelector('#step').textContent.startsWith('132')");
  expect(await text("samples")).toBe("8");
  expect(Number(await text("speed"))).toBeGreaterThan(0);
  expect(await text("adapter")).not.toBe("");
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
  expect(lines.join("\n")).toMatch(/tuning kernels for this GPU.*\n.*tuned \d+ convolution pass/);
  await page.reload();
  const [second, ...others] = await tables();
  expect(others).toEqual([]);
  expect(second).toEqual(expect.arrayContaining(first));
  // So does the worker's key: the next visit is the same account.
  expect(keys[1]).toBe(keys[0]);
  expect(errors).toEqual([]);
});

test("Start, Pause, Resume and Leave work by keyboard, and the focus goes on to what can be pressed next", async () => {
  const { coordinator, page, enabled, state } = await visit("&name=keys");
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
  expect(await enabled()).toEqual(["Resume", "Leave"]);
  await page.keyboard.press("Space");
  await peer.next("ready");
  await page.focus("#leave");
  await page.keyboard.press("Enter");
  await peer.next("leave");
  await state("ended");
  expect(await enabled()).toEqual(["Start again"]);
  expect(await focused()).toBe("start");
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
  const { coordinator, page, state, text, enabled } = await visit("&autostart=1");
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
});

test("a coordinator that dies while a fresh tab tunes: the tab says that, counts down, and tries at once when told", async () => {
  const { coordinator, page, state, text } = await visit("&autostart=1", { tune: true });
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
  // Until attempts are far apart: what the tab had begun is over by then.
  await page.waitForFunction("/in ([5-9]|[12][0-9]|30) s/.test(document.querySelector('#doing').textContent)", {
    timeout: 60_000,
  });
  const seconds = async () => Number(/\d+/.exec(await text("doing")));
  const first = await seconds();
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
  const { coordinator, state, text } = await visit("&autostart=1");
  const peer = await coordinator.joined();
  await peer.next("ready");
  peer.terminate();
  await state("reconnecting");
  expect(await text("notice-title")).toBe("The connection was lost");
  await (await coordinator.joined()).next("ready");
  await state("waiting");
});

test("a GPU process that crashes costs a lease at most: the tab asks for the device again and goes on", async () => {
  const { coordinator, lines, page, text } = await visit("&autostart=1");
  const peer = await coordinator.joined();
  await peer.next("ready");
  sendRealLease(coordinator, peer, 1);
  await peer.next("frame");
  peer.send({ type: "accepted", lease: 1, samples: 8 });
  await peer.next("ready");
  const devtools = await browser.target().createCDPSession();
  const { processInfo } = await devtools.send("SystemInfo.getProcessInfo");
  await devtools.detach();
  process.kill(processInfo.find(({ type }) => type === "GPU")?.id as number, "SIGKILL");
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
  peer.send({ type: "accepted", lease: answer.type === "return" ? 3 : 2, samples: 8 });
  await page.waitForFunction("document.querySelector('#notice').hidden");
});

test("a page that is not secure says that it needs https or localhost, and offers no Start", async () => {
  const { page, enabled, text } = await visit("&autostart=1", { host: "class.room" });
  expect(await enabled()).toEqual([]);
  expect(await text("notice-title")).toBe("WebGPU needs a secure page");
  expect(await text("notice-text")).toMatch(/http:\/\/class\.room:\d+ is not one.*https:\/\/.*localhost/);
  expect(await page.$eval("html", (root) => [root.dataset.state, root.dataset.code])).toEqual([
    "failed",
    "WEBGPU_MISSING",
  ]);
});

test("a browser without an adapter says why and what to do", async () => {
  const { enabled, text } = await visit("", { on: bare });
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

test("the page fits a phone", async () => {
  const { page } = await visit();
  await page.setViewport({ width: 360, height: 740 });
  expect(await page.evaluate("document.documentElement.scrollWidth")).toBe(360);
});

test("what a visit loads before Start is small: the page checks what it reads without the whole of the protocol", async () => {
  const html = await readFile(join(folder, "index.html"), "utf8");
  const scripts = [...html.matchAll(/<script[^>]* src="([^"]+)"/g)].map(([, src]) => join(folder, src));
  expect(scripts).toHaveLength(1);
  expect((await readFile(scripts[0])).length).toBeLessThan(64 * 1024);
});
