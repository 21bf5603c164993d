// "Did you mean …?": the known word that a mistyped one is nearest to.

/** Characters of a word that are compared. */
const LONGEST = 128;

/** Insertions, deletions, replacements and swaps of neighbours between two words (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  const from = a.slice(0, LONGEST);
  const to = b.slice(0, LONGEST);
  let before: number[] = [];
  let last: number[] = Array.from({ length: to.length + 1 }, (_, j) => j);
  for (let i = 1; i <= from.length; i++) {
    const row = [i];
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1] ? 0 : 1;
      let least = Math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + same);
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) {
        least = Math.min(least, before[j - 2] + 1);
      }
      row.push(least);
    }
    before = last;
    last = row;
  }
  return last[to.length];
}

/**
 * The candidate nearest to a word, case aside; undefined where none is near: more than a third of the word is other.
 * A candidate that the word begins, or that begins the word, is near in any case.
 */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  // What is so long is no word.
  if (word.length > LONGEST) return undefined;
  const wanted = word.toLowerCase();
  let best: string | undefined;
  let least = Math.floor(Math.max(3, wanted.length) / 3) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(wanted, candidate.toLowerCase());
    if (distance < least) {
      best = candidate;
      least = distance;
    }
  }
  if (best !== undefined || wanted.length < 3) return best;
  return candidates.find((one) => {
    const known = one.toLowerCase();
    return known.startsWith(wanted) || (known.length > 2 && wanted.startsWith(known));
  });
}

/** "; did you mean epochs?", or nothing. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  const known = nearest(word, candidates);
  return known === undefined ? "" : `; did you mean ${known}?`;
}
