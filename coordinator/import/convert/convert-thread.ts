// A thread that converts images, one after another, as convert-pool.ts asks.

import v8 from "node:v8";
import vm from "node:vm";
import { parentPort, workerData } from "node:worker_threads";
import { BitswarmError } from "../../../shared/base/errors.ts";
import { createJpegDecoder } from "../../../shared/image/jpeg.ts";
import { readPlan } from "../../sequences/clip-plan.ts";
import { ImageConverter } from "./convert-image.ts";
import type { ConvertOrder, ConvertReply, ConvertStart } from "./convert-messages.ts";
import { pictureDecoder } from "./decode-picture.ts";
import { aloneBy } from "./large-lock.ts";
import { makeClip } from "./make-clip.ts";

if (parentPort === null) throw new Error("convert-thread.js is started by the coordinator, not by hand");
const port = parentPort;
const { decoder, lock } = workerData as ConvertStart;
/**
 * Pixels lie outside of the heap, so the collector sees little reason to run while they pile up: asked now and then, a
 * thread needs 20 MiB in place of 40. https://nodejs.org/docs/latest-v20.x/api/v8.html#v8setflagsfromstringflags
 */
v8.setFlagsFromString("--expose-gc");
const collect = vm.runInNewContext("gc") as (options?: { readonly type: "minor" }) => void;
const COLLECT_EVERY = 8;
/** A file of so many bytes has pixels enough to collect at once. */
const COLLECT_BYTES = 2 ** 19;
let converted = 0;

/** What sharp had goes back in a turn of its own. */
async function release(): Promise<void> {
  collect();
  await new Promise((resolve) => setImmediate(resolve));
}

const open = () => createJpegDecoder(decoder);
const jpeg = await open();
const converter = new ImageConverter(jpeg, aloneBy(lock, release), open);
const decode = await pictureDecoder({ jpeg });

async function answer({ id, content, target, mostCrops }: ConvertOrder): Promise<void> {
  if (++converted % COLLECT_EVERY === 0 || content.length >= COLLECT_BYTES) collect({ type: "minor" });
  try {
    const outcome =
      mostCrops === undefined
        ? await converter.convert(content, target)
        : await makeClip(readPlan(content), target, mostCrops, decode);
    const moved = outcome.verdict === "reject" ? [] : [outcome.content.buffer];
    port.postMessage({ id, outcome } satisfies ConvertReply, moved);
  } catch (error) {
    if (!(error instanceof BitswarmError)) throw error;
    const { code, message } = error;
    port.postMessage({ id, failure: { code, message } } satisfies ConvertReply);
  }
}

// What is thrown beside that ends the thread, and the pool says so.
let last: Promise<void> = Promise.resolve();
port.on("message", (order: ConvertOrder) => {
  last = last.then(() => answer(order));
});
