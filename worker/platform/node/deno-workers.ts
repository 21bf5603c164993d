// Runs workers as Deno processes, one each, which end with this process however it ends.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { decoderBeside, denoArguments, findDeno } from "./deno.ts";
import { builtFolder, packageRoot } from "./package-root.ts";
import { parseRunUrl } from "./run-url.ts";
import { shardsHost } from "./shards-host.ts";
import {
  type LaunchedWorkers,
  sayOf,
  superviseWorkers,
  type WorkerEnd,
  type WorkersOptions,
  workerName,
} from "./supervise.ts";
import {
  contentFolder,
  keysFolder,
  prepareContent,
  prepareKeys,
  prepareTunings,
  tuningsFolder,
} from "./tunings-folder.ts";
import { hasHardwareGpu, softwareVulkanDriver } from "./vulkan.ts";
import { reportInLine } from "./worker-report.ts";

export interface DenoWorkersOptions extends WorkersOptions {
  /** The module to run in place of our own worker. */
  readonly main?: string;
}

const killAfterMs = 3000;
/** How long a process may live on that has said that its worker has ended: a driver may hang while it is unloaded. */
const LAST_MS = 10_000;

/**
 * Starts `count` Deno workers. Each gets the arguments `- --parent-watch [--no-tune] [--tunings FOLDER] [--keys FOLDER]
 * [--content FOLDER [--cache-mib N]] [--throttle SHARE] [--name NAME]` and the link as the one line of its standard
 * input, whose end tells the worker that this process is gone.
 * @throws BitswarmError CONFIG_INVALID, TOKEN_INVALID, RUNTIME_MISSING
 */
