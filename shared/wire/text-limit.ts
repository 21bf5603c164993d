// A limit of its own file: pages cut texts to it, and need nothing else of the protocol.

/** Longest free text a peer may send (names, details), in characters. */
export const MAX_TEXT = 512;

/** Characters of a link that comes over standard input. */
export const MAX_LINK = 4096;
