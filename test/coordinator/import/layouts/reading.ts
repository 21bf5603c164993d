// Sources as tests make and read them.

import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { onTestFinished } from "vitest";
import type { Item, LayoutOptions, OpenSource, SourceSplit } from "../../../../coordinator/import/layouts/layout.ts";
import { recogniseSource } from "../../../../coordinator/import/layouts/recognise.ts";

/** A new folder, with files by their paths; it goes with the test. */
export function folderOf(files: Readonly<Record<string, string | Uint8Array>> = {}): string {
  const root = mkdtempSync(path.join(tmpdir(), "bitswarm-source-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
    writeFileSync(path.join(root, name), content);
  }
  return root;
}

export async function openAt(
  source: string,
  options: LayoutOptions & { readonly layout?: string } = {},
): Promise<OpenSource & { readonly kind: string; readonly why: string }> {
  const { layout, why, open } = await recogniseSource(source, options.layout);
  return { ...(await open(options)), kind: layout.kind, why };
}

export async function itemsOf(split: SourceSplit | undefined, from?: string): Promise<Item[]> {
  if (split === undefined) throw new Error("there is no such split");
  const items: Item[] = [];
  for await (const item of split.read(from)) items.push(item);
  return items;
}

/** Labels by name. */
export async function labelsOf(split: SourceSplit | undefined): Promise<Record<string, number>> {
  const items = await itemsOf(split);
  return Object.fromEntries(items.flatMap(({ sample }) => (sample ? [[sample.name, sample.label]] : [])));
}

/** The same with the last part of each name alone, as the fixtures' expected.json has them. */
export async function baseLabelsOf(split: SourceSplit | undefined): Promise<Record<string, number>> {
  const labels = await labelsOf(split);
  return Object.fromEntries(Object.entries(labels).map(([name, label]) => [path.posix.basename(name), label]));
}

/** Whether reading on behind each sample gives what followed it: the contract of a cursor. */
export async function resumesEverywhere(split: SourceSplit): Promise<boolean> {
  const whole = await itemsOf(split);
  const shape = (items: readonly Item[]) =>
    JSON.stringify(
      items.map(({ sample, reject, cursor, bytesRead }) => [
        sample?.name ?? reject?.source,
        sample?.label,
        sample && Buffer.from(sample.content).toString("base64"),
        cursor,
        bytesRead,
      ]),
    );
  for (const [i, { cursor }] of whole.entries()) {
    if (shape(await itemsOf(split, cursor)) !== shape(whole.slice(i + 1))) return false;
  }
  return whole.length > 0;
}
