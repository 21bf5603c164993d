// How a coordinator begins: with the run as its folder has it where nobody leads, or with a copy of whoever does.

import type { Clock } from "../../../shared/base/clock.ts";
import { BitswarmError } from "../../../shared/base/errors.ts";
import type { Bulk } from "../../cluster/bulk.ts";
import type { Bus } from "../../cluster/bus.ts";
import { isOver, type StandbyState, watchLease } from "../../cluster/fence.ts";
import { readHead, readLease } from "../../cluster/keys.ts";
import { isUnreachable, type LeaseStore } from "../../cluster/lease-store.ts";
import { decode, encode } from "../../cluster/messages.ts";
import type { Subjects } from "../../cluster/subjects.ts";
import type { KeptRun, RunKeeping } from "../run-keeping.ts";
import { Lead, type NoLead, type Standing } from "./lead.ts";

/** Ports of the run's nodes, as a coordinator has them. */
export interface ClusterPorts {
  readonly bus: Bus;
  readonly bulk: Bulk;
  readonly store: LeaseStore;
  readonly close: () => Promise<void>;
}

export interface BeginOptions {
  readonly ports: ClusterPorts;
  readonly subjects: Subjects;
  readonly id: string;
  readonly clock: Clock;
  readonly keeping: RunKeeping;
  /** Of the state in the folder. */
  readonly step: number;
  /** A run that nobody has begun is not begun here. */
  readonly neverFirst: boolean;
  readonly onNotice: (message: string) => void;
}

export type Beginning =
  /** It leads: nobody did, and all that was committed is in its log. */
  | {
      readonly kind: "leads";
      readonly lead: Lead;
      /** Its log has a record that is not in the state: that does not stand before it is computed again. */
      readonly ahead: boolean;
    }
  /** Another leads, and this is what it has. */
  | { readonly kind: "loads"; readonly kept: KeptRun };

const ASK_MS = 2000;
const AGAIN_MS = 250;
/** How often it is told what is waited for. */
const TELL_MS = 30_000;

/** What a folder's log says, as whoever would lead shows it. */
export async function standingOf({ log }: Pick<RunKeeping, "log">, step: number): Promise<Standing> {
  const { length, head, fence } = log;
  const lines =
    length === 0
      ? []
      : new TextDecoder()
          .decode(await log.lines(length))
          .trimEnd()
          .split("\n");
  return {
    length,
    chain: head,
    step,
    line: lines.at(-1) ?? "",
    before: length === 0 ? "" : (log.hashAt(length - 1) ?? ""),
    fence,
    hashAt: (at) => log.hashAt(at),
  };
}

/** @throws RUN_ENDED where it is over, and its copy is at those who drove it */
export async function begin(options: BeginOptions): Promise<Beginning> {
  const { ports, id, clock, keeping, step, neverFirst, onNotice } = options;
  const { store } = ports;
  let watched: StandbyState = { state: "loading", watched: null };
  let told = Number.NEGATIVE_INFINITY;
  /** Of whoever leads, while others look on. */
  let kept: KeptRun | undefined;
  let asking = false;
  let ahead = false;
  /** Somebody led while this coordinator looked on. */
  let led = false;
  const ask = async () => {
    if (asking) return;
    asking = true;
    kept = await load(options).catch(() => undefined);
    asking = false;
  };
  const tell = (message: string) => {
    if (clock.now() - told < TELL_MS) return;
    told = clock.now();
    onNotice(message);
  };
  for (;;) {
    try {
      const lease = await readLease(store);
      const head = await readHead(store);
      if (!head && !lease && neverFirst) {
        tell("nobody has begun the run yet: this coordinator stands by until one has");
      } else {
        const look = lease ? { ...lease.value, revision: lease.revision } : null;
        watched = watchLease(watched, { now: clock.now(), lease: look, caughtUp: true });
        led ||= lease !== undefined && lease.value.leader !== "";
        // It stands by with whoever led, and ends with it.
        if (led && lease?.value.stopped) throw stopped(head?.value.step ?? step);
        if (lease && lease.value.leader !== "") void ask();
        if (kept) return { kind: "loads", kept };
        if (watched.state === "candidate") {
          // Whoever finished it has it; what this copy lacks nobody is left to compute.
          if (lease && head && isOver(lease.value) && step < head.value.step) throw endedRun(head.value.step);
          const lead: Lead | NoLead = await Lead.take({ store, clock, id }, lease, await standingOf(keeping, step));
          if (lead instanceof Lead) return { kind: "leads", lead, ahead };
          if (lead.kind === "behind") {
            if (lease && isOver(lease.value)) throw endedRun(lead.head.step);
            ahead = (await catchUp(keeping, lead.head, tell)) || ahead;
          }
          watched = { state: "loading", watched: null };
        }
      }
    } catch (error) {
      if (!isUnreachable(error)) throw error;
      tell((error as BitswarmError).message);
    }
    await new Promise<void>((resolve) => void clock.after(AGAIN_MS, resolve));
  }
}

/** Nobody leads it, for it is over. */
export function endedRun(step: number): BitswarmError {
  return new BitswarmError(
    "RUN_ENDED",
    `the run came to its end after step ${step}, and this coordinator has no copy of its end: nothing is left to do. Another run on these servers needs another --run`,
  );
}

function stopped(step: number): BitswarmError {
  return new BitswarmError(
    "RUN_ENDED",
    `whoever runs it had the run stopped after step ${step}: the same command begins again from there`,
  );
}

/** Takes the one record that the head has beside the log; of more only whoever has them can lead. */
async function catchUp(
  { log }: RunKeeping,
  head: { readonly length: number; readonly before: string; readonly line: string },
  tell: (message: string) => void,
): Promise<boolean> {
  if (head.length === log.length + 1 && head.before === log.head) {
    await log.follow(head.line);
    return true;
  }
  tell(
    `${head.length} records are committed, and the log in ${log.folder} is of ${log.length} others or fewer: the run waits for a coordinator that has all of them`,
  );
  return false;
}

/** The state of whoever leads; nothing where nobody answers, or it has none yet. */
export async function load({ ports, subjects, id }: BeginOptions): Promise<KeptRun | undefined> {
  const { bus, bulk } = ports;
  const answer = await bus.request(subjects.toAll("load"), encode("load", { standby: id }), ASK_MS).catch((error) => {
    if (isUnreachable(error)) return undefined;
    throw error;
  });
  const told = answer && decode("state", answer);
  if (!told?.state) return undefined;
  const { leader: holder, state } = told;
  try {
    const log = await bulk.fetch({ holder, ...state.log });
    const files = new Map<string, Uint8Array>();
    const prefix = `checkpoint.${state.length}.`;
    for (const { name, bytes, sha256 } of state.files) {
      if (!name.startsWith(prefix)) return undefined;
      files.set(name.slice(prefix.length), await bulk.fetch({ holder, name, bytes, sha256 }));
    }
    return { step: state.step, log, files };
  } catch (error) {
    // It is another's turn by then, or a newer checkpoint took its place.
    if (error instanceof BitswarmError && error.code === "BULK_LOST") return undefined;
    throw error;
  }
}
