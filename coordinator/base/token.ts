// The run's two secrets. Who has the link's token may work for the run; who has the operator's is whoever started it,
// and is trusted as far as this machine is. Nobody else learns anything from the run.

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { OPERATOR_TOKEN_PREFIX } from "../../shared/wire/operator-token.ts";

export interface RunTokens {
  /** In the volunteers' link. */
  readonly token: string;
  /** Of the operator's own workers; leaves this machine never. */
  readonly operatorToken: string;
}

/** Whose a token is. */
export type TokenHolder = "volunteer" | "operator";

/** 128 random bits, fit for a link. */
export function createToken(): string {
  return randomBytes(16).toString("base64url");
}

export function createOperatorToken(): string {
  return `${OPERATOR_TOKEN_PREFIX}${createToken()}`;
}

/** Compares in constant time: how much of a guess is right must not be measurable. */
function isToken(token: string, guess: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(token), digest(guess));
}

/** Whose a token is that somebody shows; undefined for one that is nobody's. */
export function tokenHolder({ token, operatorToken }: RunTokens, shown = ""): TokenHolder | undefined {
  // Both are compared, whatever the first says.
  const [operator, volunteer] = [isToken(operatorToken, shown), isToken(token, shown)];
  if (operator) return "operator";
  return volunteer ? "volunteer" : undefined;
}
