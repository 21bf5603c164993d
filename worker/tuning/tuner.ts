// Chooses the tiling of each convolution pass on one device: by what was measured here or on an earlier visit, and
// never one that was seen to be wrong. All tilings add in the same order (kernels/README.md), so a choice changes the
// speed and never a bit, and workers need not agree on it.

import { tilings } from "../../kernels/convolution/convolution-pass.ts";
import { type ConvolutionPass, passKey } from "../../kernels/convolution/pass/pass.ts";
import { NAIVE, type Tiling, tilingName } from "../../kernels/convolution/pass/tiling.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import { sleep, systemClock } from "../clock.ts";
import type { PipelineCache } from "../pipeline-cache.ts";
import type { ChooseTiling } from "../plan/launch-list.ts";
import { multiplyAdds } from "./pass-operands.ts";
import { type Checked, checkTilings, type TrialGround, timeTilings, waitOverheadMs } from "./tiling-trial.ts";
import type { TuningOptions } from "./tuning-options.ts";
import {
  chosenTiling,
  isMeasured,
  kernelsHash,
  type Refusal,
  refuse,
  type TuningEntry,
  usable,
} from "./tuning-table.ts";

export interface TunerOptions extends TuningOptions {
  readonly cache: PipelineCache;
  /** Milliseconds on a monotonic clock. */
  readonly now: () => number;
}

/** Multiply-adds of a check: about 0.1 s of the naive kernel on a software adapter, 10 ms on a weak GPU. */
const CHECK_LIMIT = { software: 2 ** 22, hardware: 2 ** 26 } as const;
/** A pass below this share of all multiply-adds is not worth a measurement. */
const WORTHWHILE = 1 / 200;
/** A tiling that the check predicts to take this much longer than another is not timed. */
const HOPELESS = 8;
/** What is predicted to take less is timed all the same: the prediction comes from one short run. */
const PREDICTABLE_MS = 200;
/** For the news of a loss to arrive after what it broke. */
const LOSS_NEWS_MS = 50;

/** A pass with what is known of its candidates. */
interface Known {
  readonly pass: ConvolutionPass;
  readonly candidates: readonly Tiling[];
  entry: TuningEntry | undefined;
}

export class Tuner {
  readonly #options: TunerOptions;
  readonly #ground: TrialGround;
  readonly #passes = new Map<string, Known>();
  /** Checked since the device came under suspicion; undefined while there is none. */
  #cleared: Set<Known> | undefined;
  /** What is tried now. */
  #trial: Known | undefined;
  #onDevice: readonly Tiling[] = [];
  #lostReason: GPUDeviceLostReason | undefined;
  readonly #lost: Promise<never>;

