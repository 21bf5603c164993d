// A folder of results: which job it is of, and what of it is there already.

import { readFile, stat } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import { makeFolders, writeDurably } from "../disk/durable-file.ts";
import { storageError } from "../disk/storage-error.ts";
import type { FilmSource, Films, UnfitFilm } from "./films.ts";
import { type Results, readResult } from "./result-files.ts";

/** Beside the files of sequences. */
const JOB_FILE = "tracking.json";

/** What results depend on; `box` is that of a folder of pictures. */
const jobSchema = z.object({
  model: z.string(),
  data: z.string(),
  box: z.string().optional(),
  clampScale: z.boolean().optional(),
});

/** @throws CONFIG_INVALID where the folder has results of another job */
export async function claimResults(out: string, job: z.output<typeof jobSchema>): Promise<void> {
  const file = path.join(out, JOB_FILE);
  try {
    await makeFolders(out);
    const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    if (text === undefined) {
      await writeDurably(file, `${JSON.stringify(job, undefined, 1)}\n`);
      return;
    }
    const known = jobSchema.safeParse(JSON.parse(text));
    if (known.success && JSON.stringify(known.data) === JSON.stringify(jobSchema.parse(job))) return;
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new BitswarmError("CONFIG_INVALID", `${file} is no JSON of this program; choose another folder with --out`);
    }
    throw storageError(error, file);
  }
  throw new BitswarmError(
    "CONFIG_INVALID",
    `${out} has results of another tracker, box or setting, or on other data (${file} says which); choose another folder with --out`,
  );
}

/** @throws DATA_MISSING where the folder of results is none: nothing in it would be told of every sequence */
export async function requireResults(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined);
  if (found?.isDirectory()) return;
  throw new BitswarmError(
    "DATA_MISSING",
    `--results ${folder} is no folder; give the one that has the files of boxes, one a sequence`,
  );
}

/** A film with what a tracker said of it. */
export interface Followed {
  readonly film: FilmSource;
  readonly results: Results;
}

/** Results that are there, of each film; those without any, and those whose files are wrong. */
export async function foundResults(folder: string, { films, layout }: Films) {
  const followed: Followed[] = [];
  const missing: FilmSource[] = [];
  const wrong: UnfitFilm[] = [];
  for (const film of films) {
    try {
      const results = await readResult(folder, layout, film.spellings, film.frames.length);
      if (results) followed.push({ film, results });
      else missing.push(film);
    } catch (error) {
      if (!(error instanceof BitswarmError) || error.code !== "DATA_INVALID") throw error;
      wrong.push({ name: film.name, error });
    }
  }
  return { followed, missing, wrong };
}
