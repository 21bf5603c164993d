// Verifies oracle files in a browser: fetches the cases one by one and posts each report back.

import { adapterTraits, findGpu, requestDevice } from "../../../worker/device.ts";
import { PipelineCache } from "../../../worker/pipeline-cache.ts";
import { verifyCase } from "../verify-case.ts";

async function post(report: unknown): Promise<void> {
  await fetch("/reports", { method: "POST", body: JSON.stringify(report) });
}

try {
  const names = (await (await fetch("/cases")).json()) as string[];
  const which = new URLSearchParams(location.search).get("tilings") === "all" ? "all" : "default";
  const open = await requestDevice(findGpu(globalThis));
  await post({ adapter: open.adapter });
  const cache = new PipelineCache(open.device);
  for (const name of names) {
    const response = await fetch(`/cases/${encodeURIComponent(name)}`);
    const bytes = new Uint8Array(await response.arrayBuffer());
    for await (const report of verifyCase(cache, adapterTraits(open), which, name, bytes)) await post(report);
  }
  await post({ ended: true });
} catch (error) {
  await post({ failed: error instanceof Error ? error.message : String(error) });
}
