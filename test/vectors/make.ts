// Writes the vectors anew: `npx tsc -b && node dist/test/vectors/make.js [FILE...]`. What changes is what the protocol
// or the arithmetic changed: SPEC.md says so in the same commit.

import { writeFile } from "node:fs/promises";
import path from "node:path";
import { vectorText } from "./text.ts";
import { type VectorFile, vectors } from "./vectors.ts";

const chosen = process.argv.slice(2);
for (const [file, make] of Object.entries(vectors) as [VectorFile, () => unknown][]) {
  if (chosen.length > 0 && !chosen.includes(file)) continue;
  await writeFile(path.join("test/vectors", file), vectorText(make()));
}
