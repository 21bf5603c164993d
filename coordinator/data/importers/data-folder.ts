// Where the files of a data set lie on this machine: where the user says, else where set-ups put them.

import { access } from "node:fs/promises";
import { join } from "node:path";
import { BitswarmError } from "../../../shared/base/errors.ts";
import type { DataOptions } from "../../../shared/data/data-kinds.ts";
import type { Environment } from "./importer.ts";

/** What to look for. */
export interface DataFiles {
  /** As people call it, e.g. Fashion-MNIST. */
  readonly title: string;
  readonly files: readonly string[];
  /** Folders in the given one that the files may be in, as an archive unpacks to. */
  readonly inner?: readonly string[];
  /** Folders to look in where none is given. */
  readonly usual: readonly string[];
  /**
   * How to get the files: "run `npm run setup`, which gets it". Without it they are the user's own, and a folder must
   * be given.
   */
  readonly advice?: string;
}

/** Those of the files that this folder lacks. */
async function missingFrom(folder: string, files: readonly string[]): Promise<string[]> {
  const found = await Promise.all(
    files.map((file) =>
      access(join(folder, file)).then(
        () => [],
        () => [file],
      ),
    ),
  );
  return found.flat();
}

/**
 * The folder with all files. An explicit one must have them; of the usual places the first that has them counts.
 * @throws DATA_MISSING
 */
export async function findDataFolder(
  { kind, root }: Pick<DataOptions, "kind" | "root">,
  environment: Environment,
  { title, files, inner = [], usual, advice }: DataFiles,
): Promise<string> {
  const within = async (folder: string): Promise<string | undefined> => {
    for (const candidate of [folder, ...inner.map((name) => join(folder, name))]) {
      if ((await missingFrom(candidate, files)).length === 0) return candidate;
    }
    return undefined;
  };
  const explicit = root ?? environment.BITSWARM_DATA;
  if (explicit !== undefined) {
    const folder = await within(explicit);
    if (folder !== undefined) return folder;
    const source = root !== undefined ? "data.root" : "BITSWARM_DATA";
    const missing = (await missingFrom(explicit, files)).join(", ");
    const or = advice === undefined ? "" : `, or leave it out and ${advice}`;
    throw new BitswarmError(
      "DATA_MISSING",
      `${source} is ${explicit}, which lacks ${missing}; point it at a folder with the files${or}`,
    );
  }
  if (advice === undefined) {
    throw new BitswarmError(
      "DATA_MISSING",
      `data.kind is ${kind}, and neither data.root nor BITSWARM_DATA says where ${files.join(", ")} are: set data.root to their folder`,
    );
  }
  for (const place of usual) {
    const folder = await within(place);
    if (folder !== undefined) return folder;
  }
  throw new BitswarmError(
    "DATA_MISSING",
    `${title} is in none of ${usual.join(", ")}: ${advice}, or set data.root to a folder with ${files.join(", ")}`,
  );
}
