// Looks at this machine for `bitswarm doctor`: its GPU's driver, Deno and Chromium, what WebGPU gives in each, and the
// folders that workers write to. Only looks: what it makes of that is in doctor/machine.ts.

import { execFile } from "node:child_process";
import {
  accessSync,
  constants,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { z } from "zod";
import { SharedBrowser } from "./browser.ts";
import { findChromium } from "./chromium.ts";
import { findDeno } from "./deno.ts";
import { denoEnvironment } from "./deno-workers.ts";
import type { AdapterFact, DriverFact, FolderFact, GpuNode, ProgramFact, RuntimeName } from "./doctor/machine.ts";
import { builtFolder, packageRoot } from "./package-root.ts";
import { contentFolder, keysFolder, tuningsFolder } from "./tunings-folder.ts";
import { hasHardwareGpu, softwareVulkanDriver } from "./vulkan.ts";

/** From the start of a runtime to its kernel's answer; a busy machine compiles slowly. */
const ADAPTER_MS = 120_000;
const VERSION_MS = 20_000;
const LOOK_MS = 100;
const MOST_SHOWN = 300;

const run = promisify(execFile);

const vendors: Readonly<Record<string, string>> = { "0x1002": "AMD", "0x8086": "Intel", "0x10de": "NVIDIA" };

const lineOf = (error: unknown) =>
  (error instanceof Error ? error.message : String(error)).split("\n")[0].slice(0, MOST_SHOWN);

/** GPUs that the system shows as devices; none where it is not Linux. */
function gpuNodes(): GpuNode[] {
  const listed = attempt(() => readdirSync("/dev/dri"), []).filter((name) => name.startsWith("renderD"));
  return listed.flatMap((name) => {
    const file = path.join("/dev/dri", name);
    const id = attempt(() => readFileSync(`/sys/class/drm/${name}/device/vendor`, "utf8").trim(), "");
    // Of a virtual machine's screen, or a board's own: no vendor of GPUs that are added.
    if (id !== "" && vendors[id] === undefined) return [];
    const open = attempt(() => accessSync(file, constants.R_OK | constants.W_OK) === undefined, false);
    return [{ path: file, vendor: vendors[id] ?? "this board", open }];
  });
}

function attempt<T>(look: () => T, otherwise: T): T {
  try {
    return look();
  } catch {
    return otherwise;
  }
}

export function lookAtDriver(): DriverFact {
  return {
    platform: process.platform,
    hardware: hasHardwareGpu(),
    nodes: gpuNodes(),
    software: softwareVulkanDriver(),
  };
}

/** The program of a runtime, and what it says that it is. */
export async function lookAtRuntime(runtime: RuntimeName): Promise<ProgramFact> {
  try {
    const program = runtime === "deno" ? findDeno() : findChromium();
    const flags = runtime === "deno" ? ["--version"] : ["--version", "--no-sandbox"];
    const { stdout } = await run(program, flags, { timeout: VERSION_MS });
    return { kind: "found", version: `${stdout.split("\n")[0].trim()}, ${program}` };
  } catch (error) {
    return { kind: "missing", message: lineOf(error) };
  }
}

const reportSchema = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("adapter"),
    description: z.string().transform((text) => text.slice(0, MOST_SHOWN)),
    software: z.boolean(),
    right: z.boolean(),
    limits: z.record(z.string(), z.number()),
    features: z.array(z.string()),
  }),
  z.object({ kind: z.literal("failed"), code: z.string(), message: z.string() }),
]);

/** What WebGPU gives in a runtime that is there. */
export async function lookAtAdapter(runtime: RuntimeName): Promise<AdapterFact> {
  try {
    return await (runtime === "deno" ? denoAdapter() : browserAdapter());
  } catch (error) {
    return { kind: "failed", code: "RUNTIME_MISSING", message: lineOf(error) };
  }
}

/** As a Deno worker starts, less the network and the folders. */
async function denoAdapter(): Promise<AdapterFact> {
  const root = packageRoot();
  const main = path.join(builtFolder(), "worker", "platform", "deno", "adapter.js");
  const flags = ["run", "--quiet", "--no-prompt", "--no-lock", "--cached-only", `--allow-read=${root}`, "--ignore-env"];
  const options = { timeout: ADAPTER_MS, killSignal: "SIGKILL", env: denoEnvironment(!hasHardwareGpu()) } as const;
  try {
    const { stdout } = await run(findDeno(), [...flags, main], options);
    return reportSchema.parse(JSON.parse(stdout));
  } catch (error) {
    if ((error as { readonly killed?: boolean }).killed === true) return { kind: "silent", ms: ADAPTER_MS };
    throw error;
  }
}

/** Files that the page of the report loads: our own, and those of the one package that they need. */
async function reportPage(): Promise<{ readonly url: string; close(): void }> {
  const ours = builtFolder();
  // The package's own files have it in them.
  const hashes = attempt(() => path.dirname(createRequire(import.meta.url).resolve("@noble/hashes/sha2.js")), ours);
  const map = JSON.stringify({ imports: { "@noble/hashes/": "/hashes/" } });
  const script = `import { adapterReport } from "/ours/worker/platform/adapter-report.js";
document.documentElement.dataset.report = JSON.stringify(await adapterReport(globalThis, "browser"));`;
  const html = `<!doctype html><title>bitswarm</title><script type="importmap">${map}</script><script type="module">${script}</script>`;
  const server = createServer((request, response) => {
    const [, folder, name] = /^\/(ours|hashes)\/([\w/.-]+\.js)$/.exec(request.url ?? "") ?? [];
    const file = name === undefined ? undefined : path.join(folder === "ours" ? ours : hashes, path.normalize(name));
    const body = file === undefined ? html : attempt(() => readFileSync(file), undefined);
    const type = file === undefined ? "text/html" : "text/javascript";
    response.writeHead(body === undefined ? 404 : 200, { "content-type": type }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function browserAdapter(): Promise<AdapterFact> {
  const software = !hasHardwareGpu();
  const browser = new SharedBrowser({ program: findChromium(), headless: true, software });
  const server = await reportPage();
  try {
    const page = await browser.newPage(await browser.open());
    await page.goto(server.url, { waitUntil: "domcontentloaded" });
    for (let waited = 0; waited < ADAPTER_MS; waited += LOOK_MS) {
      const report: unknown = await page.evaluate("document.documentElement.dataset.report");
      if (typeof report === "string") return reportSchema.parse(JSON.parse(report));
      await sleep(LOOK_MS);
    }
    return { kind: "silent", ms: ADAPTER_MS };
  } finally {
    server.close();
    await browser.close();
  }
}

/** Where Deno workers keep things, and where a browser's profile lies. */
export function lookAtFolders(): FolderFact[] {
  const cache = path.dirname(contentFolder());
  const kept = [tuningsFolder(), keysFolder(), contentFolder()].map((folder) => lookAtFolder(folder));
  const refused = kept.find(({ kind }) => kind === "refused");
  const own: FolderFact = refused ?? { ...kept[0], folder: cache };
  return [own, lookAtFolder(tmpdir())];
}

function lookAtFolder(folder: string): FolderFact {
  try {
    if (folder.includes(",")) throw new Error("Deno takes the comma in its name for the end of it");
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const probe = path.join(folder, `.doctor-${process.pid}`);
    writeFileSync(probe, "");
    rmSync(probe);
    const { bsize, bavail } = statfsSync(folder);
    return { kind: "writable", folder, freeBytes: bsize * bavail };
  } catch (error) {
    return { kind: "refused", folder, why: lineOf(error) };
  }
}
