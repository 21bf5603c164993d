// The run's token: who has the link may work for the run, nobody else learns anything from it.

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";

/** 128 random bits, fit for a link. */
export function createToken(): string {
  return randomBytes(16).toString("base64url");
}

/** Compares in constant time: how much of a guess is right must not be measurable. */
export function isToken(token: string, guess: string | undefined): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(token), digest(guess ?? ""));
}
