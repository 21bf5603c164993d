// The numbers that every text generator counts by.

/** 0 … length − 1. */
export function range(length: number): readonly number[] {
  return Array.from({ length }, (_, i) => i);
}
