// What is followed: the sequences of a data set, or a folder of pictures with a box that somebody drew.

import { readdir } from "node:fs/promises";
import path from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import type { Box } from "../../shared/tracking/box.ts";
import { MAX_TRACK_FRAMES } from "../../shared/wire/tracking.ts";
import { storageError } from "../disk/storage-error.ts";
import { openSequences } from "../sequences/open-sequences.ts";
import { otbSpellings } from "../sequences/otb.ts";
import { requireFirstBox, type Sequence } from "../sequences/sequence.ts";
import type { ResultLayout } from "./result-files.ts";
import type { ScoreProtocol } from "./track-score.ts";

/** What `--data` takes beside a folder. */
export const trackKinds = ["got10k", "otb", "uav123", "uav20l", "vot"] as const;
export type TrackKind = (typeof trackKinds)[number];

export interface FilmSource {
  readonly name: string;
  /** Of its name in files of results. */
  readonly spellings: readonly string[];
  readonly frames: readonly string[];
  /** In the first frame, pixels counted from 1. */
  readonly box: Box;
  /** What its data set says of every frame, where it is no secret. */
  readonly truth?: Pick<Sequence, "boxes" | "cover" | "objectClass" | "resolution">;
}

/** One that cannot be followed, and why. */
export interface UnfitFilm {
  readonly name: string;
  readonly error: BitswarmError;
}

/** One line of a film and what was wrong; most messages name it themselves. */
export function failureLine(film: string, message: string): string {
  return message.includes(film) ? message : `${film}: ${message}`;
}

export interface Films {
  /** For people and for files: "GOT-10k val". */
  readonly title: string;
  readonly layout: ResultLayout;
  /** How results on it are scored unless somebody says otherwise; none without a truth. */
  readonly protocol: ScoreProtocol | undefined;
  readonly films: readonly FilmSource[];
  readonly unfit: readonly UnfitFilm[];
}

export interface OpenFilmsOptions {
  /** A kind of data set, or a folder of pictures. */
  readonly data: string;
  readonly root?: string | undefined;
  /** Of a data set with several lists. */
  readonly split?: string | undefined;
  /** Names of sequences, or their numbers from 1; all unless given. */
  readonly sequences?: readonly string[] | undefined;
  /** Of a folder of pictures. */
  readonly box?: Box | undefined;
}

const titles: Readonly<Record<string, string>> = { got10k: "GOT-10k", otb: "OTB", uav123: "UAV123", vot: "VOT" };

const isKind = (data: string): data is TrackKind => (trackKinds as readonly string[]).includes(data);

function tooLong({ name, frames }: Pick<FilmSource, "name" | "frames">): BitswarmError | undefined {
  if (frames.length <= MAX_TRACK_FRAMES) return undefined;
  return new BitswarmError(
    "DATA_INVALID",
    `${name} has ${frames.length} frames; at most ${MAX_TRACK_FRAMES} are followed: cut it in parts`,
  );
}

/** @throws CONFIG_INVALID for a sequence that is not there */
export function chosenNames(names: readonly string[], wanted: readonly string[] | undefined): readonly string[] {
  if (!wanted || wanted.length === 0) return names;
  return wanted.map((one) => {
    const found = names.find((name) => otbSpellings(name).includes(one)) ?? names[Number(one) - 1];
    if (found !== undefined) return found;
    throw new BitswarmError(
      "CONFIG_INVALID",
      `--sequence ${one} is none of the ${names.length} sequences; name one, such as ${names[0]}, or its number from 1 to ${names.length}`,
    );
  });
}

