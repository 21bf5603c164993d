// Vectors of control messages: a value and its msgpack bytes, of every type. `{"hex": …}` stands for bytes.

import { phasesOf } from "../../../shared/run/program.ts";
import { trackOptions } from "../../../shared/tracking/track-step.ts";
import type { CoordinatorMessage, WorkerMessage } from "../../../shared/wire/protocol.ts";
import { encodeMessage } from "../../../shared/wire/protocol.ts";
import { packFrames } from "../../../shared/wire/tracking.ts";
import { hex } from "../text.ts";
import { identity } from "./identity.ts";
import { RUN_TAG, vectorConfig, vectorDataset } from "./run.ts";

const { publicKey, nonce, signature, run } = identity();
const adapter = { vendor: "acme", architecture: "toy-1", description: "Acme Toy", software: false };
const hash = "ab".repeat(32);
const box = { x: 120.5, y: 81, w: 40, h: 60.25 };

const fromWorker: readonly WorkerMessage[] = [
  { type: "hello", protocol: 3, token: "Jt6WpU0bQ4a1", name: "a stranger", runtime: "node", adapter, publicKey },
  {
    type: "hello",
    protocol: 3,
    token: "Jt6WpU0bQ4a1",
    name: "a stranger",
    runtime: "node",
    adapter,
    holds: { student: hash },
    publicKey,
    resume: { session: "s-1", leases: [34] },
    maxMicrobatches: 16,
  },
  { type: "proof", signature },
  { type: "canary-answer", seed: 3735928559, hash: 305419896 },
  { type: "ready" },
  { type: "ready", ahead: true },
  { type: "chunks", from: 16, bits: Uint8Array.of(5, 128) },
  { type: "need", set: "student" },
  { type: "return", lease: 34, reason: "error", detail: "out of memory" },
  { type: "paused" },
  { type: "leave" },
  { type: "list", nickname: "Ada" },
  { type: "list", nickname: null },
  { type: "ping", nonce: 1 },
  { type: "ping", nonce: 8589934592 },
  { type: "pong", nonce: 1 },
  { type: "offer", transfer: 5, bytes: 300000, lease: 34 },
  { type: "have", transfer: 5, chunks: Uint8Array.of(3), credit: 8 },
  { type: "tracked", lease: 34, from: 0, boxes: packFrames([{ box, seconds: 0.03125 }]) },
];

function fromCoordinator(): readonly CoordinatorMessage[] {
  const config = vectorConfig();
  const ranges = [
    { from: 32, to: 40 },
    { from: 8, to: 16 },
  ];
  const common = { split: "train", parametersHash: hash, codec: "exact" } as const;
  return [
    { type: "challenge", nonce, run, protocol: 3 },
    {
      type: "welcome",
      protocol: 3,
      worker: "w-1",
      run,
      runTag: RUN_TAG,
      // What is not there has its default.
      config: { seed: config.seed, model: config.model, microbatch: config.microbatch } as typeof config,
      program: phasesOf(config).outline,
      dataset: vectorDataset(),
      heartbeatMs: 10_000,
      session: "s-1",
      graceMs: 60_000,
    },
    { type: "resumed", worker: "w-1", leases: [34], waiting: false },
    {
      type: "lease",
      lease: 34,
      phase: "student",
      network: "student",
      step: 5,
      round: 12,
      pass: 1,
      epoch: 0,
      ranges,
      ...common,
      partners: { discriminators: hash },
      weights: { task: 1, method: 1, adversarial: 0.5 },
      era: 3202623968,
      exponents: [-20, -18, -10, -12],
      timeoutMs: 120_000,
      frozen: { teacher: hash },
    },
    { type: "canary", seed: 3735928559 },
    { type: "cancel", lease: 34, reason: "answered" },
    { type: "rest", ms: 15_000, message: "an audit went against this account" },
    { type: "accepted", lease: 34, samples: 16 },
    { type: "rejected", lease: 34, code: "CONTRIBUTION_STALE", message: "the lease is over" },
    { type: "ended", message: "the run is done" },
    { type: "error", code: "RUN_ENDED", message: "the run is over", retry: false },
    { type: "ping", nonce: 8_589_934_592 },
    { type: "pong", nonce: 1 },
    { type: "offer", transfer: 6, bytes: 300000, lease: null },
    { type: "have", transfer: 5, chunks: Uint8Array.of(3), credit: 8 },
    {
      type: "tracking",
      protocol: 3,
      worker: "w-1",
      run: "track-1",
      name: "Tracking OTB tb50",
      heartbeatMs: 10_000,
      model: { sha256: hash, bytes: 300_000 },
      options: { ...trackOptions, clampScale: { least: 0.2, most: 5 } },
    },
    { type: "track", lease: 34, sequence: "Jogging-1", base: 1, box, frames: new Uint8Array(64).fill(0xab) },
  ];
}

export function readable(value: unknown): unknown {
  if (value instanceof Uint8Array) return { hex: hex(value) };
  if (Array.isArray(value)) return value.map(readable);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, readable(one)]));
}

export function messages() {
  const both = (from: "worker" | "coordinator", list: readonly (WorkerMessage | CoordinatorMessage)[]) =>
    list.map((message) => ({ from, message: readable(message), bytes: hex(encodeMessage(message)) }));
  return [...both("worker", fromWorker), ...both("coordinator", fromCoordinator())];
}
