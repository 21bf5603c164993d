// A decode thread as a Web Worker, which browsers and Deno have alike: the session's end.

import type { DecodeReply } from "../../shared/samples/decode-messages.ts";
import type { OpenDecodeThread } from "../../shared/samples/threaded-decoding.ts";

/** @param start starts the module that calls serveDecoding() */
export function webDecodeThread(start: () => Worker): OpenDecodeThread {
  return (heard, failed) => {
    const worker = start();
    worker.onmessage = ({ data }: MessageEvent<DecodeReply>) => heard(data);
    worker.onerror = (event) => {
      event.preventDefault();
      failed(event.message || "its script did not load");
    };
    worker.onmessageerror = () => failed("what it said could not be read");
    return {
      post: (message, transfer) => worker.postMessage(message, [...transfer]),
      end: () => worker.terminate(),
    };
  };
}
