// The side of a decode thread: decodes what it is told, one microbatch after another.

import { BitswarmError } from "../base/errors.ts";
import { holdsJpegs } from "../data/dataset.ts";
import type { JpegDecoder } from "../image/jpeg.ts";
import { type DecodeMessage, type DecodeReply, type DecodeRequest, unpackSamples } from "./decode-messages.ts";
import { createSampleDecoder, type SampleDecoder } from "./sample-decoder.ts";

export interface DecodeService {
  /** Takes what the session says; answers come in the order of the questions. */
  take(message: DecodeMessage): void;
}

/**
 * @param openJpeg asked once, where a run's images are JPEGs
 * @param reply with what is given away by it
 */
export function decodeService(
  openJpeg: () => Promise<JpegDecoder>,
  reply: (message: DecodeReply, transfer: readonly ArrayBuffer[]) => void,
): DecodeService {
  let jpeg: Promise<JpegDecoder> | undefined;
  let decoder: Promise<SampleDecoder> | undefined;

  const start = async ({ config, dataset }: Extract<DecodeMessage, { kind: "start" }>): Promise<SampleDecoder> => {
    if (!holdsJpegs(dataset.format)) return createSampleDecoder(config, dataset);
    jpeg ??= openJpeg();
    return createSampleDecoder(config, dataset, { jpeg: await jpeg });
  };

  const answer = async ({ id, round, samples, bytes }: DecodeRequest): Promise<void> => {
    try {
      if (!decoder) throw new RangeError("a microbatch was to be decoded before the run is known");
      const { input, checksum } = (await decoder).decode(round, samples, unpackSamples(bytes));
      const given = Object.values(input).map(({ buffer }) => buffer);
      reply({ kind: "decoded", id, input, checksum }, [...new Set(given)]);
    } catch (error) {
      const { code, message } =
        error instanceof BitswarmError
          ? error
          : { code: "COMPUTE_FAILED" as const, message: `samples could not be decoded: ${String(error)}` };
      reply({ kind: "refused", id, code, message }, []);
    }
  };

  let turn = Promise.resolve();
  return {
    take(message) {
      if (message.kind === "decode") {
        turn = turn.then(() => answer(message));
        return;
      }
      decoder = start(message);
      // Whoever asks for a microbatch hears of it.
      decoder.catch(() => undefined);
    },
  };
}
