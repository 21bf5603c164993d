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
import type { TimingOptions } from "./interleaved-timing.ts";
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
  /** Runs work once nobody else has the device; at once unless given. */
  readonly turn?: TrialGround["turn"];
}

/** Multiply-adds of a check: about 0.1 s of the naive kernel on a software adapter, 10 ms on a weak GPU. */
const CHECK_LIMIT = { software: 2 ** 22, hardware: 2 ** 26 } as const;
/** A pass below this share of all multiply-adds is not worth a measurement. */
const WORTHWHILE = 1 / 200;
/** A tiling that the check predicts to take this much longer than another is not timed. */
const HOPELESS = 8;
/** What is predicted to take less is timed all the same: the prediction comes from one short run. */
const PREDICTABLE_MS = 200;
/** Tilings that meet the fastest so far at a time: a GPU's driver compiles on several threads. */
const AT_ONCE = { software: 1, hardware: 8 } as const;
/** What was begun within the budget is given up after this many of them. */
const OVERRUN = 2;
/** Before anything is learned it has this long: on a slow machine a visit must come to something. */
const FIRST_MS = 10_000;
/** For the news of a loss to arrive after what it broke. */
const LOSS_NEWS_MS = 50;

/** How long a measurement may go on. */
interface Time {
  /** Another tiling may be begun. */
  readonly begin: () => boolean;
  /** What is under way is given up. */
  readonly expired: () => boolean;
  /** Something came of it. */
  learned: boolean;
}

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
    const { cache, traits, turn } = options;
    // Waiting for a turn is nobody's time: neither what is timed nor the budget.
    let waitedMs = 0;
    const now = () => options.now() - waitedMs;
    this.#options = { ...options, now };
    this.#ground = {
      cache,
      now,
      turn: (work) => {
        if (!turn) return work();
        const since = options.now();
        return turn(() => {
          waitedMs += options.now() - since;
          return work();
        });
      },
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

  /** From now on a pass's tiling is compared with the naive kernel before it is used. */
  suspect(): void {
    this.#cleared = new Set();
  }

  /** The choice for a plan that launches these passes. @throws DEVICE_LOST */
  async recall(passes: Iterable<ConvolutionPass>): Promise<ChooseTiling> {
    const known = await this.#recall(passes);
    if (this.#cleared) await this.#clear(known, this.#cleared);
    return this.#choice();
  }

  /** What the choice is so far: to compile it ahead, not to compute with. */
  async remembered(passes: Iterable<ConvolutionPass>): Promise<ChooseTiling> {
    await this.#recall(passes);
    return this.#choice();
  }

  /** A pass's tiling turned out not to compile: it is left out, here and on later visits. @throws DEVICE_LOST */
  async leaveOut(pass: ConvolutionPass, tiling: Tiling): Promise<void> {
    // On a device that is lost nothing compiles.
    await this.#unlessLost(sleep(systemClock, LOSS_NEWS_MS));
    const [one] = await this.#recall([pass]);
    if (!one || tiling === NAIVE) return;
    one.entry = refuse(one.entry ?? emptyEntry(one), tiling, "compile");
    await this.#remember([one]);
    this.#options.onEvent({ type: "tuning", stage: "checked", passes: 1, refused: refusals(one) });
  }

  #choice(): ChooseTiling {
    return (pass) => {
      const found = this.#passes.get(passKey(pass));
      return found ? chosenTiling(found.entry, found.candidates) : tilings(pass, this.#options.traits)[0];
    };
  }

  /**
   * Measures those of the passes that are worth it and were not measured before, the largest first, within the budget:
   * what there was no time for is left to another visit.
   * @param aborted nobody waits for the choice any more @throws DEVICE_LOST
   */
  async measure(passes: Iterable<ConvolutionPass>, aborted: () => boolean): Promise<void> {
    const { budgetMs, now, onEvent } = this.#options;
    if (budgetMs <= 0) return;
    const since = now();
    const time: Time = {
      learned: false,
      begin: () => now() < since + (time.learned ? budgetMs : Math.max(budgetMs, FIRST_MS)) && !aborted(),
      expired: () => {
        const overrun = OVERRUN * budgetMs;
        return now() >= since + (time.learned ? overrun : Math.max(overrun, FIRST_MS)) || aborted();
      },
    };
    const known = await this.#recall(passes);
    const all = known.reduce((sum, { pass }) => sum + multiplyAdds(pass), 0);
    const pending = known
      .filter(({ pass }) => multiplyAdds(pass) >= WORTHWHILE * all)
      .filter(({ entry, candidates }) => candidates.length > 1 && !isMeasured(entry, candidates))
      .sort((a, b) => multiplyAdds(b.pass) - multiplyAdds(a.pass));
    if (pending.length === 0) return;
    const changed: Known[] = [];
    try {
      const overheadMs = await this.#unlessLost(waitOverheadMs(this.#ground));
      for (const [done, one] of pending.entries()) {
        // Where the time is over already, it is said once that there was something to measure.
        if (done > 0 && !time.begin()) break;
        onEvent({ type: "tuning", stage: "measuring", done, passes: pending.length });
        if (await this.#measureOne(one, overheadMs, time)) changed.push(one);
      }
    } catch (error) {
      changed.push(...this.#blame());
      throw error;
    } finally {
      await this.#remember(changed);
    }
    const refused = changed.flatMap(refusals);
    const whole = changed.filter(({ entry, candidates }) => isMeasured(entry, candidates)).length;
    onEvent({ type: "tuning", stage: "measured", passes: whole, left: pending.length - whole, refused });
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

  /** Adds to what is known of a pass as much as the time allows; whether that is anything. */
  async #measureOne(one: Known, overheadMs: number, time: Time): Promise<boolean> {
    this.#trial = one;
    const { software } = this.#options.traits;
    const atOnce = software ? AT_ONCE.software : AT_ONCE.hardware;
    let learned = false;
    for (;;) {
      time.learned ||= learned;
      const candidates = usable(one.entry, one.candidates);
      const champion = chosenTiling(one.entry, one.candidates);
      const unknown = candidates.filter((tiling) => one.entry?.ms[tilingName(tiling)] === undefined);
      const challengers = unknown.filter((tiling) => tiling !== champion).slice(0, atOnce);
      // The last one left needs no race.
      if (champion === NAIVE || candidates.length < 2 || unknown.length === 0 || !time.begin()) return learned;
      if (!(await this.#race(one, champion, challengers, { overheadMs, expired: time.expired }))) return learned;
      learned = true;
    }
  }

  /**
   * Checks tilings and times them beside the fastest so far; false where the time is over first, or the device lacks
   * the memory.
   */
  async #race(
    one: Known,
    champion: Tiling,
    challengers: readonly Tiling[],
    timing: Pick<TimingOptions, "overheadMs" | "expired">,
  ): Promise<boolean> {
    // Bits are compared with those of the tiling that everyone begins with.
    const [first] = usable(one.entry, one.candidates);
    const due = [...new Set([first, champion, ...challengers])];
    const checked = await this.#check(one, due, timing.expired);
    if (!checked) return false;
    this.#note(one, checked);
    if (checked.length < due.length) return checked.some(({ refusal }) => refusal !== undefined);
    const right = checked.filter(({ refusal }) => refusal === undefined);
    // Whoever raced with what is wrong has to begin anew.
    if (!right.some(({ tiling }) => tiling === champion)) return true;
    const full = multiplyAdds(one.pass);
    const predicted = new Map(right.map(({ tiling, msEach }) => [tiling, msEach * full]));
    const bound = Math.max(PREDICTABLE_MS, HOPELESS * Math.min(...predicted.values()));
    const runs = (tiling: Tiling) => (predicted.get(tiling) ?? Number.POSITIVE_INFINITY) <= bound;
    const racing = [champion, ...challengers.filter((tiling) => predicted.has(tiling) && runs(tiling))];
    const ms = await this.#unlessLost(timeTilings(this.#ground, one.pass, racing, timing));
    if (!ms || !one.entry) return false;
    const known = one.entry.ms[tilingName(champion)] ?? ms[0];
    // An earlier race may have met another load: what counts is how much longer than the champion each took.
    const scale = known / ms[0];
    const raced = racing.map((tiling, i) => [tilingName(tiling), ms[i] * scale] as const);
    const hopeless = challengers
      .filter((tiling) => predicted.has(tiling) && !racing.includes(tiling))
      .map((tiling) => [tilingName(tiling), predicted.get(tiling) ?? bound] as const);
    one.entry = { ...one.entry, ms: { ...one.entry.ms, ...Object.fromEntries([...hopeless, ...raced]) } };
    return true;
  }

  /** Compares tilings with the naive kernel; undefined where even that does not run. */
  async #check(
    one: Known,
    candidates: readonly Tiling[],
    expired?: () => boolean,
  ): Promise<readonly Checked[] | undefined> {
    const checked = await this.#unlessLost(checkTilings(this.#ground, one.pass, candidates, expired));
    if (checked?.every(({ refusal }) => refusal !== "compile")) return checked;
    await this.#unlessLost(sleep(systemClock, LOSS_NEWS_MS));
    return checked;
  }

  #note(one: Known, checked: readonly Checked[]): void {
    let entry = one.entry ?? emptyEntry(one);
    for (const { tiling, refusal } of checked) {
      if (!refusal) continue;
      const name = tilingName(tiling);
      // What was measured beside it was judged by its bits.
      if (entry.ms[name] !== undefined) entry = refuse(entry, tiling, refusal);
      else entry = { ...entry, refused: { ...entry.refused, [name]: refusal } };
    }
    one.entry = entry;
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
