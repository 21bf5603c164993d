// Runs oracle files in a real runtime, Deno or headless Chromium, and hands back its reports.

import { readFile } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { chromiumArguments } from "../../worker/platform/node/chromium.ts";
import { hasHardwareGpu } from "../../worker/platform/node/vulkan.ts";
import { runInBrowser, runInDeno } from "../fixtures/in-runtime.ts";
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
    notSupported: z.string().optional(),
  }),
]);
export type Message = z.output<typeof messageSchema>;

/** Longest run of one runtime over all files. */
const TIMEOUT_MS: Readonly<Record<ForcedTilings, number>> = { default: 15 * 60_000, all: 120 * 60_000 };

export interface RunOptions {
  readonly tilings: ForcedTilings;
  /** The browser does not clamp indices, as the headless one of the launcher. */
  readonly unclamped?: boolean;
}

export async function runIn(
  runtime: Runtime,
  files: readonly string[],
  { tilings, unclamped = false }: RunOptions,
  onMessage: (message: Message) => void,
): Promise<void> {
  const run = {
    timeoutMs: TIMEOUT_MS[tilings],
    onMessage: (message: unknown) => onMessage(messageSchema.parse(message)),
  };
  if (runtime === "deno") {
    await runInDeno({ ...run, program: "test/verify/deno.js", args: [tilings, ...files] });
    return;
  }
  const byName = new Map(files.map((file) => [path.basename(file), file]));
  await runInBrowser({
    ...run,
    page: "verify-page",
    args: chromiumArguments({ software: !hasHardwareGpu(), headless: true, unclamped }),
    answer: async (pathname) => {
      if (pathname === "/request") return JSON.stringify({ tilings, names: [...byName.keys()] });
      const file = byName.get(decodeURIComponent(path.basename(pathname)));
      return file && pathname.startsWith("/cases/") ? readFile(file) : undefined;
    },
  });
}

/** The report of each of these case files, by its path as the runtime has it. */
export async function reportsOf(runtime: Runtime, files: readonly string[]): Promise<ReadonlyMap<string, CaseReport>> {
  const reports = new Map<string, CaseReport>();
  await runIn(runtime, files, { tilings: "default" }, (message) => {
    if ("file" in message) reports.set(message.file, message);
  });
  return reports;
}
