// A code of six characters that stands for a run's link: short enough for a board, as long as the link's token is the
// same.

import { createHmac, timingSafeEqual } from "node:crypto";

/** No two that look alike on a board, and no u, so that few words come of it. */
const CHARACTERS = "23456789abcdefghjkmnpqrstvwxyz";
const LENGTH = 6;
const HALF = 3;

const ANY_HALF = `[${CHARACTERS}${CHARACTERS.toUpperCase()}]{${HALF}}`;

/** What a code looks like in an address; its hyphen may be left out. What else answers at such a path goes first. */
export const CODE_PATTERN = `${ANY_HALF}-?${ANY_HALF}`;

/** `k7q-m4t`: one of 30^6, made from the volunteers' token so that nothing more has to be kept. */
export function shortCode(token: string): string {
  const digest = createHmac("sha256", token).update("bitswarm class room").digest();
  // 5 bytes a character: 2^40 is not a multiple of 30, by less than anybody could measure.
  const letters = Array.from({ length: LENGTH }, (_, i) => CHARACTERS[digest.readUIntBE(i * 5, 5) % CHARACTERS.length]);
  return `${letters.slice(0, HALF).join("")}-${letters.slice(HALF).join("")}`;
}

/** Compares in constant time, whatever the case of its letters, with its hyphen or without. */
export function isCode(token: string, guess: string): boolean {
  const [right, shown] = [shortCode(token), guess.toLowerCase()].map((code) => Buffer.from(code.replace("-", "")));
  return right.length === shown.length && timingSafeEqual(right, shown);
}
