// How long something takes, of times that were measured.

/** The middle of the newest few times: one that was disturbed says nothing. */
export function typicalMs(times: readonly number[]): number | undefined {
  if (times.length === 0) return undefined;
  const sorted = [...times].sort((one, other) => one - other);
  return sorted[Math.floor((sorted.length - 1) / 2)];
}
