// From what a page or a program gives as an exported file to its bytes.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { Source } from "./api.ts";

/** Characters of an address in a message. */
const SHOWN = 200;

/** Node's fetch reads no files, and a program has no address that a path could be beside. */
function whatToDo(address: string): string {
  const isFile = /^file:/i.test(address) || !/^[a-z][a-z\d+.-]+:/i.test(address);
  return isFile && globalThis.location === undefined
    ? "files are the program's to read: load(await readFile(path)), of node:fs/promises"
    : "see that the address is right and its server runs; of another site's files it must allow them (CORS)";
}

async function fetched(source: string | URL): Promise<Uint8Array> {
  const address = String(source).slice(0, SHOWN);
  let answer: Response;
  try {
    answer = await fetch(source);
    if (answer.ok) return new Uint8Array(await answer.arrayBuffer());
  } catch (cause) {
    const { message, cause: behind } = cause as Error;
    const why = behind instanceof Error && behind.message ? `${message}: ${behind.message}` : message;
    throw new BitswarmError("DATA_MISSING", `${address} cannot be fetched (${why}): ${whatToDo(address)}`, { cause });
  }
  throw new BitswarmError(
    "DATA_MISSING",
    `${address} answered ${answer.status}; give the address of a file that \`export\` of bitswarm wrote`,
  );
}

/**
 * @throws DATA_MISSING for an address where no file is, CONFIG_INVALID for what is neither an address nor bytes
 */
export async function bytesOf(source: Source): Promise<Uint8Array> {
  if (source instanceof Uint8Array) return source;
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (source instanceof Blob) return new Uint8Array(await source.arrayBuffer());
  if ((typeof source === "string" && source !== "") || source instanceof URL) return fetched(source);
  const got = source === "" ? "an empty text" : Object.prototype.toString.call(source).slice(8, -1).toLowerCase();
  throw new BitswarmError(
    "CONFIG_INVALID",
    `load takes an exported file's address, or its bytes as Uint8Array, ArrayBuffer or Blob; got ${got}`,
  );
}
