// An import in words for a terminal: pure functions from events to lines.

import { resolve } from "node:path";
import { bytesText } from "../../shared/base/bytes-text.ts";
import { cut, filled } from "../../shared/base/terminal-text.ts";
import { MEDIA_CLIP } from "../../shared/data/dataset.ts";
import { commandText } from "../base/command-text.ts";
import { printable } from "../base/printable.ts";
import type { ImportEvent, ImportProgress, ImportSummary } from "../import/import-event.ts";
import { NAMED_REJECTS } from "../import/rejects.ts";
import { bar, duration, percent } from "./progress-text.ts";

/** Columns of the bar. */
const BAR = 30;

const doing = { reading: "reading and converting", writing: "writing shards" } as const;

/** With thin spaces for no one: thousands are easier to read with commas. */
const counted = (n: number) => Math.round(n).toLocaleString("en-US");

/** What a source has, in words. */
const nouns = { encoded: "images", pixels: "images", clips: "sequences" } as const;
/** The same of a store. */
const storedNoun = (media: ImportSummary["media"]) => (media === MEDIA_CLIP ? nouns.clips : nouns.encoded);

function parts({
  doing: what,
  split,
  share,
  media,
  samples,
  samplesPerSecond,
  rejected,
  etaSeconds,
}: ImportProgress): string[] {
  const speed = samplesPerSecond > 0 ? [`${counted(samplesPerSecond)} a second`] : [];
  const rejects = rejected > 0 ? [`${counted(rejected)} rejected`] : [];
  const eta = etaSeconds === null ? "ETA –" : `ETA ${duration(etaSeconds)}`;
  return [percent(share), eta, `${doing[what]} ${split}`, `${counted(samples)} ${nouns[media]}`, ...speed, ...rejects];
}

/** The block that a terminal redraws; each line is narrower than `columns`. */
export function importBlock(progress: ImportProgress, columns: number): string[] {
  const [share, eta, ...rest] = parts(progress);
  const drawn = bar(progress.share, Math.max(4, Math.min(BAR, columns - 30)));
  return [`${drawn} ${share}  ${eta}`, ...filled(rest, columns - 1, ", ")].map((line) => cut(line, columns - 1));
}

/** The same in one line, for logs. */
export function importLine(progress: ImportProgress): string {
  return parts(progress).join(", ");
}

function recognisedLine({ why, classes, media, splits }: Extract<ImportEvent, { type: "recognised" }>): string {
  const each = Object.entries(splits).map(([name, { samples, bytes }]) => {
    if (media === "clips") return `${name} of ${counted(samples ?? 0)} sequences`;
    const size = bytesText(bytes);
    return samples === null ? `${name} of ${size}` : `${name} of ${counted(samples)} images, ${size}`;
  });
  const kinds = media === "clips" ? "" : `${counted(classes)} classes; `;
  return `This is ${why}.\n${kinds}${each.join("; ")}.`;
}

/** The line of an event that stays; nothing for those that the block shows, or the end. */
export function importEventLine(event: ImportEvent): string | undefined {
  switch (event.type) {
    case "recognised":
      return recognisedLine(event);
    case "notice":
      return `note: ${event.message}`;
    case "resumed":
      return `It was begun before, and goes on at ${percent(event.share)}.`;
    case "rejected":
    case "progress":
    case "done":
      return undefined;
    default:
      return event satisfies never;
  }
}

/** Images from which on a set is trained on as ImageNet is. */
const MANY_IMAGES = 200_000;

/** Sequences from which on it is GOT-10k. */
const MANY_SEQUENCES = 2000;

/** The configuration that is meant for such a store. */
function configOf({ media, splits }: ImportSummary): string {
  const samples = splits.train?.samples ?? 0;
  if (media === MEDIA_CLIP) return samples >= MANY_SEQUENCES ? "got10k-siamfc.yaml" : "tracking-small.yaml";
  if (media === "pixels") return "cifar100-wrn22.yaml";
  return samples >= MANY_IMAGES ? "imagenet-resnet18.yaml" : "imagefolder-small.yaml";
}

/** The command that trains on a store. */
export function startCommand(summary: ImportSummary): string {
  const where = `data.store=${resolve(summary.store)}`;
  return commandText("coordinator", ["start", configOf(summary), "--set", where]);
}

export function summaryText(summary: ImportSummary): string {
  const { store, classes, media, splits, bytes, converted, rejected, firstRejects, already, sha256 } = summary;
  const each = Object.entries(splits).map(
    ([name, { samples, shards }]) => `  ${name}: ${counted(samples)} ${storedNoun(media)} in ${counted(shards)} shards`,
  );
  const named = firstRejects.map(({ split, source, why }) => `  ${split}: ${printable(source)}: ${printable(why)}`);
  const more = rejected > firstRejects.length ? [`  and ${counted(rejected - firstRejects.length)} more`] : [];
  const lists = [
    `${counted(converted)} converted${converted > 0 ? ` (listed in converted.ndjson)` : ""}, ${counted(rejected)} rejected${rejected > 0 ? ` (listed in rejected.ndjson)${rejected > NAMED_REJECTS ? `, the first ${NAMED_REJECTS}` : ""}:` : ""}`,
    ...named,
    ...more,
  ];
  return [
    already
      ? `${store} is finished already, and nothing was read again; for another source, or one that has changed, give another folder.`
      : `${store} is done.`,
    `${counted(classes)} classes, ${bytesText(bytes)}, manifest ${sha256.slice(0, 12)}`,
    ...each,
    ...lists,
  ].join("\n");
}
