// Decides whether a worker that died is started again: three times in a row, later each time.

export type RestartDecision =
  | { readonly restart: true; readonly restarts: number; readonly delayMs: number }
  | { readonly restart: false; readonly restarts: number };

const mostRestarts = 3;
/** A worker that lived this long had started well: its death is a new trouble, not the last one again. */
const healthyMs = 5 * 60_000;

/** `restarts` is the number of restarts in a row so far, `livedMs` how long the worker that just died had lived. */
export function decideRestart(restarts: number, livedMs: number, firstDelayMs = 1000): RestartDecision {
  const inARow = livedMs >= healthyMs ? 0 : restarts;
  if (inARow >= mostRestarts) return { restart: false, restarts: inARow };
  return { restart: true, restarts: inARow + 1, delayMs: firstDelayMs * 2 ** inARow };
}
