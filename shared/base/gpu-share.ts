// How much of the time a GPU may compute, as people write it: for the page's address, command lines and the trainer.

/** The smallest share: below it a lease takes longer than anybody waits for it. */
export const LEAST_SHARE = 0.1;

/** The share that a text says; undefined where it says none. */
export function shareIn(text: string): number | undefined {
  if (!/^\d*\.?\d+$/.test(text)) return undefined;
  const share = Number(text);
  return share >= LEAST_SHARE && share <= 1 ? share : undefined;
}
