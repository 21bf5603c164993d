// How far an import is, told a few times a second.

import type { StoreSplit } from "../store/manifest.ts";
import { arrangedSamples } from "./arrange.ts";
import { readSoFar } from "./gather.ts";
import type { Tell } from "./import-event.ts";
import type { Journal } from "./journal.ts";
import type { OpenSource } from "./layouts/layout.ts";

/** Of the whole import, what reading takes: images are decoded and encoded, pixels are not. */
const READING_SHARE = { encoded: 0.92, pixels: 0.6, clips: 0.98 } as const;
/** Between two tellings. */
const TELL_EVERY_MS = 200;

interface Ports {
  readonly tell: Tell;
  readonly now: () => number;
}

/** How far an import is, as one share that only rises. */
export class ProgressTeller {
  readonly #source: OpenSource;
  readonly #journal: Journal;
  readonly #ports: Ports;
  readonly #begin: { readonly at: number; readonly share: number; readonly files: number; readonly arranged: number };
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(source: OpenSource, journal: Journal, ports: Ports) {
    this.#source = source;
    this.#journal = journal;
    this.#ports = ports;
    this.#begin = {
      at: ports.now(),
      share: this.share,
      files: readSoFar(source, journal).files,
      arranged: arrangedSamples(journal),
    };
  }

  get share(): number {
    const reading = READING_SHARE[this.#source.media];
    const { share, ended } = readSoFar(this.#source, this.#journal);
    const stored = Object.values(this.#journal.stored).reduce((sum, { samples }) => sum + samples, 0);
    const arranged = stored === 0 ? 0 : arrangedSamples(this.#journal) / stored;
    return reading * (ended ? 1 : share) + (1 - reading) * (ended ? arranged : 0);
  }

  tell(doing: "reading" | "writing", split: StoreSplit): void {
    const now = this.#ports.now();
    if (now - this.#toldAt < TELL_EVERY_MS) return;
    this.#toldAt = now;
    const { at, share: from, files: filesFrom, arranged: arrangedFrom } = this.#begin;
    const seconds = (now - at) / 1000;
    const { share } = this;
    const { files, rejected } = readSoFar(this.#source, this.#journal);
    const samples = doing === "reading" ? files : arrangedSamples(this.#journal);
    const since = doing === "reading" ? files - filesFrom : samples - arrangedFrom;
    const etaSeconds = share > from && seconds > 1 ? ((1 - share) * seconds) / (share - from) : null;
    this.#ports.tell({
      type: "progress",
      doing,
      split,
      media: this.#source.media,
      share,
      samples,
      samplesPerSecond: seconds > 0 ? since / seconds : 0,
      rejected,
      etaSeconds,
    });
  }
}
