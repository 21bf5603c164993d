// Verifies oracle files in Deno: arguments are file paths, one JSON report a line on standard output.

import { findGpu, requestDevice } from "../../worker/device.ts";
import { PipelineCache } from "../../worker/pipeline-cache.ts";
import { verifyCase } from "./verify-case.ts";

declare const Deno: { readonly args: readonly string[]; readFile(path: string): Promise<Uint8Array> };

const { device, adapter } = await requestDevice(findGpu(globalThis));
console.log(JSON.stringify({ adapter }));
const cache = new PipelineCache(device);
for (const path of Deno.args) {
  console.log(
    JSON.stringify(await verifyCase(cache, path.slice(path.lastIndexOf("/") + 1), await Deno.readFile(path))),
  );
}
device.destroy();
