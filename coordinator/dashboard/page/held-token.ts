// Which token the page's commands bring with them: the coordinator has another after each resume, of which the page
// learns by what it answers.

import type { Answer } from "./line.ts";

/** The operator's token that is held after an answer to one that was shown; none where commands are locked. */
export function heldToken(held: string, shown: string, { ok, code }: Pick<Answer, "ok" | "code">): string {
  if (ok) return shown;
  // A line that was lost says nothing of a token.
  return code === "TOKEN_INVALID" ? "" : held;
}
