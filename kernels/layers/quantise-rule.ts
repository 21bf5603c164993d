// What a rule of few bits makes of a value, as WGSL: its bits by plane, the number that they stand for, and the slope
// that a gradient goes back through (DoReFa-Net: Zhou et al. 2016; ABC-Net: Lin et al. 2017).
import { activationPlanes, type QuantiseRule } from "../../shared/model/graph.ts";
import type { Surrogate } from "../../shared/model/rectify.ts";
import { read, type Storage } from "../text/dispatch.ts";
import { range } from "../text/range.ts";

export function describeRule(rule: QuantiseRule): string {
  switch (rule.kind) {
    case "sign":
      return `sign ${rule.surrogate}`;
    case "bits":
      return `bits ${rule.bits}`;
    case "bases":
      return `bases ${rule.bases}`;
    default:
      return rule satisfies never;
  }
}

/** Levels above 0 of a rule of bits; one step is its reciprocal in f32, which times all of them is 1 exactly. */
export function levelsOf(bits: number): number {
  return 2 ** bits - 1;
}

/** Constants that a rule's text reads. */
export function ruleFloats(rule: QuantiseRule): Readonly<Record<string, number>> {
  if (rule.kind !== "bits") return {};
  return { LEVELS: levelsOf(rule.bits), STEP: Math.fround(1 / levelsOf(rule.bits)) };
}

/** Bindings that it reads: shift and scale, f32 [bases]. */
export function ruleStorage(rule: QuantiseRule): readonly Storage[] {
  return rule.kind === "bases" ? [read("shift"), read("scale")] : [];
}

/** WGSL of a value `v` of type `V`, with the type `U` of as many u32. */
export interface QuantisedText {
  /** Statements before the others. */
  readonly setup: string;
  /** The number that the bits stand for. */
  readonly value: string;
  /** For each plane, whether its bit is 1. */
  readonly set: readonly string[];
}

/** Reads `v` and the rule's bindings and constants; declares names that begin with `level` or `below`. */
export function quantisedText(rule: QuantiseRule): QuantisedText {
  const planes = range(activationPlanes(rule));
  switch (rule.kind) {
    case "sign":
      return { setup: "", value: "select(V(1.0), V(-1.0), v < V())", set: ["v < V()"] };
    case "bits":
      return {
        setup: "let level = round(clamp(v, V(), V(1.0)) * LEVELS);\nlet level_bits = U(level);",
        value: "level * STEP",
        set: planes.map((j) => `(level_bits & U(${2 ** j}u)) != U()`),
      };
    case "bases":
      return {
        // clip(s, 0, 1) ≥ ½ exactly where s is.
        setup: planes.map((j) => `let below_${j} = v + V(shift[${j}]) < V(0.5);`).join("\n"),
        value: planes.map((j) => `scale[${j}] * select(V(1.0), V(-1.0), below_${j})`).join(" + "),
        set: planes.map((j) => `below_${j}`),
      };
    default:
      return rule satisfies never;
  }
}

/** WGSL of sign's surrogate derivative at `v`. */
export function surrogateSlope(surrogate: Surrogate): string {
  switch (surrogate) {
    case "bireal":
      return "max(V(), V(2.0) - 2.0 * abs(v))";
    case "ste":
      return "select(V(), V(1.0), abs(v) <= V(1.0))";
    case "open":
      return "select(V(), V(1.0), abs(v) < V(1.0))";
    default:
      return surrogate satisfies never;
  }
}
