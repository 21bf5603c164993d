// The unit of each tensor's integers in a step, as a training state keeps it for each phase (sum/unit-rule.ts).

import { unitOf } from "../../shared/codecs/codec.ts";
import { codecs } from "../../shared/codecs/codecs.ts";
import type { ContributionLayout, ContributionTensor } from "../../shared/wire/contribution.ts";
import { initialExponent, nextExponent, nextScaleExponent } from "../sum/unit-rule.ts";
import type { TrainingState } from "./training-state.ts";

function keyOf(phase: string, tensor: ContributionTensor): string {
  return `${phase}/${tensor.name}`;
}

interface ExponentHolder extends Pick<TrainingState, "exponents"> {
  readonly config: Pick<TrainingState["config"], "batch" | "codec">;
}

/** Unit 2^e of each tensor of a round's layout, in the layout's order. */
export function exponentsFor(state: ExponentHolder, phase: string, layout: ContributionLayout): number[] {
  const { batch } = state.config;
  const codec = codecs.get(state.config.codec);
  return layout.tensors.map(
    (tensor) => state.exponents.get(keyOf(phase, tensor)) ?? initialExponent(tensor.kind, batch, unitOf(codec, tensor)),
  );
}

/** What a round leaves behind for the units of the next. */
export interface RoundPeaks {
  readonly layout: ContributionLayout;
  readonly codec: string;
  /** One value a tensor: the largest magnitude, or a mean where the codec reports means. */
  readonly peaks: ArrayLike<number>;
}

/** Fixes the units of the next round of this phase; metrics keep theirs. */
export function recordPeaks(state: ExponentHolder, phase: string, { layout, codec, peaks }: RoundPeaks): void {
  const previous = exponentsFor(state, phase, layout);
  const used = codecs.get(codec);
  layout.tensors.forEach((tensor, index) => {
    if (tensor.kind === "metric") return;
    const unit = unitOf(used, tensor);
    const next =
      unit.from === "mean"
        ? nextScaleExponent(peaks[index], previous[index])
        : nextExponent(peaks[index], previous[index], unit.bits);
    state.exponents.set(keyOf(phase, tensor), next);
  });
}
