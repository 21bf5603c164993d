// Which steps hold the work of accounts that are not the operator's: where the numbers turn out to be lost, whoever
// took part in them may have lost them.

/** Steps that are remembered: more than lie between the checkpoints that are kept. */
export const REMEMBERED_STEPS = 100_000;

export class Suspects {
  /** By step, the oldest first; none for a step of the operator's own alone. */
  readonly #steps = new Map<number, readonly string[]>();

  /** A step was made with the work of these accounts. */
  add(step: number, strangers: readonly string[]): void {
    if (strangers.length === 0) return;
    this.#steps.set(step, strangers);
    if (this.#steps.size <= REMEMBERED_STEPS) return;
    for (const oldest of this.#steps.keys()) {
      this.#steps.delete(oldest);
      break;
    }
  }

  /** The newest step that holds any; undefined where none does. */
  get last(): number | undefined {
    return [...this.#steps.keys()].at(-1);
  }

  /** Whose work is in the steps after this one, which are undone: they are forgotten. */
  takeAfter(step: number): readonly string[] {
    const undone = [...this.#steps].filter(([made]) => made > step);
    for (const [made] of undone) this.#steps.delete(made);
    return [...new Set(undone.flatMap(([, accounts]) => accounts))];
  }
}
