// Every kernel compiles in both WGSL compilers that workers use: Dawn's in Chromium, naga in Deno; and keeps to the
// guaranteed limits. What a driver makes of it takes longest: it has the first of the texts that differ in their
// numbers alone, and one in six of the others; with `npm run test:long` all.
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { MAX_WORKGROUPS } from "../../kernels/text/dispatch.ts";
import { pipelineOf, testDevice, vulkanDriver, withErrorScopes } from "../fixtures/device.ts";
import { sizesInRotation } from "../fixtures/in-rotation.ts";
import { catalogue } from "./catalogue.ts";

const require = createRequire(import.meta.url);

const isDue = sizesInRotation(6);
const due = catalogue().filter(({ wgsl }) => isDue(wgsl));

/** Hundreds of texts, on two cores that others use too. */
const COMPILE_ALL_MS = 300_000;

test("every kernel declares its bindings in order and stays within the guaranteed limits", () => {
  for (const kernel of catalogue()) {
    expect(kernel.bindings.length, kernel.label).toBeLessThanOrEqual(8);
    expect(Math.max(...kernel.grid), kernel.label).toBeLessThanOrEqual(MAX_WORKGROUPS);
    kernel.bindings.forEach(({ name, access }, i) => {
      expect(kernel.wgsl, kernel.label).toContain(`@binding(${i}) var<storage, ${access}> ${name}:`);
    });
    expect(kernel.wgsl, kernel.label).not.toMatch(/\boverride\b|\benable\b/);
  }
});

test(
  "every kernel compiles in Dawn",
  async () => {
    const device = await testDevice();
    await withErrorScopes(device, async () => {
      for (const { wgsl } of catalogue()) device.createShaderModule({ code: wgsl });
      await Promise.all(due.map((kernel) => pipelineOf(device, kernel)));
    });
  },
  COMPILE_ALL_MS,
);

test(
  "every kernel compiles in naga",
  async () => {
    const folder = await mkdtemp(join(tmpdir(), "bitswarm-kernels-"));
    try {
      const list = join(folder, "kernels.json");
      await writeFile(list, JSON.stringify({ texts: catalogue(), due }));
      const script = fileURLToPath(new URL("compile-with-naga.ts", import.meta.url));
      const { stdout } = await promisify(execFile)(
        require.resolve("@deno/linux-x64-glibc/deno"),
        ["run", "--allow-all", "--unstable-webgpu", "--no-check", script, list],
        { env: { ...process.env, ...vulkanDriver() }, maxBuffer: 2 ** 24 },
      );
      expect(JSON.parse(stdout)).toEqual({ read: catalogue().length, compiled: due.length, errors: [] });
    } finally {
      await rm(folder, { recursive: true });
    }
  },
  COMPILE_ALL_MS,
);
