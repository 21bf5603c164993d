// Tilings that keep signs as f16: the bits of the register kernels, on Mesa's lavapipe through Deno, which has shader-f16.
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { type ConvolutionPass, convolutionPass, passKey } from "../../kernels/convolution-pass.ts";
import type { KernelSequence } from "../../kernels/kernel.ts";
import { GUARANTEED_TRAITS, tilingName } from "../../kernels/tiling.ts";
import { workgroupPass } from "../../kernels/workgroup-pass.ts";
import { workgroupTilings } from "../../kernels/workgroup-tilings.ts";
import type { NagaRun } from "./run-with-naga.ts";
import { AWKWARD_PASSES, passData } from "./workgroup-cases.ts";

const require = createRequire(import.meta.url);

/** Where Debian's mesa-vulkan-drivers keeps lavapipe. */
const LAVAPIPE = "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json";

function nagaRun(pass: ConvolutionPass, sequence: KernelSequence): NagaRun {
  const { bindings, result } = passData(pass);
  const bits = Object.entries(bindings).map(([name, data]) => [name, [...new Uint32Array(data.buffer)]]);
  return { sequence, bindings: Object.fromEntries(bits), result };
}

test("signs kept as f16 give the bits of the register kernels", { timeout: 120_000 }, async () => {
  const cases = AWKWARD_PASSES.flatMap((pass) => {
    const half = workgroupTilings(pass, { ...GUARANTEED_TRAITS, f16: true }).filter((tiling) => tiling.half);
    return half.slice(0, 1).map((tiling) => ({ pass, tiling }));
  });
  expect(cases.length).toBeGreaterThan(8);
  const folder = await mkdtemp(join(tmpdir(), "bitswarm-f16-"));
  try {
    const list = join(folder, "runs.json");
    const runs = cases.flatMap(({ pass, tiling }) => [
      nagaRun(pass, convolutionPass(pass)),
      nagaRun(pass, workgroupPass(pass, tiling)),
    ]);
    for (const { sequence } of runs.filter((_, i) => i % 2 === 1)) {
      expect(sequence.kernels[0]!.wgsl.startsWith("enable f16;\n")).toBe(true);
    }
    await writeFile(list, JSON.stringify(runs));
    const script = fileURLToPath(new URL("run-with-naga.ts", import.meta.url));
    const { stdout } = await promisify(execFile)(
      require.resolve("@deno/linux-x64-glibc/deno"),
      ["run", "--allow-all", "--unstable-webgpu", "--no-check", script, list],
      { env: { ...process.env, VK_ICD_FILENAMES: LAVAPIPE }, maxBuffer: 2 ** 26 },
    );
    const results: readonly (readonly number[])[] = JSON.parse(stdout);
    cases.forEach(({ pass, tiling }, i) => {
      expect(results[2 * i + 1], `${passKey(pass)} ${tilingName(tiling)}`).toEqual(results[2 * i]);
    });
  } finally {
    await rm(folder, { recursive: true });
  }
});
