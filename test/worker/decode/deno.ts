// A microbatch by Deno's decode thread. Argument: a file with the case.

import { webDecodeThread } from "../../../worker/platform/decode-thread.ts";
import { decodedCase } from "./decoded-case.ts";

declare const Deno: { readonly args: readonly string[]; readTextFile(path: string): Promise<string> };

const script = new URL("../../../worker/platform/deno/decode-worker.js", import.meta.url);
const open = webDecodeThread(() => new Worker(script, { type: "module" }));
console.log(JSON.stringify(await decodedCase(await Deno.readTextFile(Deno.args[0]!), open)));
