// For the build of the volunteers' page: what keeps its scripts small.

import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const script = /new Worker\(\s*new URL\("(\.[^"]+)", import\.meta\.url\)/g;

/** Scripts of Web Workers become chunks of the page's own graph: what the page and they both need is fetched once. */
export function workerChunks() {
  return {
    name: "bitswarm:worker-chunks",
    apply: "build",
    enforce: "pre",
    transform(code, id) {
      if (code.search(script) < 0) return undefined;
      const changed = code.replaceAll(script, (_, path) => {
        const chunk = this.emitFile({ type: "chunk", id: resolve(dirname(id), path) });
        return `new Worker(import.meta.ROLLUP_FILE_URL_${chunk}`;
      });
      return { code: changed, map: null };
    },
  };
}

const smallZod = fileURLToPath(new URL("../worker/platform/browser/small-zod.ts", import.meta.url));
const described = /\.describe\(\s*"(?:[^"\\]|\\.)*",?\s*\)/g;

/** Schemas are made by a smaller zod, and without the words that describe their fields to whoever reads the source. */
export function smallSchemas() {
  return {
    name: "bitswarm:small-schemas",
    apply: "build",
    enforce: "pre",
    resolveId: (name) => (name === "zod" ? smallZod : undefined),
    transform: (code) => (code.search(described) < 0 ? undefined : { code: code.replaceAll(described, ""), map: null }),
  };
}
