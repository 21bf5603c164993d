// In the place of the session's Web Worker: has a microbatch decoded and says what came of it.

import "../../../../worker/platform/browser/no-eval.ts";

import { webDecodeThread } from "../../../../worker/platform/decode-thread.ts";
import { decodedCase } from "../decoded-case.ts";

const scope = globalThis as unknown as { postMessage(message: unknown): void };
const open = webDecodeThread(
  () =>
    new Worker(new URL("../../../../worker/platform/browser/decode-worker.ts", import.meta.url), { type: "module" }),
);
try {
  const text = await (await fetch("/case")).text();
  scope.postMessage(await decodedCase(text, open));
} catch (error) {
  scope.postMessage({ failed: String(error) });
}
