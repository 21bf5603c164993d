// `bench attackers`: the shipped example, small, with one worker in ten that does what the zoo does. The coordinator,
// its sockets and the sessions are real; they share one device, one lease at a time, as so many processes would not fit
// here.

import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";
import { coordinate } from "../../coordinator/program/coordinate.ts";
import { openFreshRun } from "../../coordinator/run/open-run.ts";
import { keyPairOf, signBytes } from "../../coordinator/simulate/signing-pair.ts";
import type { Range } from "../../shared/base/intervals.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import { phaseNamed } from "../../shared/model/phases.ts";
import { parseConfig, type RunConfig } from "../../shared/run/config.ts";
import { buildNetworks } from "../../shared/run/networks.ts";
import { phasesOf } from "../../shared/run/program.ts";
import { phaseLayout } from "../../shared/wire/contribution.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import { wireLayout } from "../../shared/wire/wire-layout.ts";
import { runtimePorts, type SocketConstructor } from "../../worker/platform/runtime-ports.ts";
import { runSession } from "../../worker/session/session.ts";
import { answerCanary } from "../../worker/trainer/canary.ts";
import { createTrainer } from "../../worker/trainer/trainer.ts";
import type { LeaseResult, Trainer } from "../../worker/trainer/trainer-contract.ts";
import { testDevice } from "../fixtures/device.ts";
import { eventLines } from "../fixtures/event-lines.ts";

/** Slow loris: how long each answer is kept; more than a round takes. */
const DAWDLE_MS = 10_000;

/** Bits of the float32 1e12. */
const FORGED_PEAK = new Uint32Array(Float32Array.of(1e12).buffer)[0];

/** The part of a body that is 4-byte numbers; the rest is coded. */
interface PlainPart {
  readonly bytes: number;
  /** Numbers that are gradients: what is measured beside them can be checked by itself. */
  readonly trained: readonly Range[];
}

/** One attacker's way with an honest result. */
type Attack = (
  honest: LeaseResult,
  lease: LeaseMessage,
  plainOf: (lease: LeaseMessage) => PlainPart,
) => LeaseResult | Promise<LeaseResult | "aborted">;

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Gradients times a factor; of what travels as signs, which know no other factor, the signs are turned where
 * it is below 0.
 */
function times(factor: number): Attack {
  return (honest, lease, plainOf) => {
    const words = honest.body.slice().buffer;
    const { bytes, trained } = plainOf(lease);
    const values =
      lease.codec === "exact" ? new Int32Array(words, 0, bytes / 4) : new Float32Array(words, 0, bytes / 4);
    for (const { from, to } of trained)
      for (let i = from; i < to; i++) values[i] = Math.max(-(2 ** 30), Math.min(2 ** 30, values[i] * factor));
    const signs = new Uint8Array(words, bytes);
    if (factor < 0) for (let i = 0; i < signs.length; i++) signs[i] ^= 0xff;
    return { ...honest, body: new Uint8Array(words) };
  };
}

/** Turns the signs alone: with `sign` all else that others could compare is honest. */
const turned: Attack = (honest, lease, plainOf) => {
  if (lease.codec !== "sign") return times(-1)(honest, lease, plainOf);
  const body = honest.body.slice();
  for (let i = plainOf(lease).bytes; i < body.length; i++) body[i] ^= 0xff;
  return { ...honest, body };
};

/** An honest body under peaks that would make everybody's next integers coarse. */
const forgedPeak: Attack = (honest) => ({ ...honest, peaks: new Uint32Array(honest.peaks.length).fill(FORGED_PEAK) });

/** Sends its first result of each phase again and again. */
function replay(): Attack {
  const first = new Map<string, LeaseResult>();
  return (honest, { phase }) => {
    const key = `${phase} ${honest.samples}`;
    const kept = first.get(key);
    if (!kept) first.set(key, honest);
    return { ...honest, body: kept?.body ?? honest.body };
  };
}

const notFinite: Attack = (honest, { codec }) =>
  codec === "exact"
    ? { ...honest, peaks: honest.peaks.map(() => 0x7fc00000) }
    : { ...honest, body: new Uint8Array(new Float32Array(honest.body.length / 4).fill(Number.NaN).buffer) };

interface Attackers {
  readonly attackers: number;
  /** Ten accounts for each attacker, unless given. */
  readonly honest?: number;
  readonly attack: () => Attack;
  /** They compute nothing, and answer no lease. */
  readonly keep?: boolean;
  /** Those who do not attack are the operator's own workers, of one account. */
  readonly own?: boolean;
}

const hoarders = (attackers: number): Attackers => ({
  attackers,
  honest: 1,
  attack: () => (honest) => honest,
  keep: true,
});

