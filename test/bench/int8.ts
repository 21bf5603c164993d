// Would a backward pass with int8 gradients be faster? `node dist/test/bench/int8.js`: JSON lines from Dawn in Node, then from
// Deno on Mesa's lavapipe where it is installed. kernels/README.md has what came of it.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { findDeno } from "../../worker/platform/node/deno.ts";
import { packageRoot } from "../../worker/platform/node/package-root.ts";
import { testDevice } from "../fixtures/device.ts";
import { measure } from "./int8/measurement.ts";

const DRIVERS = "/usr/share/vulkan/icd.d";

const device = await testDevice();
for await (const line of measure(device, `Dawn in Node, ${device.adapterInfo.description}`)) {
  console.log(JSON.stringify(line));
}

const lavapipe = readdirSync(DRIVERS).find((name) => name.startsWith("lvp_icd"));
if (lavapipe) {
  const root = packageRoot(import.meta.url);
  const flags = ["run", "--quiet", "--no-prompt", "--no-lock", "--cached-only", "--allow-read", "--ignore-env"];
  const child = spawn(findDeno(), [...flags, path.join(root, "dist/test/bench/int8/deno.js")], {
    cwd: root,
    env: { ...process.env, VK_ICD_FILENAMES: path.join(DRIVERS, lavapipe) },
    stdio: "inherit",
  });
  process.exitCode = await new Promise<number>((resolve) => child.once("close", (code) => resolve(code ?? 1)));
}
process.exit();
