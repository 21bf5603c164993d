// The lines of a list beside a store's manifest, which may be longer than memory.

import { z } from "zod";
import { BitswarmError } from "../../shared/base/errors.ts";
import { CONVERTED_FILE, REJECTED_FILE, type StoreSplit, samplesFile } from "../store/manifest.ts";
import type { StoreReader } from "../store/store-reader.ts";

/** Longest line: a label or a reason, and a name, which is a path. */
export const LONGEST_LINE = 2 ** 16;

function damaged(where: string, line: number, what: string): BitswarmError {
  return new BitswarmError("DATA_INVALID", `${where}: line ${line} ${what}: copy the store anew`);
}

async function* linesOf(store: StoreReader, file: string): AsyncGenerator<string> {
  const where = `${store.where}/${file}`;
  const decoder = new TextDecoder();
  let rest = "";
  let line = 1;
  for await (const piece of store.sideFile(file)) {
    const parts = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) {
      if (part.length > LONGEST_LINE) throw damaged(where, line, `is longer than ${LONGEST_LINE} characters`);
      yield part;
      line++;
    }
    if (rest.length > LONGEST_LINE) throw damaged(where, line, `is longer than ${LONGEST_LINE} characters`);
  }
  if (rest !== "") throw damaged(where, line, "has no end");
}

export interface ListedSample {
  readonly label: number;
  /** As it stands in the list: tabs and line ends escaped. */
  readonly name: string;
}

/** The samples of a split as they are listed, in the store's order. @throws DATA_INVALID */
export async function* listedSamples(store: StoreReader, split: StoreSplit): AsyncGenerator<ListedSample> {
  const file = samplesFile(split);
  let line = 1;
  for await (const text of linesOf(store, file)) {
    const [, label, name] = /^(\d{1,5})\t(.*)$/.exec(text) ?? [];
    if (label === undefined || name === undefined) {
      throw damaged(`${store.where}/${file}`, line, "is not a label, a tab and a name");
    }
    yield { label: Number(label), name };
    line++;
  }
}

const oddSchema = z.object({ split: z.string(), source: z.string(), why: z.string() });

/** A file of the source that was decoded some other way than workers would, or that was left out. */
export type OddFile = z.output<typeof oddSchema>;

/** @throws DATA_INVALID */
export async function* oddFiles(store: StoreReader, which: "converted" | "rejected"): AsyncGenerator<OddFile> {
  const file = which === "converted" ? CONVERTED_FILE : REJECTED_FILE;
  let line = 1;
  for await (const text of linesOf(store, file)) {
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      throw damaged(`${store.where}/${file}`, line, "is no JSON");
    }
    const parsed = oddSchema.safeParse(json);
    if (!parsed.success) throw damaged(`${store.where}/${file}`, line, "is not a split, a source and a reason");
    yield parsed.data;
    line++;
  }
}
