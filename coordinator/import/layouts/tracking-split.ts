// Sequences of a tracking data set as the samples of a split: what whoever makes the clip is told is the
// sample's content, and no frame is read here.

import { BitswarmError } from "../../../shared/base/errors.ts";
import { planOf, writePlan } from "../../sequences/clip-plan.ts";
import { openSequences } from "../../sequences/open-sequences.ts";
import type { Sequence, SequenceKind, SequenceSet } from "../../sequences/sequence.ts";
import type { Cursor, Item, OpenSource, SourceClass, SourceSplit } from "./layout.ts";
import { boundedLeft, type Left } from "./left.ts";
import type { Listing } from "./listing.ts";

/** Of a clip in a store, for the time that is left and the room on the disk. */
const CLIP_BYTES = 600_000;
/** Of sequences whose class nobody says. */
const TARGET = "target";

function splitOf(set: SequenceSet, labelOf: (sequence: Sequence) => number): SourceSplit {
  const names = set.names.filter((name) => !set.flawed.has(name));
  return {
    samples: names.length,
    groups: [...new Set(names.map(set.videoOf))],
    bytes: CLIP_BYTES * names.length,
    async *read(from?: Cursor): AsyncGenerator<Item> {
      for (let at = from === undefined ? 0 : Number(from); at < names.length; at++) {
        const place = { cursor: String(at + 1), bytesRead: CLIP_BYTES * (at + 1) };
        const name = names[at];
        try {
          const sequence = await set.read(name);
          const content = writePlan(planOf(sequence));
          yield { sample: { name, label: labelOf(sequence), group: sequence.video, content }, ...place };
        } catch (error) {
          if (!(error instanceof BitswarmError) || !error.code.startsWith("DATA_")) throw error;
          yield { reject: { source: name, why: error.message }, ...place };
        }
      }
    },
  };
}

const leftOf = ({ flawed }: SequenceSet): Left[] =>
  [...flawed].map(([source, why]) => ({ source, why: `known to be wrong: ${why}` }));

/** All object classes of some sets, in order. */
async function classesOf(sets: readonly SequenceSet[], tell?: (what: string) => void): Promise<string[]> {
  const classes = new Set<string>();
  for (const set of sets) {
    for (const [at, name] of set.names.entries()) {
      if (at > 0 && at % 1000 === 0) tell?.(`looking at sequence ${at} of ${set.names.length}`);
      classes.add((await set.classOf?.(name)) ?? TARGET);
    }
  }
  return [...classes].sort();
}

/** A source whose sequences are those of one list, a part of which will be held out. */
export async function openTracking(source: Listing, kind: SequenceKind): Promise<OpenSource> {
  const set = await openSequences(kind, source.root, kind === "uav123" ? { list: "uav123" } : {});
  return {
    classes: [{ name: TARGET }],
    media: "clips",
    splits: { train: splitOf(set, () => 0) },
    notices: [],
    left: boundedLeft(leftOf(set)),
  };
}

/** GOT-10k: its train, and its val where it is there. */
export async function openTrackingLists(
  source: Listing,
  lists: { readonly train: string; readonly val?: string },
  tell?: (what: string) => void,
): Promise<OpenSource> {
  const train = await openSequences("got10k", source.root, { list: lists.train });
  const val = lists.val === undefined ? undefined : await openSequences("got10k", source.root, { list: lists.val });
  const named = await classesOf(val ? [train, val] : [train], tell);
  const classes: SourceClass[] = named.map((name) => ({ name }));
  const labels = new Map(classes.map(({ name }, label) => [name, label]));
  const labelOf = ({ objectClass = TARGET }: Sequence) => labels.get(objectClass) ?? 0;
  return {
    classes,
    media: "clips",
    splits: { train: splitOf(train, labelOf), ...(val && { val: splitOf(val, labelOf) }) },
    notices: val ? [] : ["there is no val: unpack GOT-10k's, or some of train will be held out"],
    left: boundedLeft([...leftOf(train), ...(val ? leftOf(val) : [])]),
  };
}
