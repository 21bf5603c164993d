// Rounding to whole numbers as Python and OpenCV do: a half goes to the even side, which `Math.round` does not.

export function roundHalfEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest !== 0.5) return rest < 0.5 ? below : below + 1;
  return below % 2 === 0 ? below : below + 1;
}
