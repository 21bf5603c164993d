// Runs oracle files in a real runtime, Deno or headless Chromium, and hands back its reports.

import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { createInterface } from "node:readline";
import puppeteer from "puppeteer";
import { z } from "zod";
import { chromiumArguments, findChromium } from "../../worker/platform/node/chromium.ts";
import { findDeno } from "../../worker/platform/node/deno.ts";
import { packageRoot } from "../../worker/platform/node/package-root.ts";
import { hasHardwareGpu, softwareVulkanDriver } from "../../worker/platform/node/vulkan.ts";
import type { ForcedTilings } from "./forced-tilings.ts";
import type { CaseReport } from "./verify-case.ts";

export type Runtime = "deno" | "browser";

const messageSchema = z.union([
  z.object({ adapter: z.object({ vendor: z.string(), architecture: z.string(), description: z.string() }) }),
  z.object({
    file: z.string(),
    op: z.string(),
    tilings: z.string(),
    comparisons: z.array(z.custom<CaseReport["comparisons"][number]>()),
    error: z.string().optional(),
  }),
  z.object({ ended: z.literal(true) }),
  z.object({ failed: z.string() }),
]);
export type Message = z.output<typeof messageSchema>;

/** Longest run of one runtime over all files. */
const TIMEOUT_MS: Readonly<Record<ForcedTilings, number>> = { default: 15 * 60_000, all: 120 * 60_000 };
const root = packageRoot(import.meta.url);

export interface RunOptions {
  readonly tilings: ForcedTilings;
  /** The browser does not clamp indices, as the headless one of the launcher. */
  readonly unclamped?: boolean;
}

type OnMessage = (message: Message) => void;

export async function runIn(
  runtime: Runtime,
  files: readonly string[],
  options: RunOptions,
  onMessage: OnMessage,
): Promise<void> {
  await (runtime === "deno" ? runInDeno : runInBrowser)(files, options, onMessage);
}

async function runInDeno(files: readonly string[], { tilings }: RunOptions, onMessage: OnMessage): Promise<void> {
  const named = process.env.VK_ICD_FILENAMES !== undefined;
  const driver = named || hasHardwareGpu() ? undefined : softwareVulkanDriver();
  const main = path.join(root, "dist/test/verify/deno.js");
  const child = spawn(
    findDeno(),
    [
      "run",
      "--quiet",
      "--no-prompt",
      "--no-lock",
      "--cached-only",
      "--allow-read",
      "--ignore-env",
      main,
      tilings,
      ...files,
    ],
    {
      cwd: root,
      env: { ...process.env, ...(driver && { VK_ICD_FILENAMES: driver }) },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: TIMEOUT_MS[tilings],
    },
  );
  let errors = "";
  child.stderr.on("data", (chunk) => {
    errors = (errors + chunk).slice(-2000);
  });
  const closed = new Promise<number | null>((resolve, reject) => {
    child.once("close", resolve);
    child.once("error", reject);
  });
  for await (const line of createInterface({ input: child.stdout })) onMessage(messageSchema.parse(JSON.parse(line)));
  const code = await closed;
  if (code !== 0) throw new Error(`Deno ended with code ${code}: ${errors.trim()}`);
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}

const contentTypes: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript" };

async function runInBrowser(files: readonly string[], options: RunOptions, onMessage: OnMessage): Promise<void> {
  const { tilings, unclamped = false } = options;
  const byName = new Map(files.map((file) => [path.basename(file), file]));
  const page = path.join(root, "dist/verify-page");
  let resolve = () => {};
  let reject = (_: Error) => {};
  const finished = new Promise<void>((fulfil, refuse) => {
    resolve = fulfil;
    reject = refuse;
  });
  const server = createServer(async (request, response) => {
    try {
      const { pathname } = new URL(request.url ?? "/", "http://localhost");
      if (pathname === "/reports") {
        const message = messageSchema.parse(JSON.parse(await bodyOf(request)));
        if ("ended" in message) resolve();
        else if ("failed" in message) reject(new Error(`the browser failed: ${message.failed}`));
        else onMessage(message);
        response.end();
      } else if (pathname === "/cases") {
        response.end(JSON.stringify([...byName.keys()]));
      } else if (pathname.startsWith("/cases/")) {
        response.end(await readFile(byName.get(decodeURIComponent(pathname.slice("/cases/".length))) ?? ""));
      } else {
        const file = path.join(page, pathname === "/" ? "index.html" : path.normalize(pathname));
        response.setHeader("content-type", contentTypes[path.extname(file)] ?? "application/octet-stream");
        response.end(await readFile(file));
      }
    } catch (error) {
      response.statusCode = 404;
      response.end(String(error));
    }
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const browser = await puppeteer.launch({
    executablePath: findChromium(),
    args: chromiumArguments({ software: !hasHardwareGpu(), headless: true, unclamped }),
    pipe: true,
  });
  const timer = setTimeout(
    () => reject(new Error(`the browser did not finish within ${TIMEOUT_MS[tilings] / 1000} s`)),
    TIMEOUT_MS[tilings],
  );
  try {
    browser.once("disconnected", () => reject(new Error("the browser went away")));
    const tab = await browser.newPage();
    tab.on("pageerror", (error) => reject(error as Error));
    await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/?tilings=${tilings}`);
    await finished;
  } finally {
    clearTimeout(timer);
    await browser.close();
    server.closeAllConnections();
    server.close();
  }
}
