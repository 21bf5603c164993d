// Workgroup tilings, also those that keep signs as f16, give the bits of the register kernels: on Mesa's lavapipe
// through Deno, which has shader-f16.
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { convolutionPass } from "../../kernels/convolution/convolution-pass.ts";
import { type ConvolutionPass, passKey } from "../../kernels/convolution/pass/pass.ts";
import { tilingName, type WorkgroupTiling } from "../../kernels/convolution/pass/tiling.ts";
import { workgroupPass, workgroupTilings } from "../../kernels/convolution/workgroup/pass.ts";
import { GUARANTEED_TRAITS } from "../../kernels/text/adapter-traits.ts";
import type { KernelSequence } from "../../kernels/text/kernel.ts";
import { inRotation } from "../fixtures/in-rotation.ts";
import type { NagaRun } from "./run-with-naga.ts";
import { AWKWARD_PASSES, LARGE_PASSES, passData } from "./workgroup-cases.ts";

const require = createRequire(import.meta.url);

/** Where Debian's mesa-vulkan-drivers keeps lavapipe. */
const LAVAPIPE = "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json";

function nagaRun(pass: ConvolutionPass, sequence: KernelSequence): NagaRun {
  const { bindings, result } = passData(pass);
  const bits = Object.entries(bindings).map(([name, data]) => [name, [...new Uint32Array(data.buffer)]]);
  return { sequence, bindings: Object.fromEntries(bits), result };
}

/** Compiling for lavapipe takes seconds a kernel where other work shares the cores: passes take turns. */
const PATIENCE_MS = 300_000;

/** What results are full of before the kernels run. */
const NAN_BITS = 0x7fc00000;

const F16 = { ...GUARANTEED_TRAITS, f16: true };

/** Tilings for large extents, on one that they exceed and one that exceeds them. */
const LARGE: readonly WorkgroupTiling[] = [
  { kind: "workgroup", rows: 8, columns: 8, down: 8, across: 8, depth: 16, half: false },
  { kind: "workgroup", rows: 8, columns: 4, down: 16, across: 16, depth: 8, half: true },
  { kind: "workgroup", rows: 8, columns: 8, down: 4, across: 4, depth: 4, half: false },
];

interface Case {
  readonly pass: ConvolutionPass;
  readonly tiling: WorkgroupTiling;
}

/** Results of every case and of the register kernels, as bits. */
async function runInDeno(cases: readonly Case[]): Promise<readonly (readonly number[])[]> {
  const folder = await mkdtemp(join(tmpdir(), "bitswarm-workgroup-"));
  try {
    const list = join(folder, "runs.json");
    const runs = cases.flatMap(({ pass, tiling }) => [
      nagaRun(pass, convolutionPass(pass)),
      nagaRun(pass, workgroupPass(pass, tiling)),
    ]);
    await writeFile(list, JSON.stringify(runs));
    const script = fileURLToPath(new URL("run-with-naga.ts", import.meta.url));
    const { stdout } = await promisify(execFile)(
      require.resolve("@deno/linux-x64-glibc/deno"),
      ["run", "--allow-all", "--unstable-webgpu", "--no-check", script, list],
      { env: { ...process.env, VK_ICD_FILENAMES: LAVAPIPE }, maxBuffer: 2 ** 28, timeout: PATIENCE_MS },
    );
    return JSON.parse(stdout);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** A WGSL implementation may ignore the sign of a zero (WGSL §15.7.2), and Mesa does where it folds 0 + x. */
function withoutSignOfZero(bits: readonly number[]): readonly number[] {
  return bits.map((word) => (word === 0x80000000 ? 0 : word));
}

async function expectRegisterBits(cases: readonly Case[]): Promise<void> {
  const results = (await runInDeno(cases)).map(withoutSignOfZero);
  cases.forEach(({ pass, tiling }, i) => {
    expect(results[2 * i], passKey(pass)).not.toContain(NAN_BITS);
    expect(results[2 * i + 1], `${passKey(pass)} ${tilingName(tiling)}`).toEqual(results[2 * i]);
  });
}

test("signs kept as f16 give the bits of the register kernels", { timeout: PATIENCE_MS }, async () => {
  const cases = AWKWARD_PASSES.flatMap((pass) => {
    const half = workgroupTilings(pass, F16).find((tiling) => tiling.half);
    return half ? [{ pass, tiling: half }] : [];
  });
  expect(cases.length).toBeGreaterThan(12);
  await expectRegisterBits(inRotation(cases, 0, 2));
});

test("tiles of large extents give the bits of the register kernels", { timeout: PATIENCE_MS }, async () => {
  const cases = LARGE_PASSES.map((pass, turn) => ({ pass, tiling: LARGE[turn % LARGE.length]! }));
  await expectRegisterBits(inRotation(cases, 0, 2));
});

test("where the adapter has f16, 1-bit backward passes keep their signs so, and no other pass", () => {
  for (const pass of [...AWKWARD_PASSES, ...LARGE_PASSES]) {
    const { verb } = pass;
    const backward =
      verb === "binaryConvWeightGradient" || (verb === "binaryConvInputGradient" && pass.rectify !== "filter");
    const half = workgroupTilings(pass, F16).filter((tiling) => tiling.half);
    expect(half.length > 0, passKey(pass)).toBe(backward);
    for (const tiling of half) expect(workgroupPass(pass, tiling).kernels[0]!.wgsl).toMatch(/^enable f16;\n/);
    expect(workgroupTilings(pass, GUARANTEED_TRAITS).some((tiling) => tiling.half)).toBe(false);
  }
});
