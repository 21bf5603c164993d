// Verifies oracle files in Deno: the arguments are which tilings, then file paths; one JSON report a line on standard
// output.

import { adapterTraits, findGpu, requestDevice } from "../../worker/device.ts";
import { PipelineCache } from "../../worker/pipeline-cache.ts";
import { verifyCase } from "./verify-case.ts";

declare const Deno: { readonly args: readonly string[]; readFile(path: string): Promise<Uint8Array> };

const [which, ...paths] = Deno.args;
const open = await requestDevice(findGpu(globalThis));
console.log(JSON.stringify({ adapter: open.adapter }));
const cache = new PipelineCache(open.device);
for (const path of paths) {
  const file = path.slice(path.lastIndexOf("/") + 1);
  const reports = verifyCase(
    cache,
    adapterTraits(open),
    which === "all" ? "all" : "default",
    file,
    await Deno.readFile(path),
  );
  for await (const report of reports) console.log(JSON.stringify(report));
}
open.device.destroy();
