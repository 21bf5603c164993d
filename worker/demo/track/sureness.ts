// How sure a tracker is that it still sees its target: how far the greatest response stands out from the others, beside
// how far it did at the beginning.

/** Responses whose height is what later ones are measured by. */
const FIRST = 5;
/** Responses that are looked at together: one alone says little. */
const RECENT = 10;
/** Below this share of the beginning's height a target is taken for lost. */
const LEAST_SHARE = 0.35;

/** Deviations of a map's values by which its greatest stands above their mean; 0 where all are the same. */
export function heightOf(map: ArrayLike<number>): number {
  let [sum, squares, most] = [0, 0, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < map.length; i++) {
    sum += map[i]!;
    squares += map[i]! ** 2;
    most = Math.max(most, map[i]!);
  }
  const mean = sum / map.length;
  const deviation = Math.sqrt(Math.max(0, squares / map.length - mean ** 2));
  return deviation > 0 ? (most - mean) / deviation : 0;
}

const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

export class Sureness {
  readonly #first: number[] = [];
  #recent: number[] = [];

  /** @param map the response of the size that answered best */
  add(map: ArrayLike<number>): void {
    const height = heightOf(map);
    if (this.#first.length < FIRST) this.#first.push(height);
    this.#recent = [...this.#recent, height].slice(-RECENT);
  }

  /** 1 as at the beginning, 0 where nothing stands out; undefined before there is enough to say. */
  get share(): number | undefined {
    if (this.#first.length < FIRST) return undefined;
    const first = meanOf(this.#first);
    return first > 0 ? Math.min(1, meanOf(this.#recent) / first) : 0;
  }

  get lost(): boolean {
    return (this.share ?? 1) < LEAST_SHARE;
  }
}
