// What workers do, for a run that is driven in this process: told to whoever watches, kept back while an account rests,
// and passed on to the rounds.

import type { LeaseId, WorkerId } from "../../../shared/base/ids.ts";
import type { RunTrust } from "../../trust/run-trust.ts";
import type { HeldChunks, Inbox, Joining, Parting, ReturnedLease, Wish } from "../inbox.ts";
import type { Outbox } from "../outbox.ts";
import type { OnRunEvent } from "../run-event.ts";
import type { RoundDriver } from "./round-driver.ts";

export interface LocalInboxOptions {
  readonly rounds: Pick<
    RoundDriver,
    | "join"
    | "ready"
    | "holds"
    | "pause"
    | "rested"
    | "drain"
    | "suspend"
    | "resume"
    | "leave"
    | "giveBack"
    | "contribute"
  >;
  /** Without it nobody is kept from asking. */
  readonly trust?: Pick<RunTrust, "joined" | "left" | "rests" | "hasConfirmed">;
  readonly outbox: Pick<Outbox, "rests">;
  readonly onEvent: OnRunEvent;
}

export class LocalInbox implements Inbox {
  readonly #options: LocalInboxOptions;
  /** Who takes part. */
  readonly #members = new Map<WorkerId, Joining>();
  /** Who gets nothing more. */
  readonly #draining = new Set<WorkerId>();

  constructor(options: LocalInboxOptions) {
    this.#options = options;
  }

  join(worker: WorkerId, joining: Joining): void {
    const { rounds, trust, outbox, onEvent } = this.#options;
    const { name, runtime, adapter, ...facts } = joining;
    const { account } = joining;
    this.#members.set(worker, joining);
    onEvent({ type: "joined", worker, account, name, runtime, adapter });
    trust?.joined(worker, joining);
    rounds.join(worker, { ...facts, unproven: !trust?.hasConfirmed(account) });
    const ms = trust?.rests.restMs(account) ?? 0;
    if (ms > 0) outbox.rests(worker, ms);
  }

  ready(worker: WorkerId, { ahead, maxMicrobatches }: Wish): void {
    this.#whenRested(worker, () => {
      if (!this.#draining.has(worker)) this.#options.rounds.ready(worker, { ahead, maxMicrobatches });
    });
  }

  holds(worker: WorkerId, held: HeldChunks): void {
    // Who is not there any more would be remembered for ever.
    if (this.#members.has(worker)) this.#options.rounds.holds(worker, held);
  }

  pause(worker: WorkerId): void {
    this.#whenRested(worker, () => this.#options.rounds.pause(worker));
  }

  suspend(worker: WorkerId, { code, message }: Parting): void {
    this.#options.onEvent({ type: "worker-suspended", worker, code, message });
    this.#options.rounds.suspend(worker);
  }

  resume(worker: WorkerId): void {
    this.#options.onEvent({ type: "worker-resumed", worker });
    this.#options.rounds.resume(worker);
  }

  leave(worker: WorkerId, { code, message }: Parting): void {
    const { rounds, trust, onEvent } = this.#options;
    this.#members.delete(worker);
    this.#draining.delete(worker);
    trust?.left(worker);
    onEvent({ type: "left", worker, code, message });
    rounds.leave(worker);
  }

  giveBack(worker: WorkerId, lease: LeaseId, { reason, detail }: ReturnedLease): void {
    this.#options.onEvent({ type: "returned", worker, reason, detail });
    this.#options.rounds.giveBack(worker, lease, reason);
  }

  contribute(worker: WorkerId, bytes: Uint8Array): Promise<void> {
    return this.#options.rounds.contribute(worker, bytes);
  }

  /** As a worker joined; undefined where it is not there any more. */
  member(worker: WorkerId): Joining | undefined {
    return this.#members.get(worker);
  }

  isDraining(worker: WorkerId): boolean {
    return this.#draining.has(worker);
  }

  /** The worker gets nothing more, whatever it asks for, and is let go when it has answered what it holds. */
  drain(worker: WorkerId): void {
    if (!this.#members.has(worker) || this.#draining.has(worker)) return;
    this.#draining.add(worker);
    this.#options.rounds.drain(worker);
  }

  /** Tells the workers of an account that they rest, and has them leased what they have asked for when it is over. */
  rest(account: string, ms: number): void {
    const { rounds, outbox } = this.#options;
    for (const [worker, theirs] of [...this.#members]) {
      if (theirs.account !== account) continue;
      outbox.rests(worker, ms);
      this.#whenRested(worker, () => rounds.rested(worker));
    }
  }

  #whenRested(worker: WorkerId, call: () => void): void {
    const { trust } = this.#options;
    const account = this.#members.get(worker)?.account;
    if (trust && account !== undefined) trust.rests.whenRested(worker, account, call);
    else call();
  }
}
