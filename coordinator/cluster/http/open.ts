// A node's way of long bytes as its options have it: always over HTTP from whoever has a door, and with a door of its
// own where it is told where to open one.

import { readFile } from "node:fs/promises";
import type { Clock } from "../../../shared/base/clock.ts";
import { BitswarmError } from "../../../shared/base/errors.ts";
import type { Bus } from "../bus.ts";
import { BusBulk } from "../bus-bulk.ts";
import type { Subjects } from "../subjects.ts";
import { openDoor } from "./door.ts";
import { DoorTokens } from "./door-token.ts";
import { HttpBulk, isDoorUrl } from "./http-bulk.ts";

export interface DoorSettings {
  /** host:port to listen on. */
  readonly listen: string;
  /** Where others reach it; what it listens on, unless given. */
  readonly url?: string;
  /** Files, PEM: then it speaks HTTPS. */
  readonly cert?: string;
  readonly key?: string;
}

export interface OpenBulkOptions {
  readonly bus: Bus;
  readonly subjects: Subjects;
  readonly id: string;
  readonly clock: Clock;
  readonly serve?: DoorSettings;
  /** Who signs the cluster's certificates, a file: then nothing is read or served over plain HTTP. */
  readonly caFile?: string;
  readonly onNotice: (message: string) => void;
}

/** @throws CONFIG_INVALID */
export async function openBulk(options: OpenBulkOptions): Promise<HttpBulk> {
  const { serve, caFile, onNotice, ...ports } = options;
  const ca = caFile === undefined ? {} : { ca: await readPem(caFile) };
  const overBus = new BusBulk(ports);
  if (!serve) return new HttpBulk({ ...ports, ...ca, overBus, onNotice });
  try {
    const { host, port } = readListen(serve.listen);
    const tls = await readTls(serve);
    const scheme = tls ? "https" : "http";
    const given = readUrl(serve, scheme, host, caFile !== undefined);
    const tokens = new DoorTokens();
    const offered = (name: string) => overBus.offered(name);
    const door = await openDoor({ host, port, ...(tls ? { tls } : {}), tokens, offered });
    const url = given ?? `${scheme}://${inUrl(host)}:${door.port}`;
    onNotice(`long bytes of ${options.id} are to be had at ${url}`);
    return new HttpBulk({ ...ports, ...ca, overBus, onNotice, door: { url, tokens, close: door.close } });
  } catch (error) {
    overBus.close();
    throw error;
  }
}

const inUrl = (host: string) => (host.includes(":") ? `[${host}]` : host);

function invalid(what: string): BitswarmError {
  return new BitswarmError("CONFIG_INVALID", what);
}

function readListen(listen: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:]+)\]|([A-Za-z0-9_.-]+)):(\d{1,5})$/.exec(listen) ?? [];
  const host = bracketed ?? plain;
  if (host !== undefined && Number(port) < 65_536) return { host, port: Number(port) };
  throw invalid(`--bulk-listen ${JSON.stringify(listen)}: host:port is due, as 0.0.0.0:8090`);
}

async function readTls({ cert, key }: DoorSettings) {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined)
    throw invalid("--bulk-cert and --bulk-key go together: give the certificate and its key");
  return { cert: await readPem(cert), key: await readPem(key) };
}

/** Where others reach the door; nothing where that follows from what it listens on. */
function readUrl({ url }: DoorSettings, scheme: string, host: string, encrypted: boolean): string | undefined {
  if (url === undefined) {
    if (host === "0.0.0.0" || host === "::")
      throw invalid(`--bulk-listen ${host}: say with --bulk-url ${scheme}://NAME:PORT where others reach it`);
    if (encrypted && scheme !== "https") throw invalid(plainly(`${scheme}://${host}`));
    return undefined;
  }
  if (!isDoorUrl(url)) throw invalid(`--bulk-url ${JSON.stringify(url)}: https://host:port or http://host:port is due`);
  // A proxy may speak HTTPS for a door that does not.
  if (encrypted && !url.startsWith("https:")) throw invalid(plainly(url));
  return new URL(url).origin;
}

const plainly = (url: string) =>
  `${url} is plain HTTP, and with --tls-ca all of a cluster is encrypted: give --bulk-cert and --bulk-key, or the https address of a proxy as --bulk-url`;

async function readPem(file: string): Promise<string> {
  return readFile(file, "utf8").catch((cause) => {
    throw new BitswarmError("CONFIG_INVALID", `${file} cannot be read: ${cause.message}`, { cause });
  });
}
