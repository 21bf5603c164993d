// Virtual time: what will happen, in order of its moment and then of its scheduling, so that one seed is one history.

import type { Clock } from "../../shared/base/clock.ts";

/**
 * Whose code an event runs: the time of a coordinator or a gateway is measured, by its name or by what it does; the
 * world's around it is not.
 */
export type Owner = "coordinator" | "world" | `g-${number}` | `c-${number}` | "leader" | "standby";

interface Happening {
  readonly at: number;
  readonly order: number;
  readonly owner: Owner;
  /** Undefined when it was cancelled. */
  call: (() => void) | undefined;
}

function before(a: Happening, b: Happening): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

export class Timeline {
  /** Binary heap, the next event first. */
  readonly #heap: Happening[] = [];
  #now = 0;
  #order = 0;

  /** Milliseconds since the beginning of this world. */
  get now(): number {
    return this.#now;
  }

  /** Calls at `at`, or now where that is past; the result cancels. */
  at(at: number, owner: Owner, call: () => void): () => void {
    const happening: Happening = { at: Math.max(at, this.#now), order: this.#order++, owner, call };
    this.#push(happening);
    return () => {
      happening.call = undefined;
    };
  }

  /** Moves to the next event that was not cancelled; undefined where there is none. */
  next(): { readonly owner: Owner; readonly call: () => void } | undefined {
    for (let happening = this.#pop(); happening; happening = this.#pop()) {
      const { owner, call, at } = happening;
      if (!call) continue;
      this.#now = at;
      return { owner, call };
    }
    return undefined;
  }

  /** The clock that the owner's code is given. */
  clock(owner: Owner): Clock {
    return {
      now: () => this.#now,
      after: (ms, call) => this.at(this.#now + ms, owner, call),
      every: (ms, call) => {
        let cancel = () => {};
        const again = () => {
          cancel = this.at(this.#now + ms, owner, () => {
            again();
            call();
          });
        };
        again();
        return () => cancel();
      },
    };
  }

  #push(happening: Happening): void {
    const heap = this.#heap;
    let index = heap.push(happening) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!before(happening, heap[parent])) break;
      heap[index] = heap[parent];
      index = parent;
    }
    heap[index] = happening;
  }

  #pop(): Happening | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === last || !last) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++;
      if (!before(heap[child], last)) break;
      heap[index] = heap[child];
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

/** Timers of what lives no more never ring. */
export function livingClock(clock: Clock, life: { readonly alive: boolean }): Clock {
  const ifAlive = (call: () => void) => () => {
    if (life.alive) call();
  };
  return {
    now: () => clock.now(),
    after: (ms, call) => clock.after(ms, ifAlive(call)),
    every: (ms, call) => {
      const stop = clock.every(ms, () => {
        if (life.alive) call();
        else stop();
      });
      return stop;
    },
  };
}
