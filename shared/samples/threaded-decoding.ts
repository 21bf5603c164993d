// Decodes in threads beside the one that serves the GPU: samples' bytes go there, microbatches come back.

import { BitswarmError } from "../base/errors.ts";
import { type Dataset, holdsJpegs } from "../data/dataset.ts";
import { type DecodeMessage, type DecodeReply, packSamples } from "./decode-messages.ts";
import { type Decoding, decodeHere, type OpenDecoding } from "./decoding.ts";
import type { DecodedMicrobatch } from "./microbatch.ts";
import { createSampleDecoder, type DecoderConfig } from "./sample-decoder.ts";
import { sampleSource } from "./sample-source.ts";

/** A thread that runs a decode service. */
export interface DecodeThread {
  post(message: DecodeMessage, transfer: readonly ArrayBuffer[]): void;
  /** Ends it at once. */
  end(): void;
}

/** @param failed the thread is of no more use, and why */
export type OpenDecodeThread = (heard: (reply: DecodeReply) => void, failed: (why: string) => void) => DecodeThread;

/** More would wait for each other: so few microbatches are decoded ahead. */
const MOST_THREADS = 3;

/** Threads for a machine of so many cores, of which the GPU's driver, the session and the person want some too. */
export function threadsFor(cores: number): number {
  return Math.max(1, Math.min(MOST_THREADS, Math.floor(cores / 2)));
}

/** Encoded images in threads; a copy of pixels costs less than its way to one and back. */
export function decodeBeside(open: OpenDecodeThread, threads: number): OpenDecoding {
  return (config, dataset) =>
    holdsJpegs(dataset.format) ? decodeThreaded(config, dataset, open, threads) : decodeHere(config, dataset);
}

interface Pending {
  readonly resolve: (microbatch: DecodedMicrobatch) => void;
  readonly reject: (error: BitswarmError) => void;
}

interface Busy {
  readonly thread: DecodeThread;
  readonly pending: Map<number, Pending>;
}

/** @throws DATA_INVALID for a data set whose manifest contradicts itself, or that the task cannot read */
export function decodeThreaded(
  config: DecoderConfig,
  dataset: Dataset,
  open: OpenDecodeThread,
  threads: number,
): Decoding {
  const source = sampleSource(dataset);
  // What is wrong with the data set is said when the run is joined, not by its first lease.
  createSampleDecoder(config, dataset);
  const { seed, data, task } = config;
  const start = { kind: "start", config: { seed, data, task }, dataset } as const;
  const running = new Set<Busy>();
  let nextId = 1;
  let closed = false;

  const lose = (busy: Busy, why: string) => {
    running.delete(busy);
    busy.thread.end();
    for (const { reject } of busy.pending.values()) {
      reject(new BitswarmError("COMPUTE_FAILED", `the thread that decodes images ended: ${why}`));
    }
    busy.pending.clear();
  };

  const begin = (): Busy => {
    const pending = new Map<number, Pending>();
    const heard = (reply: DecodeReply) => {
      const waiting = pending.get(reply.id);
      pending.delete(reply.id);
      if (reply.kind === "refused") waiting?.reject(new BitswarmError(reply.code, reply.message));
      else waiting?.resolve({ input: reply.input, checksum: reply.checksum });
    };
    const busy: Busy = { pending, thread: open(heard, (why) => lose(busy, why)) };
    busy.thread.post(start, []);
    running.add(busy);
    return busy;
  };

  /** The least busy; a fresh one where all have something to do and there may be more. */
  const free = (): Busy => {
    const least = [...running].sort((a, b) => a.pending.size - b.pending.size)[0];
    return least && (least.pending.size === 0 || running.size >= threads) ? least : begin();
  };

  return {
    piecesOf: source.piecesOf,
    async decode(round, samples, held) {
      if (closed) throw new BitswarmError("COMPUTE_FAILED", "the run's samples are not decoded any more");
      const bytes = packSamples(source.read(round.split, samples, held));
      const id = nextId++;
      const { phase, epoch, split } = round;
      const { thread, pending } = free();
      return new Promise((resolve, reject) => {
        pending.set(id, { resolve, reject });
        const message = { kind: "decode", id, round: { phase, epoch, split }, samples, bytes } as const;
        thread.post(message, [bytes.contents.buffer, bytes.targets.buffer]);
      });
    },
    close() {
      closed = true;
      for (const busy of [...running]) lose(busy, "the session is over");
    },
  };
}
