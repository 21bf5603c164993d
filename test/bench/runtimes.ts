// Runs a benchmark in a real runtime, headless Chromium or Deno, and hands back its lines.

import { z } from "zod";
import { chromiumArguments } from "../../worker/platform/node/chromium.ts";
import { hasHardwareGpu } from "../../worker/platform/node/vulkan.ts";
import { runInBrowser, runInDeno } from "../fixtures/in-runtime.ts";
import type { Emit, Line } from "./line.ts";
import type { BenchmarkRequest } from "./request.ts";

/** Longest run of one browser or one Deno. */
const TIMEOUT_MS = 60 * 60_000;
const lineSchema = z.custom<Line>();

function runOf(emit: Emit) {
  return { timeoutMs: TIMEOUT_MS, onMessage: (message: unknown) => emit(lineSchema.parse(message)) };
}

export async function benchInDeno(request: BenchmarkRequest, emit: Emit): Promise<void> {
  await runInDeno({ ...runOf(emit), program: "test/bench/deno.js", args: [JSON.stringify(request)] });
}

/** @param extraArguments of Chromium's command line, beside those that volunteers' tabs are launched with */
export async function benchInBrowser(
  request: BenchmarkRequest,
  emit: Emit,
  extraArguments: readonly string[] = [],
): Promise<void> {
  await runInBrowser({
    ...runOf(emit),
    page: "bench-page",
    args: [...chromiumArguments({ software: !hasHardwareGpu(), headless: true }), ...extraArguments],
    answer: async (pathname) => (pathname === "/request" ? JSON.stringify(request) : undefined),
  });
}
