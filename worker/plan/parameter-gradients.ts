// Where gradients of parameters go: the arena for the first node that has one, beside it and then added for those that
// share the parameter.

import { addTo } from "../../kernels/layers/elementwise.ts";
import type { LaunchList, Ref } from "./launch-list.ts";

export class ParameterGradients {
  readonly #list: LaunchList;
  readonly #arena: (name: string) => Ref | undefined;
  /** Parameters whose gradient another node has written. */
  readonly #written = new Set<string>();
  /** Gradients to add to what the arena has. */
  #beside: { readonly gradient: Ref; readonly sum: Ref }[] = [];

  /** @param arena range for a parameter's gradient, or undefined where the parameter is frozen */
  constructor(list: LaunchList, arena: (name: string) => Ref | undefined) {
    this.#list = list;
    this.#arena = arena;
  }

  /** Where a node writes a parameter's gradient; undefined where nobody trains it. To be followed by `settle`. */
  target(name: string): Ref | undefined {
    const sum = this.#arena(name);
    if (!sum || !this.#written.has(name)) {
      this.#written.add(name);
      return sum;
    }
    const gradient = this.#list.tensor(sum.bytes / 4);
    this.#beside.push({ gradient, sum });
    return gradient;
  }

  /** As `target`, for a kernel that always writes: scratch of so many elements where the parameter is frozen. */
  targetOrScratch(name: string, elements: number): Ref {
    return this.target(name) ?? this.#list.tensor(elements);
  }

  /** The node's launches are recorded: what it wrote beside the arena is added. */
  settle(): void {
    for (const { gradient, sum } of this.#beside) {
      this.#list.run(addTo({ size: sum.bytes / 4 }), { x: gradient, y: sum });
    }
    this.#beside = [];
  }
}
