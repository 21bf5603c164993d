// The session's rules, each against a coordinator of a few lines over a real socket. The trainer is scripted too: it is what the
// session is handed; the real one is tested with the kernels and end to end.
import { afterEach, expect, test } from "vitest";
import { WebSocket } from "ws";
import { BitswarmError } from "../../shared/errors.ts";
import { decodeFrame } from "../../shared/frame.ts";
import type { AdapterDescription, LeaseMessage } from "../../shared/protocol.ts";
import type { SocketConstructor } from "../../worker/connection.ts";
import type { RunningSession, SessionOptions } from "../../worker/session.ts";
import { runSession } from "../../worker/session.ts";
import type { SessionEnd, SessionEvent, SessionState } from "../../worker/session-event.ts";
import { sessionLimits } from "../../worker/session-limits.ts";
import type { LeaseResult, MicrobatchInput, Trainer } from "../../worker/trainer-contract.ts";
import {
  leaseOf,
  type Peer,
  RUN_TAG,
  ScriptedCoordinator,
  type ScriptedOptions,
  scriptedData,
  sha256,
} from "./scripted-coordinator.ts";

const blob = Uint8Array.from({ length: 512 }, (_, i) => i);
const adapter: AdapterDescription = { vendor: "test", architecture: "", description: "Test GPU", software: true };
const limits = {
  ...sessionLimits,
  handshakeMs: 2000,
  reconnect: { baseMs: 10, capMs: 40 },
  deviceBackoff: { baseMs: 1, capMs: 5 },
};

/** What a trainer does with a lease; the default answers at once. */
type Compute = (
  lease: LeaseMessage,
  input: (from: number, to: number) => MicrobatchInput,
  aborted: () => boolean,
) => Promise<LeaseResult | "aborted">;

const answer: Compute = async ({ from, to }) => ({
  samples: to - from,
  peaks: Uint32Array.of(1, 2, 3),
  body: Uint8Array.of(9, 8, 7, 6),
});

/** Waits until it is told to stop, as a trainer does between microbatches. */
const endless: Compute = async (_lease, _input, aborted) => {
  while (!aborted()) await new Promise((resolve) => setTimeout(resolve, 5));
  return "aborted";
};

class ScriptedTrainer implements Trainer {
  readonly lost: Promise<string>;
  lose: (reason: string) => void = () => undefined;
  closed = false;
  readonly loaded: string[] = [];
  readonly teachers: string[] = [];
  readonly leases: number[] = [];
  readonly #compute: Compute;

