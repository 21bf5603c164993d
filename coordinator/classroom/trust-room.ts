// What the trust page consists of, over http and https alike: the page, the certificate, and the class room's files.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { packageRoot } from "../base/package-root.ts";
import type { Authority } from "../tls/authority.ts";
import { PAGE_POLICY } from "./html.ts";
import { systemOf } from "./systems.ts";
import { CERTIFICATE_FILE, type TrustFacts, trustPage } from "./trust-page.ts";

/** The class room's files by their name in an address. */
export type RoomFiles = ReadonlyMap<string, { readonly text: string; readonly type: string }>;

const page = (name: string) => ["coordinator", "classroom", "page", name];
const look = (name: string) => ["shared", "page", name];
const files: Readonly<Record<string, { readonly path: readonly string[]; readonly type: string }>> = {
  "class-room.css": { path: page("class-room.css"), type: "text/css; charset=utf-8" },
  "join.js": { path: ["dist", ...page("join.js")], type: "text/javascript; charset=utf-8" },
  "trust.js": { path: ["dist", ...page("trust.js")], type: "text/javascript; charset=utf-8" },
  "theme.css": { path: look("theme.css"), type: "text/css; charset=utf-8" },
  "icon.svg": { path: look("icon.svg"), type: "image/svg+xml" },
};

/** Reads the files of the pages; what was not built is not there. */
export async function readRoomFiles(): Promise<RoomFiles> {
  const read = new Map<string, { text: string; type: string }>();
  for (const [name, { path, type }] of Object.entries(files)) {
    const text = await readFile(join(packageRoot(), ...path), "utf8").catch(() => undefined);
    if (text !== undefined) read.set(name, { text, type });
  }
  return read;
}

function response(body: string | null, type: string, cache: string, status = 200): Response {
  return new Response(body, {
    status,
    headers: {
      "content-type": type,
      "cache-control": cache,
      "content-security-policy": PAGE_POLICY,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
    },
  });
}

/** A page that no cache keeps. */
export function roomPage(html: string): Response {
  return response(html, "text/html; charset=utf-8", "no-store");
}

export class TrustRoom {
  readonly #authority: Authority;
  readonly #files: RoomFiles;

  constructor(authority: Authority, roomFiles: RoomFiles) {
    this.#authority = authority;
    this.#files = roomFiles;
  }

  /** The certificate, a file of the pages, or an empty answer for who asks whether they get one. */
  file(pathname: string): Response | undefined {
    if (pathname === `/trust/${CERTIFICATE_FILE}`) {
      return response(this.#authority.certificate, "application/x-x509-ca-cert", "no-store");
    }
    if (pathname === "/trust/seen") return response(null, "text/plain", "no-store", 204);
    return roomFile(this.#files, pathname);
  }

  page(request: Request, facts: Pick<TrustFacts, "goal" | "probe">): Response {
    const system = systemOf(request.headers.get("user-agent") ?? "");
    return roomPage(trustPage({ ...facts, authority: this.#authority, system, root: "./" }));
  }
}

/** A file of the pages. */
export function roomFile(roomFiles: RoomFiles, pathname: string): Response | undefined {
  const [, name = ""] = /^\/class-room\/([\w.-]+)$/.exec(pathname) ?? [];
  const file = roomFiles.get(name);
  return file && response(file.text, file.type, "no-cache");
}
