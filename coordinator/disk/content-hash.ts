// Content addresses on the coordinator: the platform's SHA-256, which hashes a checkpoint in a fraction of the time of
// the portable one.

import { createHash } from "node:crypto";

/** SHA-256 as 64 lower-case hex digits; text counts as UTF-8. */
export function contentHash(content: Uint8Array | string): string {
  return createHash("sha256").update(content).digest("hex");
}