  constructor(compute: Compute) {
    this.#compute = compute;
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
  loadTeacher(hash: string, bytes: Uint8Array): void {
    expect(sha256(bytes)).toBe(hash);
    this.teachers.push(hash);
  }
  holdsTeacher(hash: string): boolean {
    return this.teachers.includes(hash);
  }
  compute(lease: LeaseMessage, input: (from: number, to: number) => MicrobatchInput, aborted: () => boolean) {
    this.leases.push(lease.lease);
    return this.#compute(lease, input, aborted);
  }
  close(): void {
    this.closed = true;
  }
}

/** The part of a device that the session touches: it is lost when it is destroyed. */
function scriptedDevice(): GPUDevice {
  let lose: (info: { reason: string; message: string }) => void = () => undefined;
  const lost = new Promise((resolve) => {
    lose = resolve;
  });
  return { lost, destroy: () => lose({ reason: "destroyed", message: "" }) } as unknown as GPUDevice;
}

interface Stage {
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

async function stage(
  compute: Compute = answer,
  scripted: ScriptedOptions = {},
  options: Partial<SessionOptions> = {},
): Promise<Stage> {
  const coordinator = await ScriptedCoordinator.start(scripted);
  cleanups.push(() => coordinator.close());
  const events: SessionEvent[] = [];
  const trainers: ScriptedTrainer[] = [];
  const session = runSession({
    url: coordinator.url,
    name: "tester",
    runtime: "node",
    openDevice: async () => ({ device: scriptedDevice(), adapter }),
    createTrainer: () => {
      trainers.push(new ScriptedTrainer(compute));
      return trainers[trainers.length - 1];
    },
    onEvent: (event) => events.push(event),
    WebSocket: WebSocket as unknown as SocketConstructor,
    limits,
    ...options,
  });
  cleanups.push(() => {
    session.leave();
    return session.ended;
  });
  const reached = async <K extends SessionState["kind"]>(kind: K) => {
    for (let waited = 0; waited < 5000; waited += 5) {
      for (const event of events) {
        if (event.type === "state" && event.state.kind === kind)
          return event.state as Extract<SessionState, { kind: K }>;
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error(`never ${kind}; events: ${JSON.stringify(events)}`);
  };
  return { coordinator, session, events, trainers, reached };
}

/** Joins, asks, and is granted lease 1. */
async function leased({ coordinator }: Stage, overrides: Partial<LeaseMessage> = {}): Promise<Peer> {
  const peer = await coordinator.joined();
  await peer.next("ready");
  peer.send(leaseOf(1, peer.sendParameters(blob), overrides));
  return peer;
}

function code(end: SessionEnd): string {
  return end.kind === "failed" ? end.code : end.reason;
}

test("a lease is answered with one contribution frame that names run, round, lease, codec and parameters", async () => {
  const play = await stage();
  const peer = await leased(play);
  const { header, payload } = decodeFrame((await peer.next("frame")).bytes, 1000);
  expect(header).toEqual({
    kind: "contribution",
    codec: "f32",
    round: 1,
    lease: 1,
    samples: 8,
    tensors: 3,
    run: RUN_TAG,
    parametersHash: sha256(blob),
  });
  expect([...payload]).toEqual([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 9, 8, 7, 6]);
});

test("after the verdict, whichever it is, the worker is ready again; only accepted samples count", async () => {
  const play = await stage();
  const peer = await leased(play);
  await peer.next("frame");
  await new Promise((resolve) => setTimeout(resolve, 30));
  expect(peer.unread).toEqual([]);
  peer.send({ type: "rejected", lease: 1, code: "CONTRIBUTION_STALE", message: "round 1 is over" });
  await peer.next("ready");
  peer.send(leaseOf(2, sha256(blob)));
  await peer.next("frame");
  peer.send({ type: "accepted", lease: 2, samples: 8 });
  await peer.next("ready");
  expect(play.events).toContainEqual({ type: "trouble", code: "CONTRIBUTION_STALE", message: "round 1 is over" });
  const given = play.events.filter((event) => event.type === "contributed");
  expect(given).toMatchObject([{ samples: 8, leases: 1, lease: { lease: 2 } }]);
  expect(play.trainers[0].loaded).toEqual([sha256(blob)]);
});

test("the trainer gets the lease's samples decoded, microbatch by microbatch", async () => {
  const seen: MicrobatchInput[] = [];
  const play = await stage(async (lease, input, aborted) => {
    for (let from = lease.from; from < lease.to; from += 4) seen.push(input(from, from + 4));
    return answer(lease, input, aborted);
  });
  const peer = await leased(play, { kind: "evaluate", split: "test" });
  await peer.next("frame");
  expect(seen.map(({ images, labels }) => [images.length, labels.length])).toEqual([
    [4 * 784, 4],
    [4 * 784, 4],
  ]);
  const shard = play.coordinator.contents.get(play.coordinator.dataset.test.shards[0].sha256) as Uint8Array;
  expect([...seen[0].labels, ...seen[1].labels]).toEqual(Array.from({ length: 8 }, (_, i) => shard[8 * 784 + 2 * i]));
  expect(seen[1].images[5]).toBeCloseTo((shard[4 * 784 + 5] / 255 - 0.3) / 0.35, 6);
});

test("the frozen teacher is fetched once by its hash", async () => {
  const teacher = Uint8Array.of(1, 2, 3);
  const play = await stage(answer, { contents: new Map([...scriptedData().contents, [sha256(teacher), teacher]]) });
  const peer = await leased(play, { teacherHash: sha256(teacher) });
  await peer.next("frame");
  peer.send({ type: "accepted", lease: 1, samples: 8 });
  await peer.next("ready");
  peer.send(leaseOf(2, sha256(blob), { teacherHash: sha256(teacher) }));
  await peer.next("frame");
  expect(play.trainers[0].teachers).toEqual([sha256(teacher)]);
  expect(play.coordinator.requests.filter((path) => path.startsWith("/blobs/"))).toHaveLength(1);
});

test("pings are answered, and sent at the welcome's interval", async () => {
  const play = await stage(answer, { heartbeatMs: 20 });
  const peer = await play.coordinator.joined();
  await peer.next("ready");
  peer.send({ type: "ping", nonce: 77 });
  expect(await peer.next("pong")).toEqual({ type: "pong", nonce: 77 });
  await expect.poll(() => peer.pings.length).toBeGreaterThan(4);
});

test("a coordinator silent for three pings is left with HEARTBEAT_LOST and joined again", async () => {
  const play = await stage(answer, { heartbeatMs: 15 });
  const peer = await play.coordinator.joined();
  peer.answers = false;
  expect((await peer.closed).code).toBe(4011);
  expect((await play.reached("reconnecting")).code).toBe("HEARTBEAT_LOST");
  const again = await play.coordinator.joined();
  await again.next("ready");
});

test("a lost connection aborts the lease, and the worker comes back to the same run with its trainer warm", async () => {
  const play = await stage(endless);
  const peer = await leased(play);
  await play.reached("computing");
  peer.terminate();
  expect((await play.reached("reconnecting")).message).toMatch(/lost/);
  const again = await play.coordinator.joined();
  await again.next("ready");
  expect(play.trainers).toHaveLength(1);
});

test("a wrong token ends the session and is not tried again", async () => {
  const play = await stage();
  const peer = await play.coordinator.peer();
  await peer.next("hello");
  peer.send({ type: "error", code: "TOKEN_INVALID", message: "this token opens no run", retry: true });
  peer.close(4001, "TOKEN_INVALID");
  const end = await play.session.ended;
  expect(end).toEqual({ kind: "failed", code: "TOKEN_INVALID", message: "this token opens no run" });
});

test.each([
  [4001, "TOKEN_INVALID"],
  [4002, "PROTOCOL_MISMATCH"],
  [4013, "run-over"],
] as const)("a close with code %i alone is final too: %s", async (closeCode, expected) => {
  const play = await stage();
  (await play.coordinator.peer()).close(closeCode, "");
  expect(code(await play.session.ended)).toBe(expected);
});

test("an error with retry is tried again after a while", async () => {
  const play = await stage();
  const peer = await play.coordinator.peer();
  await peer.next("hello");
  peer.send({ type: "error", code: "TOO_MANY_WORKERS", message: "the run takes 1000 workers", retry: true });
  await (await play.coordinator.joined()).next("ready");
});

test("the end of the run ends the session", async () => {
  const play = await stage(endless);
  const peer = await leased(play);
  await play.reached("computing");
  peer.send({ type: "ended", message: "480 steps are done" });
  expect(await play.session.ended).toEqual({ kind: "ended", reason: "run-over", message: "480 steps are done" });
  expect((await peer.closed).code).toBe(1000);
  expect(play.trainers[0].closed).toBe(true);
});

test("pause gives the lease back at once, and resume asks for another", async () => {
  const play = await stage(endless);
  const peer = await leased(play);
  await play.reached("computing");
  play.session.pause();
  expect(await peer.next("return")).toMatchObject({ lease: 1, reason: "pause" });
  await peer.next("paused");
  await play.reached("paused");
  play.session.resume();
  await peer.next("ready");
});

test("a lease that crosses a pause on the wire is given back", async () => {
  const play = await stage();
  const peer = await play.coordinator.joined();
  await peer.next("ready");
  play.session.pause();
  await peer.next("paused");
  peer.send(leaseOf(5, sha256(blob)));
  expect(await peer.next("return")).toMatchObject({ lease: 5, reason: "pause" });
});

test("leave gives the lease back and says goodbye, however long the GPU still takes", async () => {
  const play = await stage(() => new Promise(() => undefined));
  const peer = await leased(play);
  await play.reached("computing");
  play.session.leave();
  expect(await peer.next("return")).toMatchObject({ lease: 1, reason: "leave" });
  await peer.next("leave");
  expect((await peer.closed).code).toBe(1000);
  expect(await play.session.ended).toMatchObject({ kind: "ended", reason: "left" });
});

test("leave before anything answers ends the session", async () => {
  const play = await stage();
  const peer = await play.coordinator.peer();
  await peer.next("hello");
  play.session.leave();
  expect(await play.session.ended).toMatchObject({ kind: "ended", reason: "left" });
});

test("a lost device gives the lease back, is asked for again, and the next lease is computed on the new one", async () => {
  let first = true;
  const play = await stage((...args) => {
    if (!first) return answer(...args);
    first = false;
    return new Promise(() => undefined);
  });
  const peer = await leased(play);
  await play.reached("computing");
  await expect.poll(() => play.trainers[0].leases).toEqual([1]);
  play.trainers[0].lose("the GPU process crashed");
  expect(await peer.next("return")).toMatchObject({ lease: 1, reason: "device-lost" });
  await peer.next("ready");
  // The parameters are not sent twice over one connection.
  peer.send(leaseOf(2, sha256(blob)));
  await peer.next("frame");
  expect(play.trainers).toHaveLength(2);
  expect(play.trainers[0].closed).toBe(true);
  expect(play.events.filter(({ type }) => type === "adapter")).toHaveLength(2);
});

test("a device that is lost more than three times in ten minutes ends the session", async () => {
  const play = await stage(endless);
  const peer = await play.coordinator.joined();
  const hash = peer.sendParameters(blob);
  for (let lease = 1; lease <= 4; lease++) {
    await peer.next("ready");
    peer.send(leaseOf(lease, hash));
    await expect.poll(() => play.trainers.at(-1)?.leases).toEqual([lease]);
    play.trainers.at(-1)?.lose("again");
    await peer.next("return");
  }
  expect(code(await play.session.ended)).toBe("DEVICE_LOST");
});

test("a gradient that is not finite is not sent: the lease goes back with the reason", async () => {
  let calls = 0;
  const play = await stage(async (...args) => {
    if (++calls > 1) return answer(...args);
    throw new BitswarmError("GRADIENT_NOT_FINITE", "conv1.weight of positions 0 to 8 is not finite");
  });
  const peer = await leased(play);
  expect(await peer.next("return")).toMatchObject({ lease: 1, reason: "not-finite", detail: /conv1.weight/ });
  await peer.next("ready");
});

test("three leases in a row that cannot be computed end the session", async () => {
  const play = await stage(async () => {
    throw new Error("shader refused");
  });
  const peer = await play.coordinator.joined();
  const hash = peer.sendParameters(blob);
  for (let lease = 1; lease <= 3; lease++) {
    await peer.next("ready");
    peer.send(leaseOf(lease, hash));
    expect(await peer.next("return")).toMatchObject({ lease, reason: "error", detail: /shader refused/ });
  }
  expect(code(await play.session.ended)).toBe("COMPUTE_FAILED");
});

test.each([
  ["a flipped bit", (bytes: Uint8Array) => bytes.with(100, bytes[100] ^ 1), 4006],
  ["a cut end", (bytes: Uint8Array) => bytes.slice(0, -1), 4005],
] as const)(
  "a parameters frame with %s is refused, and a fresh connection brings it whole",
  async (_name, damage, closeCode) => {
    const play = await stage();
    const peer = await play.coordinator.joined();
    await peer.next("ready");
    const whole: Uint8Array[] = [];
    const send = peer.sendBytes.bind(peer);
    peer.sendBytes = (bytes) => void whole.push(bytes);
    peer.sendParameters(blob);
    send(damage(whole[0]));
    expect((await peer.closed).code).toBe(closeCode);
    const again = await leased(play);
    await again.next("frame");
  },
);

test("parameters whose hash is not the announced one are refused; the third time ends the session", async () => {
  const play = await stage();
  for (let time = 0; time < 3; time++) {
    const peer = await play.coordinator.joined();
    await peer.next("ready");
    peer.sendParameters(blob, "ab".repeat(32));
    expect((await peer.closed).code).toBe(4006);
  }
  expect(code(await play.session.ended)).toBe("FRAME_CORRUPT");
});

test("bytes that are no message close the connection with MESSAGE_INVALID", async () => {
  const play = await stage();
  const peer = await play.coordinator.joined();
  await peer.next("ready");
  peer.sendBytes(Uint8Array.of(0xc1, 0, 0));
  expect((await peer.closed).code).toBe(4003);
});

test("a lease over parameters that never came is answered by a fresh connection", async () => {
  const play = await stage();
  const peer = await play.coordinator.joined();
  await peer.next("ready");
  peer.send(leaseOf(1, "cd".repeat(32)));
  expect(await peer.next("return")).toMatchObject({ lease: 1, reason: "error" });
  expect((await peer.closed).code).toBe(4003);
  await (await leased(play)).next("frame");
});

test("a welcome to a run that contradicts itself ends the session", async () => {
  const { dataset } = scriptedData();
  const play = await stage(answer, { dataset: { ...dataset, train: { ...dataset.train, samples: 25 } } });
  await play.coordinator.joined();
  expect(await play.session.ended).toMatchObject({ kind: "failed", code: "DATA_INVALID", message: /25 samples/ });
});

test("a missing adapter ends the session before it connects", async () => {
  const openDevice = async () => {
    throw new BitswarmError("WEBGPU_MISSING", "no adapter here");
  };
  const play = await stage(answer, {}, { openDevice });
  expect(await play.session.ended).toEqual({ kind: "failed", code: "WEBGPU_MISSING", message: "no adapter here" });
  expect(play.coordinator.requests).toEqual([]);
});

test("a coordinator that never answers is given up after five attempts", async () => {
  const gone = await ScriptedCoordinator.start();
  const { url } = gone;
  await gone.close();
  const play = await stage(answer, {}, { url });
  const end = await play.session.ended;
  expect(end).toMatchObject({ kind: "failed", code: "RUN_UNREACHABLE", message: /5 attempts/ });
});

test.each([
  ["not a link", "CONFIG_INVALID"],
  ["ftp://host/?token=a", "CONFIG_INVALID"],
  ["http://127.0.0.1:1/", "TOKEN_INVALID"],
])("the link %j is refused with %s", async (url, expected) => {
  const play = await stage(answer, {}, { url });
  expect(code(await play.session.ended)).toBe(expected);
});
