// Verifies oracle files in a browser: fetches the cases one by one and posts each report back.

import { adapterTraits, findGpu, requestDevice } from "../../../worker/device.ts";
import { PipelineCache } from "../../../worker/pipeline-cache.ts";
import type { ForcedTilings } from "../forced-tilings.ts";
import { verifyCase } from "../verify-case.ts";

async function post(report: unknown): Promise<void> {
  await fetch("/messages", { method: "POST", body: JSON.stringify(report) });
}

try {
  const request = await (await fetch("/request")).json();
  const { tilings, names } = request as { readonly tilings: ForcedTilings; readonly names: readonly string[] };
  const open = await requestDevice(findGpu(globalThis));
  await post({ adapter: open.adapter });
  const cache = new PipelineCache(open.device);
  for (const name of names) {
    const response = await fetch(`/cases/${encodeURIComponent(name)}`);
    const bytes = new Uint8Array(await response.arrayBuffer());
    for await (const report of verifyCase(cache, adapterTraits(open), tilings, name, bytes)) await post(report);
  }
  await post({ ended: true });
} catch (error) {
  await post({ failed: error instanceof Error ? error.message : String(error) });
}
