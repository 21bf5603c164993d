// Runs a benchmark in Deno: the argument is the request as JSON, lines go to standard output.

import { findGpu } from "../../worker/device.ts";
import { runBenchmark } from "./benchmark.ts";
import { requestSchema } from "./request.ts";

declare const Deno: { readonly args: readonly string[]; readonly version: { readonly deno: string } };

const request = requestSchema.parse(JSON.parse(Deno.args[0]));
const around = { gpu: findGpu(globalThis), runtime: `Deno ${Deno.version.deno}`, rest: () => {} };
await runBenchmark(request, around, async (line) => console.log(JSON.stringify(line)));
