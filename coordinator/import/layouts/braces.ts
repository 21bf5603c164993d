// Names of shards with braces, as WebDataset's users write them: `train-{0000..1023}.tar`.

import { BitswarmError } from "../../../shared/base/errors.ts";

/** Most files that braces may mean. */
export const MOST_SHARDS = 65_536;

function rangeOf(text: string): string[] | undefined {
  const [, first, last] = /^(\d{1,9})\.\.(\d{1,9})$/.exec(text) ?? [];
  if (first === undefined) return text.includes(",") ? text.split(",") : undefined;
  const from = Number(first);
  const to = Number(last);
  // As many digits as were written, where there is a zero in front.
  const padded = /^0\d/.test(first) || /^0\d/.test(last);
  const digits = padded ? Math.max(first.length, last.length) : 1;
  const count = Math.abs(to - from) + 1;
  if (count > MOST_SHARDS) throw tooMany(`{${text}}`, count);
  return Array.from({ length: count }, (_, i) => String(from + (to < from ? -i : i)).padStart(digits, "0"));
}

function tooMany(text: string, count: number): BitswarmError {
  return new BitswarmError(
    "DATA_INVALID",
    `${text} means ${count} files; the limit is ${MOST_SHARDS}: give their folder`,
  );
}

/** The names that a name with braces means, in order; nothing where it has none. @throws DATA_INVALID for too many */
export function expandBraces(name: string): string[] | undefined {
  const [, head, inner, tail] = /^([^{}]*)\{([^{}]*)\}(.*)$/.exec(name) ?? [];
  if (inner === undefined) return undefined;
  const middles = rangeOf(inner);
  if (middles === undefined) return undefined;
  const tails = expandBraces(tail) ?? [tail];
  if (middles.length * tails.length > MOST_SHARDS) throw tooMany(name, middles.length * tails.length);
  return middles.flatMap((middle) => tails.map((end) => `${head}${middle}${end}`));
}
