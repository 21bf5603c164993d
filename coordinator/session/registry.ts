// The sessions that there are, by worker and by token, and the accounts behind them.

import { createHash } from "node:crypto";
import { accountOf } from "../../shared/base/identity.ts";
import type { WorkerId } from "../../shared/base/ids.ts";
import type { HelloMessage } from "../../shared/wire/protocol.ts";
import type { Session } from "./session.ts";

interface Entry {
  readonly session: Session;
  readonly tokenHash: string;
  readonly account: string;
}

export class SessionRegistry {
  readonly #entries = new Map<WorkerId, Entry>();
  /** By the hash of their token: how far a guess is right must not show in the time that a look-up takes. */
  readonly #byToken = new Map<string, Entry>();

  get size(): number {
    return this.#entries.size;
  }

  /** All of them; may be removed while they are gone through. */
  get all(): readonly Session[] {
    return [...this.#entries.values()].map(({ session }) => session);
  }

  /** Goes on through changes: who is added comes last, who is removed does not come. */
  *[Symbol.iterator](): Iterator<Session> {
    for (const { session } of this.#entries.values()) yield session;
  }

  get(worker: WorkerId): Session | undefined {
    return this.#entries.get(worker)?.session;
  }

  accountOf(worker: WorkerId): string | undefined {
    return this.#entries.get(worker)?.account;
  }

  ofAccount(account: string): readonly Session[] {
    return [...this.#entries.values()].filter((entry) => entry.account === account).map(({ session }) => session);
  }

  /** The session that a hello goes on with: its token and its key must both be the session's. */
  resumable({ resume, publicKey }: HelloMessage): Session | undefined {
    const entry = resume && this.#byToken.get(sha256(resume.session));
    return entry?.account === accountOf(publicKey) ? entry.session : undefined;
  }

  add(session: Session, token: string, account: string): void {
    const entry = { session, tokenHash: sha256(token), account };
    this.#entries.set(session.worker, entry);
    this.#byToken.set(entry.tokenHash, entry);
  }

  remove(worker: WorkerId): void {
    const entry = this.#entries.get(worker);
    if (!entry) return;
    this.#entries.delete(worker);
    this.#byToken.delete(entry.tokenHash);
  }
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
