// Counts the bits in which words of two operands differ. A software adapter spends some fourteen instructions on each
// countOneBits, a GPU one: there three words go through a full adder of five, whose sum and carry are counted instead
// (carry-save adders: R. Harley and D. Seal, in H. Warren, Hacker's Delight, 2nd ed., §5-1).

import { range } from "../../text/range.ts";
import type { Counter } from "../pass/tiling.ts";

interface Plane {
  readonly name: string;
  /** log2 of what a bit counts. */
  readonly level: number;
}

interface Adders {
  readonly statements: readonly string[];
  readonly planes: readonly Plane[];
}

/** Full adders until fewer than three planes are left a level. @param levels names of planes, by what a bit counts */
function addPlanes([names = [], ...higher]: readonly (readonly string[])[], level = 0): Adders {
  const adders = Math.max(0, Math.floor((names.length - 1) / 2));
  let queue = [...names];
  const statements: string[] = [];
  const carries: string[] = [];
  for (const k of range(adders)) {
    const [x, y, z] = queue;
    const id = `${level}_${k}`;
    statements.push(`let u_${id} = ${x} ^ ${y};`, `let s_${id} = u_${id} ^ ${z};`);
    statements.push(`let c_${id} = (${x} & ${y}) | (u_${id} & ${z});`);
    queue = [...queue.slice(3), `s_${id}`];
    carries.push(`c_${id}`);
  }
  const planes = queue.map((name) => ({ name, level }));
  const next = [[...(higher[0] ?? []), ...carries], ...higher.slice(1)];
  if (next.every(({ length }) => length === 0)) return { statements, planes };
  const above = addPlanes(next, level + 1);
  return { statements: [...statements, ...above.statements], planes: [...planes, ...above.planes] };
}

/**
 * Statements that declare `count_0` = Σ 2^level·countOneBits(plane), by doublings: an addition is cheaper than a
 * product.
 */
function weigh(planes: readonly Plane[]): readonly string[] {
  const top = Math.max(...planes.map(({ level }) => level));
  return range(top + 1)
    .map((k) => top - k)
    .map((level) => {
      const above = level < top ? [`count_${level + 1}`, `count_${level + 1}`] : [];
      const counts = planes.filter((p) => p.level === level).map((p) => `countOneBits(${p.name})`);
      return `let count_${level} = ${[...above, ...counts].join(" + ")};`;
    });
}

/** Statements that declare `count_0` of the words at each level. */
function countLevels(counter: Counter, levels: readonly (readonly string[])[]): readonly string[] {
  const { statements, planes } =
    counter === "carrySave"
      ? addPlanes(levels)
      : { statements: [], planes: levels.flatMap((names, level) => names.map((name) => ({ name, level }))) };
  return [...statements, ...weigh(planes)];
}

/** Declares differing_`words`(a_0 …, b_0 …): i32, the number of bits in which a and b differ. */
export function declareDiffering(counter: Counter, words: number): string {
  const parameters = ["a", "b"].flatMap((side) => range(words).map((k) => `${side}_${k}: u32`));
  const differing = range(words).map((k) => `let x_${k} = a_${k} ^ b_${k};`);
  return `fn differing_${words}(${parameters.join(", ")}) -> i32 {
${[...differing, ...countLevels(counter, [range(words).map((k) => `x_${k}`)])].join("\n")}
return i32(count_0);
}`;
}

/**
 * Declares `name`(a0_0 …, a1_0 …, b_0 …): i32, the bits of Σ_j 2^j·countOneBits(a_j ⊙ b) over the words, ⊙ being
 * `operation`; without one, and without b, the bits of a alone.
 */
export function declareWeighed(o: {
  readonly name: string;
  readonly counter: Counter;
  readonly words: number;
  readonly levels: number;
  readonly operation?: "^" | "&";
}): string {
  const all = range(o.levels).flatMap((j) => range(o.words).map((k) => `${j}_${k}`));
  const parameters = [...all.map((id) => `a${id}`), ...(o.operation ? range(o.words).map((k) => `b_${k}`) : [])];
  const operand = (j: number, k: number) => `a${j}_${k}${o.operation ? ` ${o.operation} b_${k}` : ""}`;
  const operands = range(o.levels).flatMap((j) => range(o.words).map((k) => `let x${j}_${k} = ${operand(j, k)};`));
  const levels = range(o.levels).map((j) => range(o.words).map((k) => `x${j}_${k}`));
  return `fn ${o.name}(${parameters.map((name) => `${name}: u32`).join(", ")}) -> i32 {
${[...operands, ...countLevels(o.counter, levels)].join("\n")}
return i32(count_0);
}`;
}
