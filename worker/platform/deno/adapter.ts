// Prints what Deno's WebGPU is like as one line of JSON: what `bitswarm doctor` starts.

import { adapterReport } from "../adapter-report.ts";

console.log(JSON.stringify(await adapterReport(globalThis, "deno")));
// A driver may hold the process.
Deno.exit(0);
