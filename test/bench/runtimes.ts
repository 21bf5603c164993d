// Runs a benchmark in a real runtime, headless Chromium or Deno, and hands back its lines.

import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import puppeteer from "puppeteer";
import { z } from "zod";
import { chromiumArguments, findChromium } from "../../worker/platform/node/chromium.ts";
import { findDeno } from "../../worker/platform/node/deno.ts";
import { packageRoot } from "../../worker/platform/node/package-root.ts";
import { hasHardwareGpu, softwareVulkanDriver } from "../../worker/platform/node/vulkan.ts";
import type { Emit, Line } from "./line.ts";
import type { BenchmarkRequest } from "./request.ts";

const messageSchema = z.union([
  z.object({ line: z.custom<Line>() }),
  z.object({ ended: z.literal(true) }),
  z.object({ failed: z.string() }),
]);

/** Longest run of one browser or one Deno. */
const TIMEOUT_MS = 60 * 60_000;
const root = packageRoot(import.meta.url);

export async function benchInDeno(request: BenchmarkRequest, emit: Emit): Promise<void> {
  const named = process.env.VK_ICD_FILENAMES !== undefined;
  const driver = named || hasHardwareGpu() ? undefined : softwareVulkanDriver();
  const main = path.join(root, "dist/test/bench/deno.js");
  const flags = ["run", "--quiet", "--no-prompt", "--no-lock", "--cached-only", "--allow-read", "--ignore-env"];
  const child = spawn(findDeno(), [...flags, main, JSON.stringify(request)], {
    cwd: root,
    env: { ...process.env, ...(driver && { VK_ICD_FILENAMES: driver }) },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: TIMEOUT_MS,
  });
  let errors = "";
  child.stderr.on("data", (chunk) => {
    errors = (errors + chunk).slice(-2000);
  });
  const closed = new Promise<number | null>((resolve, reject) => {
    child.once("close", resolve);
    child.once("error", reject);
  });
  for await (const text of createInterface({ input: child.stdout })) await emit(JSON.parse(text) as Line);
  const code = await closed;
  if (code !== 0) throw new Error(`Deno ended with code ${code}: ${errors.trim()}`);
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

const contentTypes: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript" };

async function servePage(pathname: string, response: ServerResponse): Promise<void> {
  const file = path.join(root, "dist/bench-page", pathname === "/" ? "index.html" : path.normalize(pathname));
  response.setHeader("content-type", contentTypes[path.extname(file)] ?? "application/octet-stream");
  response.end(await readFile(file));
}

/** @param extraArguments of Chromium's command line, beside those that volunteers' tabs are launched with */
export async function benchInBrowser(
  request: BenchmarkRequest,
  emit: Emit,
  extraArguments: readonly string[] = [],
): Promise<void> {
  const { promise: finished, resolve, reject } = deferred();
  const server = createServer(async (incoming, response) => {
    // Cross-origin isolation: performance.now() ticks every 5 µs instead of 100.
    response.setHeader("cross-origin-opener-policy", "same-origin");
    response.setHeader("cross-origin-embedder-policy", "require-corp");
    try {
      const { pathname } = new URL(incoming.url ?? "/", "http://localhost");
      if (pathname === "/request") {
        response.end(JSON.stringify(request));
      } else if (pathname === "/messages") {
        const message = messageSchema.parse(JSON.parse(await bodyOf(incoming)));
        if ("ended" in message) resolve();
        else if ("failed" in message) reject(new Error(`the browser failed: ${message.failed}`));
        else await emit(message.line);
        response.end();
      } else {
        await servePage(pathname, response);
      }
    } catch (error) {
      response.statusCode = 404;
      response.end(String(error));
    }
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const browser = await puppeteer.launch({
    executablePath: findChromium(),
    args: [...chromiumArguments({ software: !hasHardwareGpu(), headless: true }), ...extraArguments],
    pipe: true,
    // The DevTools protocol is to watch nothing that is timed.
    networkEnabled: false,
  });
  const late = () => reject(new Error(`the browser did not finish within ${TIMEOUT_MS / 60_000} minutes`));
  const timer = setTimeout(late, TIMEOUT_MS);
  try {
    browser.once("disconnected", () => reject(new Error("the browser went away")));
    const tab = await browser.newPage();
    tab.on("pageerror", (error) => reject(error as Error));
    await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await finished;
  } finally {
    clearTimeout(timer);
    await browser.close();
    server.closeAllConnections();
    server.close();
  }
}

function deferred() {
  let resolve = () => {};
  let reject = (_: Error) => {};
  const promise = new Promise<void>((fulfil, refuse) => {
    resolve = fulfil;
    reject = refuse;
  });
  // Rejected before anybody waits, it is still reported by who does.
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}
