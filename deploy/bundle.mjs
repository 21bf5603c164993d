// Makes the programs of the npm package from the sources, into dist/packed: each with all that it needs of the packages
// that are pure JavaScript, so that an installation has few files and little to fetch. Beside them the licences of what
// went in. The files that make the package are named in package.json.

import { realpathSync } from "node:fs";
import { readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const out = path.join(root, "dist", "packed");

/** What Node starts: the package's program, and the threads and processes of it. */
const forNode = [
  "coordinator/program/bitswarm",
  "coordinator/server/shard-process",
  "coordinator/training/training-thread",
  "coordinator/data-checks/decode-program",
  "coordinator/import/convert/convert-thread",
  "worker/platform/node/bin",
];
/** What Deno starts, and the doctor's page loads: no module of Node's in it. */
const forWeb = [
  "worker/platform/deno/main",
  "worker/platform/deno/decode-worker",
  "worker/platform/deno/adapter",
  "worker/platform/adapter-report",
];
/** @type {readonly string[]} */
export const bundledPrograms = [...forNode, ...forWeb];

/** Native programs, which whoever needs them installs, and a file that is read, not run. */
const apart = ["sharp", "bufferutil", "utf-8-validate", /^@cornerstonejs\//];

/** The folders of the packages whose modules went in. @type {Set<string>} */
const used = new Set();

/** Notes whose modules a bundle has. @returns {import("vite").Plugin} */
function noteUsed() {
  return {
    name: "bitswarm:licences",
    generateBundle: (_options, bundle) => {
      for (const part of Object.values(bundle)) {
        for (const id of part.type === "chunk" ? Object.keys(part.modules) : []) {
          const [folder] =
            /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+/.exec(id.replaceAll("\\", "/").replace(/^\0/, "")) ?? [];
          if (folder !== undefined) used.add(folder);
        }
      }
    },
  };
}

/** @param {readonly string[]} programs @param {"node" | "webworker"} target @param {string} chunks their folder */
async function bundle(programs, target, chunks) {
  const { build } = await import("vite");
  await build({
    root,
    configFile: false,
    publicDir: false,
    logLevel: "warn",
    plugins: [noteUsed()],
    ssr: { noExternal: true, external: apart.filter((name) => typeof name === "string"), target },
    build: {
      ssr: true,
      outDir: out,
      emptyOutDir: target === "node",
      target: "esnext",
      // Whoever looks for the cause of an error reads it.
      minify: false,
      rolldownOptions: {
        input: Object.fromEntries(programs.map((program) => [program, path.join(root, `${program}.ts`)])),
        external: apart,
        output: { entryFileNames: "[name].js", chunkFileNames: `${chunks}/[name]-[hash].js` },
      },
    },
  });
}

/** Each package with what its licence says, as most of them ask. */
async function licences() {
  const parts = await Promise.all(
    [...used].sort().map(async (folder) => {
      const { name, version, license } = JSON.parse(await readFile(path.join(folder, "package.json"), "utf8"));
      const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
      const text = file === undefined ? "" : `\n${(await readFile(path.join(folder, file), "utf8")).trim()}\n`;
      return `${name} ${version} (${license})\n${text}`;
    }),
  );
  return `The programs in this folder contain parts of these packages.\n\n${parts.join("\n---\n\n")}`;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  await bundle(forNode, "node", "chunks");
  await bundle(forWeb, "webworker", "web-chunks");
  await writeFile(path.join(out, "LICENCES.txt"), await licences());
}
