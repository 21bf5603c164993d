// The stage for the session's tests: a session with a scripted trainer before a coordinator of a few lines, over a real
// socket.

import { afterEach, expect } from "vitest";
import { WebSocket } from "ws";
import type { MicrobatchInput } from "../../../shared/samples/microbatch.ts";
import { samplesOf } from "../../../shared/wire/lease-ranges.ts";
import type { AdapterDescription, LeaseMessage } from "../../../shared/wire/protocol.ts";
import { runtimePorts, type SocketConstructor } from "../../../worker/platform/runtime-ports.ts";
import type { RunningSession, SessionOptions } from "../../../worker/session/session.ts";
import { runSession } from "../../../worker/session/session.ts";
import type { SessionEnd, SessionEvent, SessionState } from "../../../worker/session/session-event.ts";
import { sessionLimits } from "../../../worker/session/session-limits.ts";
import type { DutyCycle } from "../../../worker/trainer/duty-cycle.ts";
import type { ComputeDevice, LeaseResult, Trainer } from "../../../worker/trainer/trainer-contract.ts";
import { ScriptedCoordinator, type ScriptedOptions } from "./scripted-coordinator.ts";
import type { Peer } from "./scripted-peer.ts";
import { leaseOf, scriptedBlob, sha256 } from "./scripted-run.ts";

export const blob = scriptedBlob("first");
const adapter: AdapterDescription = { vendor: "test", architecture: "", description: "Test GPU", software: true };
const limits = {
  ...sessionLimits,
  handshakeMs: 10_000,
  reconnect: { baseMs: 10, capMs: 40 },
  deviceBackoff: { baseMs: 1, capMs: 5 },
};

/** What a trainer does with a lease; the default answers at once. */
export type Compute = (
  lease: LeaseMessage,
  input: (from: number, to: number) => MicrobatchInput | Promise<MicrobatchInput>,
  aborted: () => boolean,
) => Promise<LeaseResult | "aborted">;

export const answer: Compute = async ({ ranges }) => ({
  samples: samplesOf(ranges),
  peaks: Uint32Array.of(1, 2, 3),
  body: Uint8Array.of(9, 8, 7, 6),
});

/** Waits until it is told to stop, as a trainer does between microbatches. */
export const endless: Compute = async (_lease, _input, aborted) => {
  while (!aborted()) await new Promise((resolve) => setTimeout(resolve, 5));
  return "aborted";
};

class ScriptedTrainer implements Trainer {
  readonly lost: Promise<string>;
  lose: (reason: string) => void = () => undefined;
  closed = false;
  readonly loaded: string[] = [];
  readonly teachers: string[] = [];
  readonly teacherBlobs: Uint8Array[] = [];
  readonly leases: number[] = [];
  prepare?: Trainer["prepare"];
  readonly #compute: Compute;

  readonly duty: DutyCycle;

  constructor(compute: Compute, duty: DutyCycle, prepare?: Trainer["prepare"]) {
    this.#compute = compute;
    this.duty = duty;
    if (prepare) this.prepare = prepare;
    this.lost = new Promise((resolve) => {
      this.lose = resolve;
    });
  }

  loadParameters(_network: string, hash: string, bytes: Uint8Array): void {
    expect(sha256(bytes)).toBe(hash);
    this.loaded.push(hash);
  }
  holds(_network: string, hash: string): boolean {
    return this.loaded.at(-1) === hash;
  }
  loadFrozen(_network: string, hash: string, bytes: Uint8Array): void {
    this.teacherBlobs.push(bytes);
    this.teachers.push(hash);
  }
  holdsFrozen(_network: string, hash: string): boolean {
    return this.teachers.includes(hash);
  }
  compute(
    lease: LeaseMessage,
    input: (from: number, to: number) => MicrobatchInput | Promise<MicrobatchInput>,
    aborted: () => boolean,
  ) {
    this.leases.push(lease.lease);
    return this.#compute(lease, input, aborted);
  }
  close(): void {
    this.closed = true;
  }
}

/** A device that computes nothing: it is lost when it is closed. */
function scriptedDevice(createTrainer: ComputeDevice["createTrainer"]): ComputeDevice {
  let lose: (reason: string) => void = () => undefined;
  const lost = new Promise<string>((resolve) => {
    lose = resolve;
  });
  const answerCanary = async () => {
    throw new Error("a scripted device answers no canary");
  };
  return { adapter, lost, createTrainer, answerCanary, close: () => lose("destroyed") };
}

export interface Stage {
  readonly coordinator: ScriptedCoordinator;
  readonly session: RunningSession;
  readonly events: SessionEvent[];
  readonly trainers: ScriptedTrainer[];
  /** Resolves with the next state of this kind, past ones included. */
  reached<K extends SessionState["kind"]>(kind: K): Promise<Extract<SessionState, { kind: K }>>;
}

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export async function stage(
  compute: Compute = answer,
  scripted: ScriptedOptions = {},
  options: Partial<SessionOptions> = {},
  { prepare }: Pick<Trainer, "prepare"> = {},
): Promise<Stage> {
  const coordinator = await ScriptedCoordinator.start(scripted);
  cleanups.push(() => coordinator.close());
  const events: SessionEvent[] = [];
  const trainers: ScriptedTrainer[] = [];
  const session = runSession({
    url: coordinator.url,
    name: "tester",
    runtime: "node",
    openDevice: async () =>
      scriptedDevice((_run, { duty }) => {
        trainers.push(new ScriptedTrainer(compute, duty, prepare));
        return trainers[trainers.length - 1];
      }),
    onEvent: (event) => events.push(event),
    ports: runtimePorts(WebSocket as unknown as SocketConstructor),
    limits,
    ...options,
  });
  cleanups.push(() => {
    session.leave();
    return session.ended;
  });
  const reached = async <K extends SessionState["kind"]>(kind: K) => {
    const seen = () => events.flatMap((event) => (event.type === "state" ? [event.state] : []));
    await expect.poll(() => seen().map((state) => state.kind), { interval: 5 }).toContain(kind);
    return seen().find((state): state is Extract<SessionState, { kind: K }> => state.kind === kind)!;
  };
  return { coordinator, session, events, trainers, reached };
}

/** Joins, asks, and is granted lease 1. */
export async function leased({ coordinator }: Stage, overrides: Partial<LeaseMessage> = {}): Promise<Peer> {
  const peer = await coordinator.joined();
  await peer.next("ready");
  peer.send(leaseOf(1, peer.sendParameters(blob), overrides));
  return peer;
}

export function code(end: SessionEnd): string {
  return end.kind === "failed" ? end.code : end.reason;
}
