// Keeps content as files, by the host they came from as keys are: hosts cannot tell what a worker has from another. The
// file's time of modification says when it was last used.

import { sha256Hex } from "../../../shared/base/hash.ts";
import { encodeText } from "../../../shared/base/text.ts";
import { type ContentStore, KEPT_CAP_BYTES, type KeptEntry } from "../../content/content-store.ts";

/** A file that was begun so long ago is nobody's any more. */
const DRAFT_MS = 10 * 60_000;
const DRAFT = /^\.draft-/;
const FULL = new Set(["ENOSPC", "EDQUOT"]);

const KEY = /^(shards|blobs|index|chunks)\/([0-9a-f]{64})(?:\/(\d{1,7}))?$/;
const FILE = /^([0-9a-f]{64})(?:\.(blob|index|\d{1,7}))?$/;

/** Below the host's folder: `ab/abcd…`, with `.blob`, `.index` or the chunk's number behind it. */
function fileOf(key: string): string {
  const [, kind, sha256, chunk] = KEY.exec(key) ?? [];
  if (sha256 === undefined) throw new RangeError(`${key} is no key of content`);
  const ends = { shards: "", blobs: ".blob", index: ".index", chunks: `.${chunk}` }[kind];
  return `${sha256.slice(0, 2)}/${sha256}${ends}`;
}

/** The key that a file is of; undefined for what was not written by us. */
function keyOf(name: string): string | undefined {
  const [, sha256, end] = FILE.exec(name) ?? [];
  if (sha256 === undefined) return undefined;
  if (end === undefined) return `shards/${sha256}`;
  if (end === "blob") return `blobs/${sha256}`;
  return end === "index" ? `index/${sha256}` : `chunks/${sha256}/${end}`;
}

/**
 * @param folder exists, and may be read and written; several workers share it
 * @param host of the run's link
 */
export function fileContentStore(folder: string, host: string, capBytes = KEPT_CAP_BYTES): ContentStore {
  const own = sha256Hex(encodeText(host)).slice(0, 32);
  // Content of other hosts is listed by its path, and goes like ours.
  const pathOf = (key: string) => `${folder}/${key.startsWith("./") ? key.slice(2) : `${own}/${fileOf(key)}`}`;
  let drafts = 0;

  const entryOf = async (place: string, name: string): Promise<KeptEntry | undefined> => {
    const path = `${place}/${name}`;
    const found = await Deno.stat(`${folder}/${path}`).catch(() => undefined);
    if (!found) return undefined;
    const usedAt = found.mtime?.getTime() ?? 0;
    const known = keyOf(name);
    if (known === undefined) {
      if (DRAFT.test(name) && Date.now() - usedAt > DRAFT_MS) await removed(`${folder}/${path}`);
      return undefined;
    }
    return { key: place.startsWith(`${own}/`) ? known : `./${path}`, bytes: found.size, usedAt };
  };

  return {
    capBytes,
    list: async () => {
      const entries: KeptEntry[] = [];
      for (const host of await namesIn(folder)) {
        for (const part of await namesIn(`${folder}/${host}`)) {
          const place = `${host}/${part}`;
          const found = await Promise.all((await namesIn(`${folder}/${place}`)).map((name) => entryOf(place, name)));
          entries.push(...found.filter((entry) => entry !== undefined));
        }
      }
      return entries;
    },
    read: async (key) => {
      const path = pathOf(key);
      try {
        const bytes = await Deno.readFile(path);
        const now = new Date();
        await Deno.utime(path, now, now).catch(() => undefined);
        return bytes;
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },
    write: async (key, bytes) => {
      const path = pathOf(key);
      const place = path.slice(0, path.lastIndexOf("/"));
      // Beside it and renamed: several workers share the folder, and each may be killed at any time.
      const draft = `${place}/.draft-${Deno.pid}-${++drafts}`;
      try {
        await Deno.mkdir(place, { recursive: true });
        await Deno.writeFile(draft, bytes);
        await Deno.rename(draft, path);
      } catch (error) {
        await removed(draft);
        if (FULL.has((error as { code?: string }).code ?? "")) {
          throw new DOMException(String(error), "QuotaExceededError");
        }
        throw error;
      }
    },
    remove: (key) => Deno.remove(pathOf(key)).catch((error) => (isMissing(error) ? undefined : Promise.reject(error))),
  };
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && error.name === "NotFound";
}

async function removed(path: string): Promise<void> {
  await Deno.remove(path).catch(() => undefined);
}

/** Of a folder that another worker may remove meanwhile. */
async function namesIn(folder: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(folder)) names.push(name);
  } catch (error) {
    if (!(error instanceof Error && (isMissing(error) || error.name === "NotADirectory"))) throw error;
  }
  return names;
}
