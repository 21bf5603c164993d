// The thread that decodes what leases name: the same service that workers run beside their GPUs.

import { parentPort } from "node:worker_threads";
import { createJpegDecoder } from "../../shared/image/jpeg.ts";
import type { DecodeMessage } from "../../shared/samples/decode-messages.ts";
import { decodeService } from "../../shared/samples/decode-service.ts";
import { readJpegModule } from "../base/jpeg-module.ts";

const openJpeg = async () => createJpegDecoder(await readJpegModule());
const service = decodeService(openJpeg, (reply, transfer) => parentPort?.postMessage(reply, [...transfer]));
parentPort?.on("message", (message: DecodeMessage) => service.take(message));
