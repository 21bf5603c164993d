// The thread in which one network follows: the page stays quick, whatever computes and however long it takes.

import { BitswarmError } from "../../../shared/base/errors.ts";
import { trackOptions } from "../../../shared/tracking/track-step.ts";
import { Tracker } from "../../../shared/tracking/tracker.ts";
import { type LoadedBackbone, type LoadOptions, loadBackbone } from "../../inference/index.ts";
import type { Answered, Answers, Ask, Asked } from "./messages.ts";

let file: Uint8Array<ArrayBuffer> | undefined;
let options: LoadOptions = {};
let backbone: LoadedBackbone | undefined;
let tracker: Tracker | undefined;

/** @throws RangeError for a page that asks before it has loaded or started */
function there<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new RangeError(`there is no ${what} yet`);
  return value;
}

async function answer(ask: Ask): Promise<Answers[Ask["kind"]]> {
  switch (ask.kind) {
    case "load":
      file = ask.bytes;
      options = ask.backend === undefined ? {} : { backend: ask.backend };
      backbone = await loadBackbone(file, options);
      return { backend: backbone.info.backend };
    case "start": {
      // A GPU that was lost may be there again.
      backbone ??= await loadBackbone(there(file, "network"), options);
      const loaded = backbone;
      const { exemplar, instance, context, stride } = loaded.info;
      tracker?.dispose();
      tracker = undefined;
      const sides = { ...trackOptions, exemplar, instance, context, stride };
      tracker = await Tracker.start(loaded, { frame: ask.frame, box: ask.box, base: 0, options: sides });
      return undefined;
    }
    case "next": {
      const begun = performance.now();
      const { box, scale, responses, side } = await there(tracker, "target").next(ask.frame);
      return { box, scale, responses, side, ms: performance.now() - begun };
    }
    default:
      return ask satisfies never;
  }
}

/** Forgets a network that computes no more: the next target has it loaded again. */
function troubleOf(error: unknown): string {
  if (!(error instanceof BitswarmError)) {
    console.error(error);
    return "something unexpected went wrong";
  }
  if (error.code !== "COMPUTE_FAILED") return error.message;
  tracker = undefined;
  backbone?.dispose();
  backbone = undefined;
  return "The network could not be computed; the GPU may have been lost. Drag a new box to begin anew.";
}

// One after the other, as they were asked.
let turn: Promise<unknown> = Promise.resolve();
addEventListener("message", ({ data }: MessageEvent<Asked>) => {
  const { id, ask } = data;
  turn = turn.then(async () => {
    let said: Answered;
    try {
      said = { id, answer: await answer(ask) };
    } catch (error) {
      said = { id, trouble: troubleOf(error) };
    }
    postMessage(said);
  });
});
