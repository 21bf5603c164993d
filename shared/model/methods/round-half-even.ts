// Rounding of the frameworks that methods were written in: TensorFlow, PyTorch and WGSL take a tie to the even
// neighbour, where Math.round takes it up.

/** The nearest integer; of two that are as near, the even one. */
export function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}
