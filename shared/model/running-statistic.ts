// Running mean and variance of batch normalisation: PyTorch's exponential average.

/** Weight of the newest batch (PyTorch's default momentum). */
export const RUNNING_STATISTIC_MOMENTUM = 0.1;

/** (1 − m)·running + m·batch, computed in double; `batch` is the batch's mean or unbiased variance. */
export function runningStatistic(running: ArrayLike<number>, batch: ArrayLike<number>): Float32Array<ArrayBuffer> {
  const m = RUNNING_STATISTIC_MOMENTUM;
  return Float32Array.from({ length: running.length }, (_, i) => (1 - m) * running[i] + m * batch[i]);
}
