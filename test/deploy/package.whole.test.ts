// The npm package, as somebody meets it who has no checkout: packed, installed in an empty folder, and used there by
// the commands that it prints.

import { lstatSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import sharp from "sharp";
import { expect, test } from "vitest";
import { packageRoot } from "../../coordinator/base/package-root.ts";
import { installPackage } from "../fixtures/installed-package.ts";
import { scratchFolder } from "../fixtures/test-run.ts";

const MIB = 2 ** 20;

/** Bytes that a folder takes of a disk, which counts in blocks. */
function size(folder: string): number {
  const entries = readdirSync(folder, { recursive: true }).map((name) => lstatSync(join(folder, String(name))));
  return entries.reduce((sum, { blocks }) => sum + blocks * 512, 0);
}

/** 8 steps of the teacher, then the student's: the example but for its length. */
const short = "--set data.trainSamples=1024 --set data.testSamples=500 --set teacher.epochs=1";

/** TypeScript's compiler, from the checkout. */
const typescript = join(packageRoot(), "node_modules", "typescript", "bin", "tsc");
/** As somebody writes it who has read the README of `bitswarm/inference`, in a language that has both. */
const uses = `import { load, loadBackbone } from "bitswarm/inference";
const { readFileSync } = await import("node:fs".slice(0));
const file = new Uint8Array(readFileSync("model.safetensors"));
const follows = await loadBackbone(file).then(
  async (backbone) => (await backbone.embed(file, 1, backbone.info.exemplar)).side,
  (error) => error.code,
);
const model = await load(file);
const picture = { data: new Uint8Array(28 * 28).fill(90), width: 28, height: 28 };
const [best] = await model.predict(picture, { top: 1 });
console.log(best.label, follows, best.probability.toFixed(3));
`;

test("the package installs without a compiler, trains, exports, predicts, and is as small as it says", {
  timeout: 600_000,
}, async () => {
  const { folder, shell } = await installPackage(await scratchFolder());
  const modules = join(folder, "node_modules");

  expect(readdirSync(join(modules, ".bin"))).toEqual(["bitswarm"]);
  const [deno] = readdirSync(join(modules, "@deno"));
  const all = size(modules);
  // 120 million bytes for who lends a GPU; a coordinator without one leaves Deno out (--omit=optional).
  expect(all).toBeLessThan(120e6);
  expect(all - size(join(modules, "@deno", deno))).toBeLessThan(20 * MIB);
  const { packages } = JSON.parse(readFileSync(join(folder, "package-lock.json"), "utf8")) as {
    readonly packages: Readonly<Record<string, { readonly hasInstallScript?: boolean }>>;
  };
  const others = Object.entries(packages).filter(([name]) => name !== "node_modules/bitswarm");
  expect(others.filter(([, { hasInstallScript }]) => hasInstallScript)).toEqual([]);
  expect(JSON.parse(readFileSync(join(modules, "bitswarm", "package.json"), "utf8"))).toMatchObject({
    license: "Apache-2.0",
    engines: { node: ">=20.19" },
  });
  expect(readFileSync(join(modules, "bitswarm", "dist", "packed", "LICENCES.txt"), "utf8")).toMatch(
    /^zod 4\S+ \(MIT\)$/m,
  );

  const help = await shell("npx bitswarm --help");
  for (const command of ["start", "join", "resume", "export", "predict", "doctor", "setup"]) {
    expect(help).toMatch(new RegExp(`^ {2}${command} `, "m"));
  }
  expect(await shell("npx bitswarm join --help")).toContain('$ npx bitswarm join "http://');
  expect(await shell("npx bitswarm doctor --runtime deno")).toContain(join(modules, "@deno"));

  const trained = await shell(`npx bitswarm start --workers 1 --runtime deno --port 0 --max-steps 20 ${short}`);
  const [, exporting] = /export: +(npx bitswarm export .*)/.exec(trained) ?? [];
  expect(exporting, trained).toBeDefined();
  expect(trained).toMatch(/go on: +npx bitswarm resume /);
  expect(await shell(exporting)).toMatch(/^model\.safetensors: 1-bit network, step 20, /);
  const onnx = exporting?.replace("model.safetensors", "model.onnx");
  expect(await shell(onnx ?? "")).toMatch(/^model\.onnx: 1-bit network, step 20, /);

  // A JPEG is read by what comes with the package; for others it says what to install.
  const grey = sharp({ create: { width: 40, height: 30, channels: 3, background: "#888" } });
  await grey.jpeg().toFile(join(folder, "grey.jpg"));
  await grey.png().toFile(join(folder, "grey.png"));
  expect(await shell("npx bitswarm predict model.safetensors grey.jpg")).toMatch(/^grey\.jpg: .+ \d+\.\d %, /);
  await expect(shell("npx bitswarm predict model.safetensors grey.png grey.jpg --json")).rejects.toThrow(
    /"code":"RUNTIME_MISSING","error":"sharp, which reads PNG, WebP and the like, is not installed: npm install sharp"\}\n\{"picture":"grey\.jpg","predictions"/,
  );
  expect(readFileSync(join(modules, "bitswarm", "worker", "inference", "README.md"), "utf8")).toContain("ten lines");

  const demo = exporting?.replace("--out model.safetensors", "--format demo --out demo");
  expect(await shell(demo ?? "")).toMatch(/^demo: a demo of step 20, /);
  expect(readdirSync(join(folder, "demo")).sort()).toEqual(["demo", "index.html"]);

  // The package's other side: a module, for pages and programs, with its types.
  writeFileSync(join(folder, "uses.mts"), uses);
  expect(await shell(`node ${typescript} --noEmit --strict --module nodenext --lib es2023,dom uses.mts`)).toBe("");
  writeFileSync(join(folder, "uses.mjs"), uses);
  expect(await shell("node uses.mjs")).toMatch(/^(\S+ ?)+ MODEL_INVALID 0\.\d+\n$/);
});
