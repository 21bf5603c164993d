// Files and streams of one JSON value a line: events.ndjson, and what --json prints.

import { once } from "node:events";
import type { WriteStream } from "node:fs";
import type { NetworkScores, ShownScore } from "../../shared/tasks/shown-score.ts";
import { printableJson } from "../base/printable.ts";
import { appendToPlainFile } from "../disk/plain-file.ts";
import type { RunSummary } from "../engine/engine.ts";
import type { RunEvent } from "../engine/run-event.ts";
import type { LoopDelay } from "./loop-delay.ts";

/** Appends lines to a file. Not fsynced: what the run depends on is in the commit log. */
export class JsonLineFile {
  readonly #stream: WriteStream;
  #failure: Error | undefined;

  /** @param torn its last line has no end, and gets one @throws STORAGE_FAILED for what is no plain file */
  constructor(path: string, torn = false) {
    this.#stream = appendToPlainFile(path);
    // A full disk must not end the training for a log; close() says so.
    this.#stream.on("error", (error) => {
      this.#failure = error;
    });
    if (torn) this.#stream.write("\n");
  }

  append(value: object): void {
    if (!this.#failure) this.#stream.write(`${printableJson(value)}\n`);
  }

  /** Writes what is left; returns what went wrong on the way, if anything did. */
  async close(): Promise<Error | undefined> {
    if (!this.#failure) {
      this.#stream.end();
      await once(this.#stream, "close").catch(() => undefined);
    }
    return this.#failure;
  }
}

/** The line that --json prints for an event; nothing for most. `loopDelayMs`: since the step before. */
export function jsonLineOf(event: RunEvent, loopDelayMs: LoopDelay | null): string | undefined {
  if (event.type === "evaluation") {
    const { step, network, score } = event;
    return JSON.stringify({ event: "evaluation", step, network, score: plainScore(score) });
  }
  if (event.type !== "step") return undefined;
  const { step, epoch, loss, samples, workers, paramsHash, bytes } = event;
  return JSON.stringify({
    event: "step",
    step,
    epoch,
    loss,
    samples,
    workers,
    paramsHash,
    bytes,
    loopDelayMs,
  });
}

type PlainScore = Omit<ShownScore, "text" | "sentence">;

/** A score without the words for people. */
function plainScore({ name, value, better, others }: ShownScore): PlainScore {
  return { name, value, better, ...(others && { others }) };
}

function plainScores(scores: NetworkScores): Record<string, PlainScore> {
  return Object.fromEntries(Object.entries(scores).map(([network, score]) => [network, plainScore(score)]));
}

/** The last line that --json prints, of a run that ended or was stopped. */
export function jsonSummary(summary: RunSummary): string {
  const { step, epoch, samples, paramsHash, checkpoint } = summary;
  const scores = plainScores(summary.scores);
  return JSON.stringify({ event: "done", step, epoch, samples, scores, paramsHash, checkpoint });
}