async function ofDataSet(data: TrackKind, options: OpenFilmsOptions): Promise<Films> {
  const { root, split, sequences, box } = options;
  if (root === undefined) {
    throw new BitswarmError(
      "CONFIG_INVALID",
      `--data ${data} needs --root: the folder in which the data set was unpacked`,
    );
  }
  if (box !== undefined) {
    throw new BitswarmError(
      "CONFIG_INVALID",
      `--box is of a folder of pictures; the sequences of ${data} have their own`,
    );
  }
  if (data === "uav20l" && split !== undefined) {
    throw new BitswarmError("CONFIG_INVALID", "--data uav20l has one list; leave --split out");
  }
  const set =
    data === "uav20l"
      ? await openSequences("uav123", root, { list: "uav20l" })
      : await openSequences(data, root, { list: split });
  const films: FilmSource[] = [];
  const unfit: UnfitFilm[] = [];
  let secret = false;
  for (const name of chosenNames(set.names, sequences)) {
    try {
      const sequence = await set.read(name);
      const { frames, boxes, cover, objectClass, resolution } = sequence;
      const long = tooLong({ name, frames });
      if (long) throw long;
      secret ||= sequence.secret;
      const truth = {
        boxes,
        ...(cover && { cover }),
        ...(objectClass === undefined ? {} : { objectClass }),
        ...(resolution && { resolution }),
      };
      const spellings = data === "otb" ? otbSpellings(name) : [name];
      films.push({ name, spellings, frames, box: requireFirstBox(sequence), ...(sequence.secret ? {} : { truth }) });
    } catch (error) {
      if (!(error instanceof BitswarmError) || (error.code !== "DATA_INVALID" && error.code !== "DATA_MISSING"))
        throw error;
      unfit.push({ name, error });
    }
  }
  // UAV123's own list has its name.
  const own = data === "uav123" && set.list === "uav123";
  const title = data === "uav20l" ? "UAV20L" : own ? titles[data] : `${titles[data]} ${set.list}`;
  const layout = data === "got10k" ? "got10k" : "flat";
  return { title, layout, protocol: secret ? undefined : set.protocol, films, unfit };
}

const picture = /\.(jpe?g|png)$/i;

/** Numbers in names are compared as numbers: 9.jpg comes before 10.jpg. */
const byNumber = new Intl.Collator("en", { numeric: true });

async function ofFolder(folder: string, { box, root, split, sequences }: OpenFilmsOptions): Promise<Films> {
  const other = Object.entries({ root, split, sequence: sequences?.[0] }).find(([, value]) => value !== undefined);
  if (other) {
    throw new BitswarmError("CONFIG_INVALID", `--${other[0]} is of a data set; ${folder} is a folder of pictures`);
  }
  if (box === undefined) {
    throw new BitswarmError(
      "CONFIG_INVALID",
      `--data ${folder} needs --box x,y,w,h: the target in its first picture; of data sets there are ${trackKinds.join(", ")}`,
    );
  }
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") {
      throw new BitswarmError(
        "DATA_MISSING",
        `${folder} is no folder; give a folder of pictures, or a kind of data set: ${trackKinds.join(", ")}`,
      );
    }
    throw storageError(error, folder, undefined, "read");
  });
  const frames = names
    .filter((name) => picture.test(name))
    .sort(byNumber.compare)
    .map((name) => path.join(folder, name));
  const name = path.basename(path.resolve(folder));
  if (frames.length === 0) {
    throw new BitswarmError("DATA_MISSING", `${folder} has no picture (.jpg or .png); give the folder of the frames`);
  }
  const film = { name, spellings: [name], frames, box };
  const long = tooLong(film);
  if (long) throw long;
  return { title: name, layout: "flat", protocol: undefined, films: [film], unfit: [] };
}

/**
 * @throws CONFIG_INVALID for options that do not go together, DATA_MISSING and DATA_INVALID for a data set that is not
 * there; what is wrong with one sequence is told among the unfit
 */
export async function openFilms(options: OpenFilmsOptions): Promise<Films> {
  return isKind(options.data) ? ofDataSet(options.data, options) : ofFolder(options.data, options);
}

/** `x,y,w,h`, pixels counted from 1. @throws CONFIG_INVALID */
export function parseBox(text: string): Box {
  const numbers = text.split(",").map((one) => (one.trim() === "" ? Number.NaN : Number(one)));
  const [x, y, w, h] = numbers;
  if (numbers.length !== 4 || !numbers.every(Number.isFinite) || !(w > 0 && h > 0)) {
    throw new BitswarmError(
      "CONFIG_INVALID",
      `--box must be four numbers x,y,w,h, the corner from 1 and sides above 0; got ${JSON.stringify(text)}`,
    );
  }
  return { x, y, w, h };
}
