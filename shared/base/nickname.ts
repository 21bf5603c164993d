// What somebody is called on a board that strangers read: a short line of characters that can be looked at, so that no
// name hides, flips or floods the lines around it.

/** Characters of a nickname, a mark on a letter counted as one. */
export const MOST_NICKNAME = 24;

/** Controls, marks of direction, what has no width or no meaning. */
const unseen = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;
/** Marks that pile up on one letter cover the lines above and below. */
const pile = /(\p{M}{2})\p{M}+/gu;

/** A text as a nickname, cut to its length; empty where nothing of it can be one. */
export function nicknameIn(text: string): string {
  const line = text
    // No more than can be needed: a pile may be most of it.
    .slice(0, 16 * MOST_NICKNAME)
    .normalize("NFC")
    .replace(/\s+/gu, " ")
    .replace(unseen, "")
    .replace(pile, "$1")
    .trim();
  return [...line].slice(0, MOST_NICKNAME).join("").trim();
}
