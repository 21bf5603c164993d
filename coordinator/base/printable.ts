// Text of strangers for a terminal and for files that people look at in one: what it says may not steer, hide or flood
// what stands around it.

/**
 * What is no character to look at: controls (C0 and C1), marks of direction, what has no width or no meaning (unpaired
 * surrogates, private and unassigned code points), and the separators of lines and paragraphs.
 */
const unseen = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;
/** Marks that pile up on one letter cover the lines above and below. */
const pile = /(\p{M}{2})\p{M}+/gu;

/** Characters of a name or a reason that are shown. */
export const SHOWN_CHARACTERS = 120;

/** The text in one line of characters that can be looked at, `?` for others, and no longer than `most`. */
export function printable(text: string, most = SHOWN_CHARACTERS): string {
  // No more of a long text than can be needed: a pile may be most of it.
  const seen = [
    ...text
      .slice(0, 8 * most)
      .replace(pile, "$1")
      .replace(unseen, "?"),
  ];
  return seen.length > most ? `${seen.slice(0, most).join("")}…` : seen.join("");
}

/** JSON in which every such character of a string is escaped: the value is the same, its text can be looked at. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value).replace(unseen, (character) => {
    const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at));
    return units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
  });
}
