// How a session's trainers tune their kernels: brought together from the device, what the person wants, and what is
// remembered.

import { type AdapterTraits, GUARANTEED_TRAITS } from "../../kernels/text/adapter-traits.ts";
import { adapterTraits, type OpenDevice } from "../device.ts";
import type { TuningEvent } from "./tuning-event.ts";
import { TuningMemory } from "./tuning-store.ts";
import { adapterKey } from "./tuning-table.ts";

export interface TuningOptions {
  readonly traits: AdapterTraits;
  /** adapterKey. */
  readonly key: string;
  readonly memory: TuningMemory;
  /**
   * For the measuring of one phase, compiling counted: no tiling is begun after this long, and one that is not done
   * after twice as long is given up; the first has ten seconds. 0 measures nothing.
   */
  readonly budgetMs: number;
  /** The device came in the place of one that was lost: its kernels are checked before they are used. */
  readonly suspect: boolean;
  readonly onEvent: (event: TuningEvent) => void;
}

type Circumstances = Pick<TuningOptions, "suspect" | "onEvent">;

/** Measures nothing and remembers nothing: every pass has the kernels' own first choice. */
export function untuned(open?: OpenDevice, circumstances?: Circumstances): TuningOptions {
  return {
    traits: open ? adapterTraits(open) : GUARANTEED_TRAITS,
    key: "",
    memory: new TuningMemory(undefined, () => undefined),
    budgetMs: 0,
    suspect: circumstances?.suspect ?? false,
    onEvent: circumstances?.onEvent ?? (() => undefined),
  };
}

/** As a volunteer's worker does it. @param userAgent names the runtime, whose compiler the kernels pass through */
export function tuningOptions(
  open: OpenDevice,
  userAgent: string,
  session: Circumstances & Pick<TuningOptions, "memory">,
): TuningOptions {
  const traits = adapterTraits(open);
  return { ...session, traits, key: adapterKey(open.adapter, userAgent), budgetMs: defaultBudgetMs(traits) };
}

/** How long the passes of one phase are measured, before what is begun is finished. */
export function defaultBudgetMs({ software }: AdapterTraits): number {
  return software ? SOFTWARE_BUDGET_MS : HARDWARE_BUDGET_MS;
}

/** A GPU takes a tenth of a second a pass, some tenths in a runtime that polls. */
const HARDWARE_BUDGET_MS = 4000;
/** A software adapter compiles a tiling for a tenth of a second and more: a few a visit, the rest another time. */
const SOFTWARE_BUDGET_MS = 500;
