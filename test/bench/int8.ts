// Would a backward pass with int8 gradients be faster, and what would it do to training? kernels/README.md has what came of it.
// `node dist/test/bench/int8.js`: JSON lines from Dawn in Node, then from Deno on Mesa's lavapipe where it is installed.
// `node dist/test/bench/int8.js accuracy [field=value…]`: the shipped example with f32 and as with int8 gradients; minutes a run.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { findDeno } from "../../worker/platform/node/deno.ts";
import { packageRoot } from "../../worker/platform/node/package-root.ts";
import { testDevice } from "../fixtures/device.ts";
import { accuracy } from "./int8/accuracy.ts";
import { measure } from "./int8/measurement.ts";

const DRIVERS = "/usr/share/vulkan/icd.d";

async function print(lines: AsyncIterable<object>): Promise<void> {
  for await (const line of lines) console.log(JSON.stringify(line));
}

async function speedAndCosine(): Promise<void> {
  const device = await testDevice();
  await print(measure(device, `Dawn in Node, ${device.adapterInfo.description}`));
  const lavapipe = readdirSync(DRIVERS).find((name) => name.startsWith("lvp_icd"));
  if (!lavapipe) return;
  const root = packageRoot(import.meta.url);
  const flags = ["run", "--quiet", "--no-prompt", "--no-lock", "--cached-only", "--allow-read", "--ignore-env"];
  const child = spawn(findDeno(), [...flags, path.join(root, "dist/test/bench/int8/deno.js")], {
    cwd: root,
    env: { ...process.env, VK_ICD_FILENAMES: path.join(DRIVERS, lavapipe) },
    stdio: "inherit",
  });
  process.exitCode = await new Promise<number>((resolve) => child.once("close", (code) => resolve(code ?? 1)));
}

const [what, ...fields] = process.argv.slice(2);
await (what === "accuracy" ? print(accuracy(fields)) : speedAndCosine());
process.exit();