export async function launchDenoWorkers(options: DenoWorkersOptions): Promise<LaunchedWorkers> {
  const url = parseRunUrl(options.url);
  const program = findDeno();
  const main = options.main ?? ownMain();
  const tune = options.tune ?? true;
  const tunings = tune ? prepareTunings(tuningsFolder(), (text) => options.onLine?.(`[deno] ${text}`)) : undefined;
  const keys = prepareKeys(keysFolder(), (text) => options.onLine?.(`[deno] ${text}`));
  const content = prepareContent(contentFolder(), (text) => options.onLine?.(`[deno] ${text}`));
  const ours = { packageRoot: packageRoot(), decoder: decoderBeside(packageRoot()) };
  const flagsFor = (dataHosts: readonly string[]) =>
    denoArguments({ host: url.host, dataHosts, ...ours, tunings, keys, content });
  const { dataHosts = [] } = options;
  // Said now where a folder cannot be told to Deno.
  flagsFor(dataHosts);
  const tuning = tune ? [] : ["--no-tune"];
  if (tunings !== undefined) tuning.push("--tunings", tunings);
  const identity = keys === undefined ? [] : ["--keys", keys];
  const storing = content === undefined ? [] : ["--content", content];
  if (content !== undefined && options.cacheMiB !== undefined) storing.push("--cache-mib", `${options.cacheMiB}`);
  const throttle = options.share === undefined ? [] : ["--throttle", `${options.share}`];
  const pids = new Map<number, number>();
  let software = options.software ?? !hasHardwareGpu();
  denoEnvironment(software);

  async function runWorker(slot: number, signal: AbortSignal, finish: AbortSignal): Promise<WorkerEnd> {
    if (signal.aborted) return { kind: "stopped" };
    const say = (text: string) => sayOf(options, "deno", slot, text);
    const name = workerName(options, slot);
    const nameArguments = name === undefined ? [] : ["--name", name];
    const onSoftware = software;
    const shards = await shardsHost(url);
    if (signal.aborted) return { kind: "stopped" };
    const flags = flagsFor(shards === undefined ? dataHosts : [...dataHosts, shards]);
    const child = spawn(
      program,
      [...flags, main, "-", "--parent-watch", ...tuning, ...identity, ...storing, ...throttle, ...nameArguments],
      {
        stdio: ["pipe", "pipe", "pipe"],
        env: denoEnvironment(onSoftware),
        // A group of its own: Ctrl-C in a terminal reaches this process alone, which then stops its workers in order.
        detached: process.platform !== "win32",
        windowsHide: true,
      },
    );
    // Without a listener, a child that dies at once would take this process with it (EPIPE).
    child.stdin.on("error", () => undefined);
    // The link holds the token, and every user of this machine can read command lines.
    child.stdin.write(`${url.href}\n`);
    const gone = once(child, "close");
    gone.catch(() => undefined);
    if (child.pid !== undefined) pids.set(slot, child.pid);

    let killTimer: NodeJS.Timeout | undefined;
    const killAfter = (ms: number) => {
      clearTimeout(killTimer);
      killTimer = setTimeout(() => child.kill("SIGKILL"), ms);
    };
    let lastLine = "";
    let ended = false;
    let failure: BitswarmError | undefined;
    createInterface({ input: child.stderr }).on("line", (line) => {
      lastLine = line;
      say(line);
    });
    createInterface({ input: child.stdout }).on("line", (line) => {
      const report = reportInLine(line);
      if (report === undefined) say(line);
      else if (report.kind === "failed") failure = report.error;
      else if (report.kind === "ended") {
        ended = true;
        killAfter(LAST_MS);
      } else if (report.kind === "given") options.onEvent?.({ event: "given", runtime: "deno", slot, ...report.given });
      else options.onEvent?.({ event: "joined", runtime: "deno", slot, worker: report.worker });
    });

    const end = () => {
      child.kill("SIGTERM");
      killAfter(killAfterMs);
    };
    signal.addEventListener("abort", end, { once: true });
    // One that has not come so far as to listen ends of it, and holds nothing.
    const answerAndLeave = () => child.kill("SIGUSR1");
    finish.addEventListener("abort", answerAndLeave, { once: true });
    if (finish.aborted) answerAndLeave();
    try {
      const [exitCode, exitSignal] = await gone;
      if (signal.aborted) return { kind: "stopped" };
      if (failure?.code === "WEBGPU_MISSING" && !onSoftware && softwareVulkanDriver()) {
        software = true;
        return {
          kind: "died",
          code: "WEBGPU_MISSING",
          reason: "the GPU's driver gives no adapter, a software driver will",
        };
      }
      if (failure) return { kind: "failed", error: failure };
      // A driver may still crash while it is unloaded: the work was done by then.
      if (ended || exitCode === 0) return { kind: "ended" };
      const how = exitSignal ? `was killed by ${exitSignal}` : `ended with exit code ${exitCode}`;
      return { kind: "died", code: "COMPUTE_FAILED", reason: `its process ${how}${lastLine && ` (${lastLine})`}` };
    } catch (cause) {
      return {
        kind: "failed",
        error: new BitswarmError("RUNTIME_MISSING", `cannot start ${program}: ${cause}`, { cause }),
      };
    } finally {
      clearTimeout(killTimer);
      signal.removeEventListener("abort", end);
      finish.removeEventListener("abort", answerAndLeave);
      pids.delete(slot);
    }
  }

  const supervised = superviseWorkers({ runtime: "deno", options, runWorker, release: async () => undefined });
  return {
    ...supervised,
    get pids() {
      return [...pids.values()];
    },
  };
}

/** What the person has set about Vulkan stays; elsewhere a machine without a GPU is pointed at its software driver. */
export function denoEnvironment(software: boolean): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env, NO_COLOR: "1" };
  // wgpu complains on every start where this is unset.
  env.XDG_RUNTIME_DIR ??= tmpdir();
  if (!software || env.VK_ICD_FILENAMES || env.VK_DRIVER_FILES) return env;
  const driver = softwareVulkanDriver();
  if (driver === undefined) {
    throw new BitswarmError(
      "RUNTIME_MISSING",
      "no Vulkan driver, neither for a GPU nor in software: npm run setup, or npx bitswarm setup, tells what to install (mesa-vulkan-drivers on Debian)",
    );
  }
  return { ...env, VK_ICD_FILENAMES: driver };
}

/** The worker's module: built where this file is, else as it was written, which Deno runs too. */
function ownMain(): string {
  const written = path.extname(import.meta.url) === ".ts";
  const main = path.join(
    written ? packageRoot() : builtFolder(),
    "worker",
    "platform",
    "deno",
    written ? "main.ts" : "main.js",
  );
  if (existsSync(main)) return main;
  throw new BitswarmError("RUNTIME_MISSING", `the Deno worker ${main} is not there: run \`npm run build\``);
}
