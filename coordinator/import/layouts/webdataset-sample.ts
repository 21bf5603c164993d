// What makes a sample of a WebDataset: neighbours in a tar that share a key, which ends at the first dot of the base
// name; and how its class is told, by a number in its writer's order or by a WordNet id.

import { z } from "zod";
import { printable } from "../../base/printable.ts";
import type { TarMember, TarReader } from "../formats/tar.ts";
import { isPassedOver, memberName } from "./archive-split.ts";
import { isImageName } from "./folder-split.ts";
import { MAX_SAMPLE_BYTES } from "./layout.ts";
import { MOST_CLASSES } from "./wordnet.ts";

/** Longest `.cls`: a number. */
export const MAX_CLS_BYTES = 64;
/** Longest `.json` that is looked at for a WordNet id. */
export const MAX_JSON_BYTES = 2 ** 20;

/** Key and extension of a member's name. */
export function keyOf(name: string): readonly [key: string, extension: string] {
  const base = name.lastIndexOf("/") + 1;
  const dot = name.indexOf(".", base);
  return dot < 0 ? [name, ""] : [name.slice(0, dot), name.slice(dot + 1).toLowerCase()];
}

const anything = z.record(z.string(), z.unknown());
const wnid = /(?:^|[^a-z0-9])(n\d{8})(?![0-9])/;

/** The one WordNet id in a sample's JSON: of a field that is called so, else in any text of it. */
function wnidInJson(text: string): string | undefined {
  let fields: Record<string, unknown>;
  try {
    fields = anything.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
  for (const name of ["wnid", "synset", "synset_id", "class_id"]) {
    const value = fields[name];
    if (typeof value === "string" && /^n\d{8}$/.test(value)) return value;
  }
  const found = Object.values(fields).flatMap((value) =>
    typeof value === "string" ? (wnid.exec(value)?.[1] ?? []) : [],
  );
  return new Set(found).size === 1 ? found[0] : undefined;
}

function wnidInKey(key: string): string | undefined {
  return wnid.exec(key)?.[1];
}

/** Members of one key. */
export interface Group {
  readonly key: string;
  /** Number of its class in its writer's order. */
  cls?: number;
  wnid?: string;
  /** Whether there is a picture, and its bytes where they were asked for. */
  picture: boolean;
  content?: Uint8Array<ArrayBuffer>;
  /** Why it is no sample. */
  why?: string;
  /** Of what follows it in the archive. */
  next: number;
}

async function take(
  group: Group,
  member: TarMember,
  extension: string,
  tar: TarReader,
  contents: boolean,
): Promise<void> {
  const { bytes, name } = member;
  const last = extension.slice(extension.lastIndexOf(".") + 1);
  if (last === "cls") {
    const text =
      bytes > MAX_CLS_BYTES
        ? ""
        : Buffer.from(await tar.content())
            .toString("latin1")
            .trim();
    const number = /^\d{1,6}$/.test(text) ? Number(text) : -1;
    if (number < 0 || number >= MOST_CLASSES) group.why = `its .cls is no number from 0 to ${MOST_CLASSES - 1}`;
    else group.cls = number;
  } else if (last === "json") {
    if (bytes > MAX_JSON_BYTES) return;
    group.wnid ??= wnidInJson(Buffer.from(await tar.content()).toString("utf8"));
  } else if (isImageName(name) && !group.picture) {
    group.picture = true;
    if (bytes > MAX_SAMPLE_BYTES) group.why = `has ${bytes} bytes; at most ${MAX_SAMPLE_BYTES} are read`;
    else if (contents) group.content = await tar.content();
  }
}

/** The samples of a shard: neighbours only. @param contents whether the bytes of pictures are wanted */
export async function* groupsOf(tar: TarReader, contents: boolean): AsyncGenerator<Group> {
  let group: Group | undefined;
  for (let member = await tar.next(); member !== undefined; member = await tar.next()) {
    if (isPassedOver(member)) continue;
    const [key, extension] = keyOf(memberName(member.name));
    if (group !== undefined && group.key !== key) {
      yield group;
      group = undefined;
    }
    group ??= { key, wnid: wnidInKey(key), picture: false, next: member.next };
    group.next = member.next;
    if (member.kind !== "file") group.why = "a link or device in the archive, not the file itself";
    else await take(group, member, extension, tar, contents);
  }
  if (group !== undefined) yield group;
}

/** What a sample is called: its key. */
export const groupName = ({ key }: Group) => printable(key, 1000);
