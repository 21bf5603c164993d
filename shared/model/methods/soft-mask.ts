// The soft masks of pruned networks: one factor a filter, drawn to 0 by an L1 penalty whose proximal step is FISTA's
// (Beck & Teboulle 2009; as GAL, Lin et al., CVPR 2019, prunes, and the pruned RBCN after it).

export interface MaskStep {
  /** ∂L/∂M without the penalty. */
  readonly gradient: ArrayLike<number>;
  readonly learningRate: number;
  /** Of λ‖M‖₁. */
  readonly lambda: number;
  /** M stays at 0 or above. */
  readonly nonNegative: boolean;
}

/** α⁺ = (1 + √(1 + 4α²)) / 2. */
export function nextMomentum(alpha: number): number {
  return (1 + Math.sqrt(1 + 4 * alpha ** 2)) / 2;
}

/** y = M + (α − 1)/α⁺ (M − M₋): where the step is taken from. */
export function extrapolate(mask: Float32Array, before: Float32Array, alpha: number): Float64Array {
  const share = (alpha - 1) / nextMomentum(alpha);
  return Float64Array.from(mask, (m, i) => m + share * (m - before[i]));
}

/** M⁺ = soft(y − η∂M, ηλ), in place; `before` becomes M, and `momentum`, one value, α⁺. */
export function fistaStep(
  mask: Float32Array,
  before: Float32Array,
  momentum: Float32Array,
  { gradient, learningRate, lambda, nonNegative }: MaskStep,
): void {
  const y = extrapolate(mask, before, momentum[0]);
  const threshold = learningRate * lambda;
  before.set(mask);
  for (let i = 0; i < mask.length; i++) {
    const moved = y[i] - learningRate * gradient[i];
    const size = Math.max(0, Math.abs(moved) - threshold);
    mask[i] = moved < 0 ? (nonNegative ? 0 : -size) : size;
  }
  momentum[0] = nextMomentum(momentum[0]);
}
