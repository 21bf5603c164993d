// Pictures of a person's own as a network is tested with them: a folder with a folder for each class.

import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { BitswarmError, type ErrorCode } from "../../shared/base/errors.ts";
import { dataKinds } from "../../shared/data/data-kinds.ts";
import type { ExportedModel } from "../../shared/export/exported-model.ts";
import { seenPixels } from "../../shared/export/see-picture.ts";
import { printable } from "../base/printable.ts";
import { storageError } from "../disk/storage-error.ts";
import { pictureDecoder } from "../import/convert/decode-picture.ts";
import { isImageName } from "../import/layouts/folder-split.ts";
import { Listing } from "../import/layouts/listing.ts";
import type { HeldOut, HeldOutOptions } from "./labelled.ts";

/** Of one picture's file. */
export const MOST_PICTURE_BYTES = 2 ** 28;

/** Folders of what is held out, in a folder that has splits. */
const splitFolders: readonly string[] = ["val", "valid", "validation", "test"];

interface ClassFolder {
  readonly folder: string;
  readonly label: number;
}

/** Names that a message shows. */
const SHOWN = 5;

const quoted = (names: readonly string[]) =>
  `${names
    .slice(0, SHOWN)
    .map((name) => JSON.stringify(printable(name, 60)))
    .join(", ")}${names.length > SHOWN ? ", …" : ""}`;

/** What is left of a name that differs from another one's by case, blanks and signs alone. */
const plain = (name: string) => name.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "");
/** As a class's name can be a folder's. */
const slashless = (name: string, sign: "-" | "_") => name.replace(/[/\\]/g, sign);

/** The class of a name: as it stands, with - or _ for its slashes, or the only one that is the same but for signs. */
function namedClass(folder: string, classNames: readonly string[]): number | undefined {
  const ways: readonly ((name: string) => boolean)[] = [
    (name) => name === folder,
    (name) => slashless(name, "-") === folder || slashless(name, "_") === folder,
    (name) => plain(folder) !== "" && plain(name) === plain(folder),
  ];
  for (const same of ways) {
    const labels = classNames.flatMap((name, label) => (same(name) ? [label] : []));
    if (labels.length === 1) return labels[0];
  }
  return undefined;
}

/**
 * The class of each folder: by the network's names, by its number, or, where none has either, in their order if there
 * are as many. Names and numbers may stand beside each other, unless a folder is one class's name and another's number.
 * @throws DATA_INVALID naming the folders that are no class
 */
export function classFolders(
  folders: readonly string[],
  { classes, classNames = [] }: Pick<ExportedModel, "classes" | "classNames">,
): { readonly found: readonly ClassFolder[]; readonly notice?: string } {
  const seen = folders.map((folder) => ({
    folder,
    named: namedClass(folder, classNames),
    numbered: /^\d{1,5}$/.test(folder) && Number(folder) < classes ? Number(folder) : undefined,
  }));
  const by = (label: (one: (typeof seen)[number]) => number | undefined) => ({
    found: seen.flatMap((one) => {
      const of = label(one);
      return of === undefined ? [] : [{ folder: one.folder, label: of }];
    }),
  });
  const [names, numbers, either] = [
    by(({ named }) => named),
    by(({ numbered }) => numbered),
    by(({ named, numbered }) => named ?? numbered),
  ];
  for (const whole of [names, numbers]) if (whole.found.length === folders.length) return whole;
  if (folders.length === classes && either.found.length === 0) {
    const notice = "the folders have not the names of the classes, and are taken for them in their order";
    return { found: folders.map((folder, label) => ({ folder, label })), notice };
  }
  const shown = classNames.map((name) => slashless(name, "-"));
  const byName = shown.length === 0 ? "" : `its class, such as ${quoted(shown)} (- or _ for a slash), or by `;
  const advice = `name each folder by ${byName}its number, 0 to ${classes - 1}`;
  const strange = seen.filter(({ named, numbered }) => named === undefined && numbered === undefined);
  if (strange.length > 0) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${strange.length} of ${folders.length} folders ${strange.length === 1 ? "is" : "are"} none of the network's ${classes} classes: ${quoted(strange.map(({ folder }) => folder))}; ${advice}`,
    );
  }
  const double = seen.find(
    ({ named, numbered }) => named !== undefined && numbered !== undefined && named !== numbered,
  );
  if (double !== undefined) {
    throw new BitswarmError(
      "DATA_INVALID",
      `the folder ${quoted([double.folder])} is the name of class ${double.named} and the number of class ${double.numbered}, beside folders of both kinds; name all by their classes, or all by their numbers`,
    );
  }
  return either;
}

const codesOfPictures: readonly ErrorCode[] = ["DATA_INVALID", "DATA_MISSING", "RUNTIME_MISSING", "STORAGE_FAILED"];

/** Whether an error is that of one picture, so that the others are gone on with: it is damaged, or wants sharp. */
export function isOfPicture(error: unknown): error is BitswarmError {
  return error instanceof BitswarmError && codesOfPictures.includes(error.code);
}

/** The bytes of a picture's file. @throws DATA_MISSING, DATA_INVALID, STORAGE_FAILED */
export async function readPicture(path: string): Promise<Uint8Array> {
  const facts = await stat(path).catch(() => undefined);
  if (facts === undefined) throw new BitswarmError("DATA_MISSING", `${path} is not there`);
  if (!facts.isFile()) throw new BitswarmError("DATA_INVALID", `${path} is no file; name the pictures themselves`);
  if (facts.size > MOST_PICTURE_BYTES) {
    throw new BitswarmError("DATA_INVALID", `${path} has ${facts.size} bytes; at most ${MOST_PICTURE_BYTES} are read`);
  }
  return readFile(path).catch((error) => {
    throw storageError(error, path, undefined, "read");
  });
}

export async function openFolder(model: ExportedModel, { data, samples }: HeldOutOptions): Promise<HeldOut> {
  const listing = await Listing.of(data);
  const top = await listing.folder("");
  const split = top.folders.find((name) => splitFolders.includes(name.toLowerCase()));
  const within = split === undefined ? "" : `${split}/`;
  const { folders } = split === undefined ? top : await listing.folder(split);
  if (folders.length === 0) {
    throw new BitswarmError(
      "DATA_INVALID",
      `${data} has no folders; give a folder with a folder of pictures for each class, a store, or one of ${dataKinds.kinds.join(", ")}`,
    );
  }
  const { found, notice } = classFolders(folders, model);
  const files: { readonly path: string; readonly label: number }[] = [];
  const others: string[] = [];
  for (const { folder, label } of found) {
    const inside = await listing.folder(`${within}${folder}`);
    for (const file of inside.files) {
      if (isImageName(file)) files.push({ path: join(listing.absolute(`${within}${folder}`), file), label });
      else others.push(`${folder}/${file}`);
    }
  }
  const used = files.slice(0, samples ?? files.length);
  const passedOver =
    others.length === 0 ? [] : [`passed over, as no pictures by their names: ${others.length} (${quoted(others)})`];
  return {
    name: "imagefolder",
    samples: used.length,
    notices: [...(notice === undefined ? [] : [notice]), ...passedOver],
    async *read(failed) {
      const decode = await pictureDecoder();
      for (const { path, label } of used) {
        let pixels: Uint8Array;
        try {
          pixels = seenPixels(model.input, await decode(await readPicture(path)));
        } catch (error) {
          if (failed === undefined || !isOfPicture(error)) throw error;
          failed(path, error);
          continue;
        }
        yield { pixels, label };
      }
    },
  };
}
