// Where the package lies, from the source tree and from dist/ alike. The coordinator's wing has the same line: no wing
// imports the other, and shared knows no Node.

import { createRequire } from "node:module";
import path from "node:path";

/** The folder with package.json, whose `imports` name it. */
export function packageRoot(): string {
  return path.dirname(createRequire(import.meta.url).resolve("#package.json"));
}
