// The labels of a store's list of samples, `label TAB name` a line, read no further than is asked for.

import { BitswarmError } from "../../../shared/base/errors.ts";

/** Longest line: a label and a name, which is a path. */
const LONGEST_LINE = 2 ** 16;

/**
 * @param where the list lies, for errors
 * @param samples that are wanted, from the first
 * @throws DATA_INVALID for a line that has no label, or a list that is shorter
 */
export async function* readLabels(
  pieces: AsyncIterable<Uint8Array>,
  where: string,
  samples: number,
): AsyncGenerator<number> {
  const decoder = new TextDecoder();
  let rest = "";
  let lines = 0;
  for await (const piece of pieces) {
    const parts = (rest + decoder.decode(piece, { stream: true })).split("\n");
    rest = parts.pop() ?? "";
    if (rest.length > LONGEST_LINE) throw invalid(where, lines, `is longer than ${LONGEST_LINE} characters`);
    for (const line of parts) {
      const [, label] = /^(\d{1,5})\t/.exec(line) ?? [];
      if (label === undefined) throw invalid(where, lines, "has no label before its name");
      yield Number(label);
      if (++lines === samples) return;
    }
  }
  throw invalid(where, lines, `is not there; expected ${samples} lines`);
}

function invalid(where: string, line: number, what: string): BitswarmError {
  return new BitswarmError("DATA_INVALID", `${where}: line ${line + 1} ${what}: copy the store anew`);
}
