// Which gateways give back work that others would be done with sooner: by what each says is open and not begun, so that
// all of them end together. Nothing is moved while everybody has enough before it.

/** A gateway that has less than this before it that nobody has begun will soon have nothing. */
export const SOON_MS = 1500;
/** So much earlier or later than all of them together is worth a move. */
export const WORTH_MS = 300;

export interface GatewayLoad {
  readonly id: string;
  /** Samples a second of its volunteers; 0 where nobody was measured. */
  readonly speed: number;
  /** Volunteers. */
  readonly workers: number;
  /** Samples of its leases that are not answered, and those of them that nobody has begun. */
  readonly open: number;
  readonly free: number;
}

/** For each gateway that shall give some back, how many samples of what is not begun it keeps. */
export function givingBack(loads: readonly GatewayLoad[]): ReadonlyMap<string, number> {
  const measured = loads.filter(({ speed, workers }) => speed > 0 && workers > 0);
  const each = measured.length === 0 ? 0 : sumOf(measured, "speed") / sumOf(measured, "workers");
  // Of volunteers that nobody has measured each counts as the mean.
  const all = loads.map((load) => ({ ...load, speed: load.speed > 0 ? load.speed : each * load.workers }));
  const total = sumOf(all, "speed");
  const keeps = new Map<string, number>();
  if (total === 0) return keeps;
  const meanMs = (1000 * sumOf(all, "open")) / total;
  const isDry = ({ speed, open, free }: GatewayLoad) =>
    speed > 0 && 1000 * free < SOON_MS * speed && 1000 * open < (meanMs - WORTH_MS) * speed;
  if (!all.some(isDry)) return keeps;
  for (const { id, speed, open, free } of all) {
    const beyond = Math.floor(open - (meanMs / 1000) * speed);
    if (free === 0 || 1000 * beyond <= WORTH_MS * speed) continue;
    keeps.set(id, Math.max(0, free - beyond));
  }
  return keeps;
}

function sumOf(loads: readonly GatewayLoad[], field: "speed" | "workers" | "open"): number {
  return loads.reduce((sum, load) => sum + load[field], 0);
}
