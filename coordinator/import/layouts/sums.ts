// MD5 sums of a source's archives, as their publishers or a file beside them tell: a copy that is damaged is found out
// before anybody trains with it.

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import path from "node:path";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { storageError } from "../../disk/storage-error.ts";

/** Files of so many bytes in all are summed when their source is opened, others while they are read. */
export const SUMMED_AT_ONCE = 2 ** 28;
/** Most bytes of a file with sums. */
const MAX_SUMS_BYTES = 2 ** 20;

export interface KnownSum {
  readonly md5: string;
  /** Who says so. */
  readonly from: string;
}

/** Files with the sums of all in their folder. */
const lists = ["MD5SUMS", "md5sums.txt", "md5sum.txt", "MD5SUM"];

/** As their publishers give them, for files of exactly that size: of another size they are something else. */
const published: Readonly<Record<string, readonly [bytes: number, md5: string]>> = {
  "ILSVRC2012_img_train.tar": [147_897_477_120, "1d675b47d978889d74fa0da5fadfb00e"],
  "ILSVRC2012_img_val.tar": [6_744_924_160, "29b22e2961454d5413ddabcf34fc5622"],
  "ILSVRC2012_devkit_t12.tar.gz": [2_568_145, "fa75699e90414af021442c21a62c3abf"],
  "cifar-10-binary.tar.gz": [170_052_171, "c32a1d4ab5d03f1284b67883e8d87530"],
  "cifar-10-python.tar.gz": [170_498_071, "c58f30108f718f92721af3b95e74349a"],
  "cifar-100-binary.tar.gz": [168_513_733, "03b5dce01913d631647c71ecec9e9cb8"],
  "cifar-100-python.tar.gz": [169_001_437, "eb9058c3a382ffc7106e4002c42a8d85"],
};

async function textOf(file: string): Promise<string | undefined> {
  const handle = await open(file, "r").catch(() => undefined);
  if (handle === undefined) return undefined;
  try {
    const facts = await handle.stat();
    if (!facts.isFile() || facts.size > MAX_SUMS_BYTES) return undefined;
    return await handle.readFile("utf8");
  } finally {
    await handle.close();
  }
}

/** The sum of a file in a list: `SUM  NAME`, `MD5 (NAME) = SUM`, or in a file of its own the sum alone. */
export function sumIn(text: string, name: string, own: boolean): string | undefined {
  for (const line of text.split(/\r?\n/)) {
    const [, sum, listed = ""] = /^\s*([0-9a-f]{32})(?:\s+\*?(.+?))?\s*$/i.exec(line) ?? [];
    const [, ofName, bsd] = /^MD5 ?\((.+)\) ?= ?([0-9a-f]{32})\s*$/i.exec(line) ?? [];
    const said = listed || ofName;
    if ((sum || bsd) && (said ? path.posix.basename(said) === name : own)) return (sum || bsd).toLowerCase();
  }
  return undefined;
}

/** The files of one source: what is said of each, and how much of them is summed before anything is read. */
export class Sums {
  readonly #texts = new Map<string, string | undefined>();
  #left: number;

  /** @param atOnce bytes that are summed when the source is opened */
  constructor(atOnce = SUMMED_AT_ONCE) {
    this.#left = atOnce;
  }

  async #text(file: string, kept: boolean): Promise<string | undefined> {
    if (!kept) return textOf(file);
    if (!this.#texts.has(file)) this.#texts.set(file, await textOf(file));
    return this.#texts.get(file);
  }

  /** What the sum of a file must be; nothing where nobody says. */
  async #known(file: string, bytes: number): Promise<KnownSum | undefined> {
    const name = path.basename(file);
    for (const beside of [`${name}.md5`, `${name}.md5sum`, ...lists]) {
      const own = beside.startsWith(name);
      const text = await this.#text(path.join(path.dirname(file), beside), !own);
      const md5 = text === undefined ? undefined : sumIn(text, name, own);
      if (md5 !== undefined) return { md5, from: beside };
    }
    const [size, md5] = published[name] ?? [];
    return md5 === undefined || size !== bytes ? undefined : { md5, from: "its publisher" };
  }

  /**
   * Checks the sum of a small file now.
   * @returns the sum of a large one, or of one of very many, to be checked while it is read
   * @throws DATA_INVALID, STORAGE_FAILED
   */
  async toCheck(file: string): Promise<KnownSum | undefined> {
    const bytes = (await stat(file)).size;
    const known = await this.#known(file, bytes);
    if (known === undefined || bytes > this.#left) return known;
    this.#left -= bytes;
    await checkSum(file, known);
    return undefined;
  }
}

/** @throws DATA_INVALID where the sum is another */
export function requireSum(file: string, md5: string, known: KnownSum): void {
  if (md5 === known.md5) return;
  throw new BitswarmError(
    "DATA_INVALID",
    `${file} has MD5 ${md5}; by ${known.from} it has ${known.md5}: the copy is damaged or another file, get it again`,
  );
}

/** Reads a file whole for its sum. @throws DATA_INVALID, STORAGE_FAILED */
export async function checkSum(file: string, known: KnownSum): Promise<void> {
  const hash = createHash("md5");
  try {
    for await (const piece of createReadStream(file, { highWaterMark: 2 ** 20 })) hash.update(piece as Buffer);
  } catch (error) {
    throw storageError(error, file, undefined, "read");
  }
  requireSum(file, hash.digest("hex"), known);
}
