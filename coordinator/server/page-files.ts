// The built volunteer page as a fixed set of files: only what the build made can be asked for, so no path can lead out
// of the folder.

import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { extname, join, relative, sep } from "node:path";

/** As a response names them, the smallest first, with what the build calls a file's copy in each. */
const encodings = { br: ".br", gzip: ".gz" } as const;
export type PageEncoding = keyof typeof encodings;

export interface PageFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly contentType: string;
  /** The same bytes packed, where the build did. */
  readonly packed?: Partial<Readonly<Record<PageEncoding, Uint8Array<ArrayBuffer>>>>;
}

/** Files by their path from the page's root, with `/` between: `index.html`, `assets/main-a1b2.js`. */
export type PageFiles = ReadonlyMap<string, PageFile>;

const contentTypes: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".wasm": "application/wasm",
};

/** Reads the page that `npm run build` made; empty where it did not. */
export async function readPageFiles(folder: string): Promise<PageFiles> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const read = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const entry of entries) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    read.set(relative(folder, path).split(sep).join("/"), Uint8Array.from(await readFile(path)));
  }
  const files = new Map<string, PageFile>();
  for (const [path, bytes] of read) {
    if (Object.values(encodings).some((suffix) => path.endsWith(suffix))) continue;
    const packed: Partial<Record<PageEncoding, Uint8Array<ArrayBuffer>>> = {};
    for (const [name, suffix] of Object.entries(encodings)) {
      const copy = read.get(`${path}${suffix}`);
      if (copy) packed[name as PageEncoding] = copy;
    }
    files.set(path, { bytes, contentType: contentTypes[extname(path)] ?? "application/octet-stream", packed });
  }
  return files;
}

/** Whether a request's Accept-Encoding takes one: named, and not with a weight of 0. */
function accepts(header: string, encoding: PageEncoding): boolean {
  return header.split(",").some((part) => {
    const [name, ...parameters] = part.split(";").map((text) => text.trim().toLowerCase());
    return name === encoding && !parameters.some((text) => /^q=0(\.0*)?$/.test(text));
  });
}

export interface SentFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly headers: Readonly<Record<string, string>>;
}

/** A file as a request gets it: packed where both sides can, and each form under a strong ETag of its own. */
export function sentFile({ bytes, contentType, packed = {} }: PageFile, acceptEncoding = ""): SentFile {
  const encoding = (Object.keys(encodings) as PageEncoding[]).find(
    (name) => packed[name] && accepts(acceptEncoding, name),
  );
  const sent = (encoding && packed[encoding]) ?? bytes;
  const etag = `"${createHash("sha256").update(sent).digest("base64url")}"`;
  const headers = { "content-type": contentType, etag, vary: "accept-encoding" };
  return { bytes: sent, headers: encoding ? { ...headers, "content-encoding": encoding } : headers };
}

/** The sources, as a content security policy names them, of the scripts that stand in a page's own text. */
export function inlineScripts(html: string): string[] {
  return [...html.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(
    ([, script]) => `'sha256-${createHash("sha256").update(script).digest("base64")}'`,
  );
}
