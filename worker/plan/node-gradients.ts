// Holds the gradient of each node's output while backward runs. Two nodes may share one tensor until one of them must
// change it.

import { addTo } from "../../kernels/layers/elementwise.ts";
import { copy } from "../../kernels/steps/copy.ts";
import type { NodeId } from "../../shared/model/graph.ts";
import type { LaunchList, Ref } from "./launch-list.ts";

export class NodeGradients {
  #list: LaunchList;
  #elements: (node: NodeId) => number;
  #refs = new Map<NodeId, Ref>();

  /** @param elements size of a node's output over the microbatch */
  constructor(list: LaunchList, elements: (node: NodeId) => number) {
    this.#list = list;
    this.#elements = elements;
  }

  get(node: NodeId): Ref | undefined {
    return this.#refs.get(node);
  }

  /** The node's gradient has been consumed: whoever shares its tensor may now change it. */
  release(node: NodeId): void {
    this.#refs.delete(node);
  }

  /** Lets a kernel that computes the gradient itself write it: `accumulate` says whether it must add. */
  contribute(node: NodeId, write: (target: Ref, accumulate: boolean) => void): void {
    const held = this.#refs.get(node);
    if (!held) {
      const fresh = this.#list.tensor(this.#elements(node));
      write(fresh, false);
      this.#refs.set(node, fresh);
      return;
    }
    const target = this.#own(node, held);
    write(target, true);
  }

  /** Adds a gradient that already exists as a tensor; the first is taken without a copy. */
  add(node: NodeId, gradient: Ref): void {
    const held = this.#refs.get(node);
    if (!held) {
      this.#refs.set(node, gradient);
      return;
    }
    this.#list.run(addTo({ size: this.#elements(node) }), { x: gradient, y: this.#own(node, held) });
  }

  /** The node's gradient as a tensor that a kernel may overwrite; undefined where it has none. */
  own(node: NodeId): Ref | undefined {
    const held = this.#refs.get(node);
    return held && this.#own(node, held);
  }

  /** Copied first when another node, or who brought it from outside, still needs it as it is. */
  #own(node: NodeId, held: Ref): Ref {
    if (held.kind === "transient" && !this.#isShared(node, held.id)) return held;
    const size = this.#elements(node);
    const owned = this.#list.tensor(size);
    this.#list.run(copy({ size }), { x: held, y: owned });
    this.#refs.set(node, owned);
    return owned;
  }

  #isShared(node: NodeId, id: number): boolean {
    return [...this.#refs].some(([other, held]) => other !== node && held.kind === "transient" && held.id === id);
  }
}
