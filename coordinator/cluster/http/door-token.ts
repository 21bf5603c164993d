// Who may read at a holder's door: each asker has a token of its own, which the holder makes from its name and from a
// secret that it draws when it begins. It travels over the bus, where none but the cluster's nodes are.

import { createHmac, randomBytes } from "node:crypto";
import { isToken } from "../../base/token.ts";

/** A node's name, a dot, and 256 bits in base64url: as much as is looked at. */
const MOST_TOKEN_CHARACTERS = 32 + 1 + 43;

export class DoorTokens {
  readonly #secret = randomBytes(32);

  of(asker: string): string {
    return `${asker}.${createHmac("sha256", this.#secret).update(asker).digest("base64url")}`;
  }

  /** Whose token this is; nothing for one that is nobody's. */
  asker(token: string): string | undefined {
    if (token.length > MOST_TOKEN_CHARACTERS) return undefined;
    const [asker] = token.split(".");
    return isToken(this.of(asker), token) ? asker : undefined;
  }
}
