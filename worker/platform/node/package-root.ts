// Finds the package's own folder: a module lies deeper in dist than in the source.
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** The nearest folder above the module `from` (its `import.meta.url`) that has a package.json. */
export function packageRoot(from: string): string {
  let folder = path.dirname(fileURLToPath(from));
  while (!existsSync(path.join(folder, "package.json"))) {
    const above = path.dirname(folder);
    if (above === folder) throw new Error(`no package.json in any folder above ${from}`);
    folder = above;
  }
  return folder;
}
