// Shards for whoever asks from outside: one that is gone or damaged is none to them. Which file or bucket it is, and
// what to do about it, the operator is told, once.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { StoredBytes } from "../disk/stored-file.ts";
import type { OpenDataset } from "./open-dataset.ts";

type Tell = (error: unknown) => void;

/** The same bytes, whose reader learns no more of what goes wrong than that it does. */
function guarded(found: StoredBytes, tell: Tell): StoredBytes {
  const { bytes, path } = found;
  const open: StoredBytes["stream"] = (begin, end) => {
    let reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | undefined;
    return new ReadableStream(
      {
        async pull(controller) {
          try {
            reader ??= found.stream(begin, end).getReader();
            const { done, value } = await reader.read();
            if (done) controller.close();
            else controller.enqueue(value);
          } catch (error) {
            tell(error);
            throw new Error("a shard cannot be read now");
          }
        },
        cancel: (reason) => reader?.cancel(reason),
      },
      { highWaterMark: 0 },
    );
  };
  return { bytes, stream: open, ...(path === undefined ? {} : { path }) };
}

export function soundShards(
  data: Pick<OpenDataset, "shard">,
  onNotice: (message: string) => void,
): (sha256: string) => Promise<StoredBytes | undefined> {
  const told = new Set<string>();
  return async (sha256) => {
    const tell: Tell = (error) => {
      if (!told.has(sha256)) onNotice(`workers cannot have a shard of the data set: ${(error as Error).message}`);
      told.add(sha256);
    };
    try {
      const found = await data.shard(sha256);
      return found && guarded(found, tell);
    } catch (error) {
      if (!(error instanceof BitswarmError)) throw error;
      tell(error);
      return undefined;
    }
  };
}
