// A decode thread as a Web Worker, which browsers and Deno have alike: the thread's end, which alone needs decoders.

import { createJpegDecoder } from "../../shared/image/jpeg.ts";
import type { DecodeMessage, DecodeReply } from "../../shared/samples/decode-messages.ts";
import { decodeService } from "../../shared/samples/decode-service.ts";

/** What of a dedicated worker's global scope is used; the DOM library describes a window's. */
interface WorkerScope {
  postMessage(message: DecodeReply, transfer: readonly ArrayBuffer[]): void;
  addEventListener(type: "message", listener: (event: MessageEvent<DecodeMessage>) => void): void;
}

/**
 * Makes this thread a decode thread.
 * @param readModule the bytes of the JPEG decoder's module
 */
export function serveDecoding(readModule: () => Promise<ArrayBuffer | Uint8Array<ArrayBuffer>>): void {
  const scope = globalThis as unknown as WorkerScope;
  const openJpeg = async () => createJpegDecoder(await readModule());
  const service = decodeService(openJpeg, (message, transfer) => scope.postMessage(message, transfer));
  scope.addEventListener("message", ({ data }) => service.take(data));
}
