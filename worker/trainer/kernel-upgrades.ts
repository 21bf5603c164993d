// The kernels that a trainer computes with at a moment: for each convolution pass, and on software for each of the
// discriminators' products, what compiles soonest, and the fastest once it is compiled, beside the leases.

import { convolutionPass } from "../../kernels/convolution/convolution-pass.ts";
import { passKey } from "../../kernels/convolution/pass/pass.ts";
import { NAIVE, type Tiling, tilingName } from "../../kernels/convolution/pass/tiling.ts";
import type { AdapterTraits } from "../../kernels/text/adapter-traits.ts";
import type { Kernel } from "../../kernels/text/kernel.ts";
import { sleep, systemClock } from "../clock.ts";
import type { PipelineCache } from "../pipeline-cache.ts";
import type { ChooseTiling, LaunchList } from "../plan/launch-list.ts";
import type { PlanOptions } from "../plan/plan.ts";
import { dueUpgrades, type PassTilings, soonestTiling } from "../tuning/soonest-tiling.ts";
import type { Tuner } from "../tuning/tuner.ts";
import type { TuningEvent } from "../tuning/tuning-event.ts";

export interface KernelUpgradesOptions {
  readonly cache: Pick<PipelineCache, "get">;
  readonly tuner: Pick<Tuner, "recall" | "leaveOut">;
  readonly traits: Pick<AdapterTraits, "software">;
  /** The device is under suspicion. */
  readonly suspect: boolean;
  readonly onEvent: (event: TuningEvent) => void;
}

/** What a plan launches that has faster kernels than those that compile soonest. */
export type Improvable = Pick<LaunchList, "passes" | "products">;

/** An upgrade that is due. */
interface Due {
  readonly kernels: readonly Kernel[];
  /** They are compiled. */
  readonly take: () => void;
  /** They do not compile here. */
  readonly leaveOut: () => void | Promise<void>;
}

/**
 * Upgrades that compile at a time beside a lease: a GPU's driver does so on threads that the lease leaves, a software
 * adapter's on those that compute, which slow kernels keep for longer than what is compiled for them.
 */
const AT_ONCE = { software: 2, hardware: 4 } as const;

export class KernelUpgrades {
  readonly #options: KernelUpgradesOptions;
  #used = new Map<string, Tiling>();
  /** Products whose fast kernels are compiled, and those whose do not, by their text. */
  readonly #fast = new Set<string>();
  readonly #slow = new Set<string>();
  #generation = 0;
  #suspect: boolean;

  constructor(options: KernelUpgradesOptions) {
    this.#options = options;
    this.#suspect = options.suspect;
  }

  /** Grows where something gets other kernels: a recording of an earlier generation may be slower than need be. */
  get generation(): number {
    return this.#generation;
  }

  /** The choice at this moment for a plan that launches these. @throws DEVICE_LOST */
  async choose({ passes }: Pick<Improvable, "passes">): Promise<Required<Pick<PlanOptions, "choose" | "isSmall">>> {
    const { tuner, traits } = this.#options;
    const used = this.#used;
    const circumstances = { software: traits.software, suspect: this.#suspect };
    const fresh = [...passes].filter(([key]) => !used.has(key));
    const soonest = fresh.map(([key, pass]) => ({ key, pass, tiling: soonestTiling(pass, circumstances) }));
    // It is checked before it is used, where the device is under suspicion.
    const fastest = await tuner.recall(soonest.flatMap(({ pass, tiling }) => (tiling === "fastest" ? [pass] : [])));
    for (const { key, pass, tiling } of soonest) {
      if (!used.has(key)) used.set(key, tiling === "fastest" ? (fastest(pass) ?? NAIVE) : tiling);
    }
    return { choose: (pass) => used.get(passKey(pass)), isSmall: (fast) => this.#isSmall(fast) };
  }

  /** The choice in words: equal where a recording would be the same. */
  names({ passes, products }: Improvable): string {
    const tilings = [...passes.keys()].map((key) => tilingName(this.#used.get(key) ?? NAIVE));
    return [...tilings, ...[...products.values()].map((fast) => (this.#isSmall(fast) ? "small" : "fast"))].join(" ");
  }

  /**
   * Compiles the fastest kernels, a few at a time, and lets them be chosen as they are ready. What does not compile is
   * left out: a pass stays with what it has until its next is compiled.
   * @throws DEVICE_LOST
   */
  async *upgrade(improvable: Improvable, over: () => boolean): AsyncGenerator<void> {
    const { tuner, traits, onEvent } = this.#options;
    const used = this.#used;
    await this.choose(improvable);
    let done = 0;
    let total = 0;
    try {
      while (!over() && used === this.#used) {
        const fastest = await tuner.recall(improvable.passes.values());
        const due = this.#due(improvable, fastest);
        if (due.length === 0 || over()) return;
        total = done + due.length;
        onEvent({ type: "tuning", stage: "improving", done, total });
        const few = due.slice(0, traits.software ? AT_ONCE.software : AT_ONCE.hardware);
        const compiled = await Promise.all(few.map((one) => this.#compiled(one)));
        if (over() || used !== this.#used) return;
        for (const [i, { take }] of few.entries()) {
          if (!compiled[i]) continue;
          take();
          done++;
        }
        this.#generation++;
        yield;
      }
    } finally {
      if (total > 0) onEvent({ type: "tuning", stage: "improving", done: total, total });
    }
  }

  /** The device is under suspicion: all passes begin anew, with plain kernels. */
  reset(): void {
    this.#suspect = true;
    this.#used = new Map();
    this.#generation++;
  }

  /** A GPU's compiler makes little of the difference. */
  #isSmall({ wgsl }: Kernel): boolean {
    return this.#options.traits.software && !this.#fast.has(wgsl);
  }

  #due({ passes, products }: Improvable, choose: ChooseTiling): readonly Due[] {
    const { tuner } = this.#options;
    const tilings = [...passes].map(([key, pass]): PassTilings => {
      return { pass, used: this.#used.get(key) ?? NAIVE, fastest: choose(pass) ?? NAIVE };
    });
    const ofPasses = dueUpgrades(tilings).map(({ pass, fastest }): Due => {
      return {
        kernels: convolutionPass(pass, fastest).kernels,
        take: () => this.#used.set(passKey(pass), fastest),
        leaveOut: () => tuner.leaveOut(pass, fastest),
      };
    });
    const ofProducts = [...products.values()]
      .filter((fast) => this.#isSmall(fast) && !this.#slow.has(fast.wgsl))
      .map((fast): Due => {
        return {
          kernels: [fast],
          take: () => this.#fast.add(fast.wgsl),
          leaveOut: () => void this.#slow.add(fast.wgsl),
        };
      });
    return [...ofPasses, ...ofProducts];
  }

  /** False for kernels that do not compile here, which are left out from now on. */
  async #compiled({ kernels, leaveOut }: Due): Promise<boolean> {
    try {
      for (const kernel of kernels) {
        await this.#options.cache.get(kernel);
        // Some runtimes compile in the call: sockets have their turn.
        await sleep(systemClock, 0);
      }
      return true;
    } catch {
      await leaveOut();
      return false;
    }
  }
}
