// One step of an optimizer on one tensor, by PyTorch's definitions (torch.optim.SGD and Adam).
// Only + - * / and sqrt in double, rounded to float32 where stored: the same bits in every JavaScript engine.

export interface SgdOptions {
  readonly learningRate: number;
  readonly momentum: number;
  /** L2: added to the gradient as weightDecay · parameter. */
  readonly weightDecay: number;
  readonly nesterov: boolean;
}

export interface AdamOptions {
  readonly learningRate: number;
  readonly betas: readonly [number, number];
  /** Default 1e-8. */
  readonly epsilon?: number;
  /** L2, as in SGD; default 0. */
  readonly weightDecay?: number;
}

function requireLength(name: string, actual: number, expected: number): void {
  if (actual !== expected) throw new RangeError(`optimizer: ${name} has ${actual} elements, the parameter ${expected}`);
}

/**
 * g ← gradient + weightDecay·p;  v ← momentum·v + g;  p ← p − learningRate·(nesterov ? g + momentum·v : v).
 * Updates `parameter` and `momentum` in place; `momentum` starts as zeros, which makes the first v equal g.
 */
export function sgdStep(
  parameter: Float32Array,
  gradient: ArrayLike<number>,
  momentum: Float32Array,
  options: SgdOptions,
): void {
  requireLength("gradient", gradient.length, parameter.length);
  requireLength("momentum", momentum.length, parameter.length);
  const { learningRate, weightDecay, nesterov } = options;
  const mu = options.momentum;
  for (let i = 0; i < parameter.length; i++) {
    const p = parameter[i]!;
    const g = gradient[i]! + weightDecay * p;
    momentum[i] = mu * momentum[i]! + g;
    const v = momentum[i]!;
    parameter[i] = p - learningRate * (nesterov ? g + mu * v : v);
  }
}

/**
 * 1/√(1.5 / (fan in + fan out)), by which BNN's authors multiply a weight's rate (Courbariaux et al.; Glorot and Bengio
 * 2010).
 * @param shape [out][kh][kw][in]
 */
export function glorotFactor([out, kh, kw, input]: readonly [number, number, number, number]): number {
  return 1 / Math.sqrt(1.5 / (kh * kw * (input + out)));
}

/** base^exponent for an integer exponent ≥ 0, by squaring: Math.pow is only required to be approximate. */
function integerPower(base: number, exponent: number): number {
  let result = 1;
  let square = base;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result *= square;
    square *= square;
  }
  return result;
}

/**
 * m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;  p ← p − learningRate·m̂ / (√v̂ + ε), with m̂ and v̂ corrected for their bias
 * (Kingma and Ba, ICLR 2015). Updates `parameter`, `m` and `v` in place; `step` counts from 1 and includes this step.
 */
export function adamStep(
  parameter: Float32Array,
  gradient: ArrayLike<number>,
  m: Float32Array,
  v: Float32Array,
  step: number,
  options: AdamOptions,
): void {
  requireLength("gradient", gradient.length, parameter.length);
  requireLength("m", m.length, parameter.length);
  requireLength("v", v.length, parameter.length);
  if (!Number.isSafeInteger(step) || step < 1) throw new RangeError(`optimizer: step counts from 1, got ${step}`);
  const { learningRate, betas, epsilon = 1e-8, weightDecay = 0 } = options;
  const [beta1, beta2] = betas;
  const stepSize = learningRate / (1 - integerPower(beta1, step));
  const rootCorrection = Math.sqrt(1 - integerPower(beta2, step));
  for (let i = 0; i < parameter.length; i++) {
    const p = parameter[i]!;
    const g = gradient[i]! + weightDecay * p;
    m[i] = beta1 * m[i]! + (1 - beta1) * g;
    v[i] = beta2 * v[i]! + (1 - beta2) * g * g;
    parameter[i] = p - (stepSize * m[i]!) / (Math.sqrt(v[i]!) / rootCorrection + epsilon);
  }
}