/** How many attack, and how. Colluders agree on their lie. */
const zoo: Readonly<Record<string, Attackers>> = {
  none: { attackers: 0, attack: () => (honest) => honest },
  "not-finite": { attackers: 1, attack: () => notFinite },
  x1000: { attackers: 1, attack: () => times(1000) },
  "sign-flip": { attackers: 1, attack: () => turned },
  zeros: { attackers: 1, attack: () => times(0) },
  replay: { attackers: 1, attack: replay },
  "forged-peak": { attackers: 1, attack: () => forgedPeak },
  "wrong-shape": { attackers: 1, attack: () => (honest) => ({ ...honest, body: honest.body.slice(4) }) },
  "slow-loris": { attackers: 1, attack: () => (honest) => sleep(DAWDLE_MS).then(() => honest) },
  hoarding: { attackers: 1, attack: () => () => sleep(6 * DAWDLE_MS).then(() => "aborted") },
  colluders: { attackers: 2, attack: () => times(-3) },
  // Beside the operator's two workers, who share an account.
  "lone-flip": { attackers: 1, honest: 2, own: true, attack: () => turned },
  "lone-x1000": { attackers: 1, honest: 2, own: true, attack: () => times(1000) },
  "lone-peak": { attackers: 1, honest: 2, own: true, attack: () => forgedPeak },
  alone: hoarders(0),
  "hoarders-5": hoarders(5),
  "hoarders-9": hoarders(9),
  "hoarders-90": hoarders(90),
};

/** How often who keeps a lease looks whether it was taken away. */
const KEEPER_LOOKS_MS = 20;

/** Never answers. */
async function kept(aborted: () => boolean): Promise<"aborted"> {
  while (!aborted()) await sleep(KEEPER_LOOKS_MS);
  return "aborted";
}

/** A session's view of the shared trainer: its own parameters, loaded when its turn comes. */
function sharing(
  inner: Trainer,
  turn: <T>(work: () => Promise<T>) => Promise<T>,
  attack: (honest: LeaseResult, lease: LeaseMessage) => ReturnType<Attack>,
  keeps: boolean,
): Trainer {
  const sets = new Map<Parameters<Trainer["loadParameters"]>[0], readonly [string, Uint8Array]>();
  const frozen = new Map<string, readonly [string, Uint8Array]>();
  return {
    lost: inner.lost,
    close: () => undefined,
    loadParameters: (set, hash, blob) => void sets.set(set, [hash, blob]),
    holds: (set, hash) => sets.get(set)?.[0] === hash,
    loadFrozen: (network, hash, blob) => void frozen.set(network, [hash, blob]),
    holdsFrozen: (network, hash) => frozen.get(network)?.[0] === hash,
    compute: async (lease, input, aborted) => {
      if (keeps) return kept(aborted);
      const honest = await turn(async () => {
        if (aborted()) return "aborted";
        for (const [name, [hash, blob]] of frozen)
          if (!inner.holdsFrozen(name, hash)) inner.loadFrozen(name, hash, blob);
        for (const [set, [hash, blob]] of sets) if (!inner.holds(set, hash)) inner.loadParameters(set, hash, blob);
        return inner.compute(lease, input, aborted);
      });
      return honest === "aborted" ? honest : attack(honest, lease);
    },
  };
}

export interface AttackersLine {
  readonly attack: string;
  readonly attackers: number;
  readonly workers: number;
  readonly codec: string;
  readonly accuracy: number | null;
  /** With the codec exact, that of the clean run where no lie came through. */
  readonly paramsHash: string;
  readonly audits: number;
  /** Verdicts against attackers, and against honest accounts. */
  readonly foundOut: number;
  readonly wronged: number;
  readonly refused: number;
  readonly seconds: number;
  /** From the first step to the last. */
  readonly stepsAMinute: number;
}

export interface AttackersOptions {
  readonly attacks: readonly string[];
  readonly codec: "exact" | "f32" | "sign";
  readonly trust: boolean;
  /** `trust.clip` of the run. */
  readonly clip: RunConfig["trust"]["clip"];
  readonly images: number;
  /** By default ten for each attacker. */
  readonly workers?: number;
  readonly seed: number;
}

export const attackNames = Object.keys(zoo);

