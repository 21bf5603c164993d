// Verifies oracle files in a browser: fetches the cases one by one and posts each report back.

import { findGpu, requestDevice } from "../../../worker/device.ts";
import { PipelineCache } from "../../../worker/pipeline-cache.ts";
import { verifyCase } from "../verify-case.ts";

async function post(report: unknown): Promise<void> {
  await fetch("/reports", { method: "POST", body: JSON.stringify(report) });
}

try {
  const names = (await (await fetch("/cases")).json()) as string[];
  const { device, adapter } = await requestDevice(findGpu(globalThis));
  await post({ adapter });
  const cache = new PipelineCache(device);
  for (const name of names) {
    const response = await fetch(`/cases/${encodeURIComponent(name)}`);
    await post(await verifyCase(cache, name, new Uint8Array(await response.arrayBuffer())));
  }
  await post({ ended: true });
} catch (error) {
  await post({ failed: error instanceof Error ? error.message : String(error) });
}