  constructor(options: TunerOptions) {
    this.#options = options;
    const { cache, now, traits } = options;
    this.#ground = {
      cache,
      now,
      checkLimit: traits.software ? CHECK_LIMIT.software : CHECK_LIMIT.hardware,
      onTrial: (tilings) => {
        this.#onDevice = tilings;
      },
    };
    this.#lost = cache.device.lost.then(({ reason, message }) => {
      this.#lostReason = reason;
      throw new BitswarmError("DEVICE_LOST", `the GPU was lost while its kernels were tuned: ${message || reason}`);
    });
    this.#lost.catch(() => undefined);
    if (options.suspect) this.suspect();
  }

  /** True when an earlier visit measured some of these passes. */
  async remembers(passes: Iterable<ConvolutionPass>): Promise<boolean> {
    const known = await this.#recall(passes);
    return known.some(({ entry }) => entry !== undefined && Object.keys(entry.ms).length > 0);
  }

  /** From now on a pass's tiling is compared with the naive kernel before it is used. */
  suspect(): void {
    this.#cleared = new Set();
  }

  /** The choice for a plan that launches these passes. @throws DEVICE_LOST */
  async recall(passes: Iterable<ConvolutionPass>): Promise<ChooseTiling> {
    const known = await this.#recall(passes);
    if (this.#cleared) await this.#clear(known, this.#cleared);
    return (pass) => {
      const found = this.#passes.get(passKey(pass));
      return found ? chosenTiling(found.entry, found.candidates) : tilings(pass, this.#options.traits)[0];
    };
  }

  /**
   * Measures those of the passes that are worth it and were not measured before, the largest first, within the budget.
   * @param aborted nobody waits for the choice any more @throws DEVICE_LOST
   */
  async measure(passes: Iterable<ConvolutionPass>, aborted: () => boolean): Promise<void> {
    const { budgetMs, now, onEvent } = this.#options;
    if (budgetMs <= 0) return;
    const known = await this.#recall(passes);
    const all = known.reduce((sum, { pass }) => sum + multiplyAdds(pass), 0);
    const pending = known
      .filter(({ pass }) => multiplyAdds(pass) >= WORTHWHILE * all)
      .filter(({ entry, candidates }) => candidates.length > 1 && !isMeasured(entry, candidates))
      .sort((a, b) => multiplyAdds(b.pass) - multiplyAdds(a.pass));
    if (pending.length === 0) return;
    onEvent({ type: "tuning", stage: "measuring", passes: pending.length });
    const changed: Known[] = [];
    try {
      const overheadMs = await this.#unlessLost(waitOverheadMs(this.#ground));
      const until = now() + budgetMs;
      const over = () => now() >= until || aborted();
      for (const one of pending) {
        if (over()) break;
        if (await this.#measureOne(one, overheadMs, over)) changed.push(one);
      }
    } catch (error) {
      changed.push(...this.#blame());
      throw error;
    } finally {
      await this.#remember(changed);
    }
    const refused = changed.flatMap(refusals);
    onEvent({
      type: "tuning",
      stage: "measured",
      passes: changed.length,
      left: pending.length - changed.length,
      refused,
    });
  }

  async #recall(passes: Iterable<ConvolutionPass>): Promise<Known[]> {
    const { key, memory, traits } = this.#options;
    const table = await memory.load(key);
    return [...passes].map((pass) => {
      const name = passKey(pass);
      const known = this.#passes.get(name);
      if (known) return known;
      const candidates = tilings(pass, traits);
      const stored = table.passes.find((entry) => entry.pass === name);
      const entry = stored && stored.kernels === kernelsHash(pass, candidates) ? stored : undefined;
      const fresh: Known = { pass, candidates, entry };
      this.#passes.set(name, fresh);
      return fresh;
    });
  }

  /** Whether the pass is measured now: a device may lack the memory. */
  async #measureOne(one: Known, overheadMs: number, expired: () => boolean): Promise<boolean> {
    this.#trial = one;
    const checked = await this.#check(one, usable(one.entry, one.candidates));
    if (!checked) return false;
    this.#note(one, checked);
    const full = multiplyAdds(one.pass);
    const right = checked.filter(({ refusal }) => refusal === undefined);
    const predicted = right.map(({ msEach }) => msEach * full);
    const bound = Math.max(PREDICTABLE_MS, HOPELESS * Math.min(...predicted));
    const racing = right.filter((_, i) => predicted[i] <= bound).map(({ tiling }) => tiling);
    const ms = await this.#unlessLost(timeTilings(this.#ground, one.pass, racing, { overheadMs, expired }));
    if (!ms || !one.entry) return false;
    const named = (tiling: Tiling, i: number) =>
      [tilingName(tiling), ms[racing.indexOf(tiling)] ?? predicted[i]] as const;
    one.entry = { ...one.entry, ms: Object.fromEntries(right.map(({ tiling }, i) => named(tiling, i))) };
    return true;
  }

  /** Compares tilings with the naive kernel; undefined where even that does not run. */
  async #check(one: Known, candidates: readonly Tiling[]): Promise<readonly Checked[] | undefined> {
    const checked = await this.#unlessLost(checkTilings(this.#ground, one.pass, candidates));
    if (checked?.every(({ refusal }) => refusal !== "compile")) return checked;
    await this.#unlessLost(sleep(systemClock, LOSS_NEWS_MS));
    return checked;
  }

  #note(one: Known, checked: readonly Checked[]): void {
    const refused = checked.flatMap(({ tiling, refusal }) => (refusal ? [[tilingName(tiling), refusal] as const] : []));
    const entry = one.entry ?? emptyEntry(one);
    one.entry = { ...entry, refused: { ...entry.refused, ...Object.fromEntries(refused) } };
  }

  /** Checks the choices of passes on a suspected device, and chooses anew until one is right. */
  async #clear(known: readonly Known[], cleared: Set<Known>): Promise<void> {
    const due = known.filter((one) => !cleared.has(one));
    if (due.length === 0) return;
    this.#options.onEvent({ type: "tuning", stage: "checking", passes: due.length });
    const changed: Known[] = [];
    for (const one of due) {
      for (;;) {
        const choice = chosenTiling(one.entry, one.candidates);
        if (choice === NAIVE) break;
        const refusal = (await this.#check(one, [choice]))?.[0].refusal;
        if (!refusal) break;
        one.entry = refuse(one.entry ?? emptyEntry(one), choice, refusal);
        changed.push(one);
      }
      cleared.add(one);
    }
    await this.#remember(changed);
    const refused = [...new Set(changed)].flatMap(refusals);
    this.#options.onEvent({ type: "tuning", stage: "checked", passes: due.length, refused });
  }

  /** Leaves out what ran on the device when it was lost; a device that we destroyed says nothing about it. */
  #blame(): Known[] {
    const one = this.#trial;
    const tried = this.#onDevice.filter((tiling) => tiling !== NAIVE);
    if (!one || tried.length === 0 || this.#lostReason === undefined || this.#lostReason === "destroyed") return [];
    const entry = one.entry ?? emptyEntry(one);
    const lost = tried.map((tiling): [string, Refusal] => [tilingName(tiling), "lost"]);
    one.entry = { ...entry, refused: { ...entry.refused, ...Object.fromEntries(lost) } };
    return [one];
  }

  async #remember(changed: readonly Known[]): Promise<void> {
    const entries = [...new Set(changed)].flatMap(({ entry }) => (entry ? [entry] : []));
    if (entries.length > 0) await this.#options.memory.remember(this.#options.key, entries);
  }

  /** Some runtimes never settle what waits for a lost device. */
  #unlessLost<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#lost]);
  }
}

function emptyEntry({ pass, candidates }: Known): TuningEntry {
  return { pass: passKey(pass), kernels: kernelsHash(pass, candidates), ms: {}, refused: {} };
}

function refusals({ entry }: Known): string[] {
  return Object.entries(entry?.refused ?? {}).map(([tiling, why]) => `${entry?.pass} ${tiling}: ${why}`);
}