async function runUnder(
  attack: string,
  { codec, trust, clip, images, seed, ...options }: AttackersOptions,
): Promise<AttackersLine> {
  const { attackers, attack: make, honest: many, keep = false, own = false } = zoo[attack];
  const workers = many === undefined ? (options.workers ?? 10 * Math.max(1, attackers)) : attackers + many;
  const started = performance.now();
  const folder = await mkdtemp(join(tmpdir(), "bitswarm-attackers-"));
  const protection = trust ? { clip } : { clip: "none", audits: "off" };
  const config = parseConfig({
    data: { trainSamples: images, testSamples: images / 2 },
    seed,
    batch: 320,
    microbatch: 32,
    epochs: 2,
    bnPhase: 0.5,
    adversarial: { warmupEpochs: 1 },
    teacher: { epochs: 2 },
    codec,
    lease: { timeoutMs: 30_000 },
    trust: { ...protection },
  });
  const plainPartOf = (data: Dataset) => {
    const networks = buildNetworks(config, data);
    const { outline } = phasesOf(config);
    return ({ phase }: LeaseMessage): PlainPart => {
      const { plain, tensors } = wireLayout(phaseLayout(networks, phaseNamed(outline, phase)), codec);
      const trained = tensors.filter(({ kind, at }) => kind === "gradient" && at < plain);
      return { bytes: 4 * plain, trained: trained.map(({ at, size }) => ({ from: at, to: at + size })) };
    };
  };
  const device = await testDevice();
  const stepTimes: number[] = [];
  let [audits, foundOut, wronged, refused] = [0, 0, 0, 0];
  try {
    const run = await openFreshRun(config, join(folder, "run"));
    const coordination = await coordinate(run, {
      host: "127.0.0.1",
      port: 0,
      workers: 0,
      runtime: "auto",
      terminal: { write: () => true },
      checkSamples: false,
      printJson: (line) => {
        if ((JSON.parse(line) as { readonly event: string }).event === "step") stepTimes.push(performance.now());
      },
    });
    const plainOf = plainPartOf(run.data.dataset);
    const trainers: Trainer[] = [];
    // With signs each worker has error feedback of its own.
    const trainerOf = () => {
      if (trainers.length === 0 || codec === "sign")
        trainers.push(createTrainer(device, { config, dataset: run.data.dataset, program: phasesOf(config).outline }));
      return trainers[trainers.length - 1];
    };
    let last: Promise<unknown> = Promise.resolve();
    const turn = <T>(work: () => Promise<T>): Promise<T> => {
      const mine = last.then(work);
      last = mine.catch(() => undefined);
      return mine;
    };
    const adapter = { vendor: "shared", architecture: "", description: "one device", software: true };
    const liars = new Set<string>();
    const ownPair = keyPairOf(randomBytes(32));
    const sessions = Array.from({ length: workers }, (_, worker) => {
      const lies = worker < attackers;
      const pair = own && !lies ? ownPair : keyPairOf(randomBytes(32));
      const attackBy: Attack = lies ? make() : (honest) => honest;
      if (lies) liars.add(pair.account);
      return runSession({
        url: own && !lies ? coordination.server.localUrl : coordination.server.url,
        name: lies ? attack : "honest",
        runtime: "node",
        openIdentity: async () => ({ publicKey: pair.publicKey, sign: async (bytes) => signBytes(pair, bytes) }),
        openDevice: async () => ({
          adapter,
          lost: new Promise(() => undefined),
          createTrainer: () =>
            sharing(trainerOf(), turn, (honest, lease) => attackBy(honest, lease, plainOf), lies && keep),
          answerCanary: (layers, seed) => answerCanary({ device, adapter }, layers, seed),
          close: () => undefined,
        }),
        onEvent: () => undefined,
        ports: runtimePorts(WebSocket as unknown as SocketConstructor),
      });
    });
    const { scores, paramsHash } = await coordination.done;
    for (const session of sessions) session.leave();
    await Promise.all(sessions.map(({ ended }) => ended));
    await turn(async () => {
      for (const trainer of trainers) trainer.close();
    });
    for (const line of await eventLines(run.directory.eventsPath)) {
      // Not every event has a line; all are counted.
      if (line.type === "totals") {
        const events = line.events as Readonly<Partial<Record<string, number>>>;
        refused = events.refused ?? 0;
        audits = events.audited ?? 0;
      }
      if (line.type !== "audited") continue;
      const wrong = line.wrong as readonly string[];
      foundOut += wrong.filter((account) => liars.has(account)).length;
      wronged += wrong.filter((account) => !liars.has(account)).length;
    }
    const seconds = (performance.now() - started) / 1000;
    return {
      attack,
      attackers,
      workers,
      codec,
      accuracy: scores.student?.value ?? null,
      paramsHash,
      audits,
      foundOut,
      wronged,
      refused,
      seconds,
      stepsAMinute: (60_000 * (stepTimes.length - 1)) / ((stepTimes.at(-1) ?? 0) - stepTimes[0]),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** One run an attack, one after another, the clean one first. */
export async function benchAttackers(options: AttackersOptions, emit: (line: AttackersLine) => void): Promise<void> {
  for (const attack of options.attacks) emit(await runUnder(attack, options));
}

export function attackersText(line: AttackersLine): string {
  const accuracy = line.accuracy === null ? "none" : `${(100 * line.accuracy).toFixed(1)} %`;
  return `${line.attack.padEnd(12)} ${line.attackers} of ${line.workers}  ${line.codec.padEnd(5)}  accuracy ${accuracy}  ${line.paramsHash.slice(0, 8)}  ${line.audits} audits, ${line.foundOut} against attackers, ${line.wronged} against others, ${line.refused} refused  ${line.seconds.toFixed(0)} s, ${line.stepsAMinute.toFixed(1)} steps a minute`;
}
