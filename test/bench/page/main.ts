// Runs a benchmark in a browser: everything timed is timed in here, and lines are posted between measurements.

import { findGpu } from "../../../worker/device.ts";
import { runBenchmark } from "../benchmark.ts";
import { benchPeers } from "../peers.ts";
import { requestSchema } from "../request.ts";

async function post(message: unknown): Promise<void> {
  await fetch("/messages", { method: "POST", body: JSON.stringify(message) });
}

try {
  const request = requestSchema.parse(await (await fetch("/request")).json());
  const runtime = navigator.userAgent.match(/(?:Chrome|Firefox|Version)\/[\d.]+/)?.[0] ?? navigator.userAgent;
  const around = { gpu: findGpu(globalThis), runtime, rest: () => {}, peers: benchPeers };
  await runBenchmark(request, around, post);
  await post({ ended: true });
} catch (error) {
  await post({ failed: error instanceof Error ? (error.stack ?? error.message) : String(error) });
}
