// A decode thread in Node, for whoever holds the other end of it.

import { join } from "node:path";
import { Worker } from "node:worker_threads";
import type { DecodeReply } from "../../shared/samples/decode-messages.ts";
import type { OpenDecodeThread } from "../../shared/samples/threaded-decoding.ts";
import { builtFolder } from "../base/package-root.ts";

/** The thread does not keep the process. */
export const nodeDecodeThread: OpenDecodeThread = (heard, failed) => {
  const program = join(builtFolder(), "coordinator", "data-checks", "decode-program.js");
  const worker = new Worker(program, { stdin: false });
  worker.unref();
  worker.on("message", (reply: DecodeReply) => heard(reply));
  worker.on("error", (error) => failed(error.message));
  worker.on("exit", (code) => failed(`it exited with ${code}`));
  return {
    post: (message, transfer) => worker.postMessage(message, [...transfer]),
    end: () => void worker.terminate(),
  };
};
