// The run's three secrets. Who has the link's token may work for the run; who has the dashboard's may look on; who has
// the operator's is whoever started it, and is trusted as far as this machine is. Nobody else learns anything from the
// run.

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { DASHBOARD_TOKEN_PREFIX, OPERATOR_TOKEN_PREFIX } from "../../shared/wire/token-prefixes.ts";

export interface RunTokens {
  /** In the volunteers' link. */
  readonly token: string;
  /** Of the operator's own workers; leaves this machine with nobody but the operator. */
  readonly operatorToken: string;
}

/** What the dashboard is opened with. */
export interface DashboardTokens {
  /** Shows the dashboard, and lets nobody do anything. */
  readonly dashboardToken: string;
  /** Lets its holder act on the run, too. */
  readonly operatorToken: string;
}

/** Whose a token is. */
export type TokenHolder = "volunteer" | "operator";

/** What the holder of a token may do with the dashboard. */
export type DashboardRights = "look" | "act";

/** 128 random bits, fit for a link. */
export function createToken(): string {
  return randomBytes(16).toString("base64url");
}

export function createOperatorToken(): string {
  return `${OPERATOR_TOKEN_PREFIX}${createToken()}`;
}

export function createDashboardToken(): string {
  return `${DASHBOARD_TOKEN_PREFIX}${createToken()}`;
}

/** Compares in constant time: how much of a guess is right must not be measurable. */
export function isToken(token: string, guess: string): boolean {
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

/** What a token that somebody shows lets them do with the dashboard; undefined for nothing. */
export function dashboardRights(
  { dashboardToken, operatorToken }: DashboardTokens,
  shown = "",
): DashboardRights | undefined {
  const [operator, looker] = [isToken(operatorToken, shown), isToken(dashboardToken, shown)];
  if (operator) return "act";
  return looker ? "look" : undefined;
}
