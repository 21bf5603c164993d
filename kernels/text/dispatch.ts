// Assembles a kernel's WGSL text: constants, storage bindings and a one-dimensional index folded into a legal grid.
import type { Access, Kernel } from "./kernel.ts";
import { QUAD, QUAD_DIRECTIVES } from "./quads.ts";

/** Workgroups that every WebGPU device allows in one dimension (WebGPU §3.6.2, maxComputeWorkgroupsPerDimension). */
export const MAX_WORKGROUPS = 65_535;

/** A storage buffer of a kernel: `type` is the WGSL element type, e.g. `vec4<f32>`. */
export interface Storage {
  readonly name: string;
  readonly access: Access;
  readonly type: string;
}

export function read(name: string, type = "f32"): Storage {
  return { name, access: "read", type };
}

export function readWrite(name: string, type = "f32"): Storage {
  return { name, access: "read_write", type };
}

/** The grid that covers `items` invocations, and the WGSL expression of an invocation's number in it. */
export function gridFor(
  items: number,
  workgroupSize: number,
): { readonly grid: readonly [number, number, number]; readonly index: string } {
  const workgroups = Math.max(1, Math.ceil(items / workgroupSize));
  const rows = Math.ceil(workgroups / MAX_WORKGROUPS);
  const columns = Math.ceil(workgroups / rows);
  const workgroup = rows === 1 ? "workgroup.x" : `(workgroup.y * ${columns}u + workgroup.x)`;
  return { grid: [columns, rows, 1], index: `${workgroup} * ${workgroupSize}u + local` };
}

export interface Dispatch {
  readonly label: string;
  /** u32 constants of the header. */
  readonly constants?: Readonly<Record<string, number>>;
  /** f32 constants of the header. */
  readonly floats?: Readonly<Record<string, number>>;
  /** Module-scope WGSL: aliases, functions, workgroup variables. */
  readonly declarations?: string;
  /** In binding order. */
  readonly storage: readonly Storage[];
  /** Invocations wanted; the others return before the body, unless `barriers`. */
  readonly items: number;
  readonly workgroupSize?: number;
  /** The body synchronises the workgroup, so every invocation enters it. */
  readonly barriers?: boolean;
  /**
   * The body sees `lane`, its number in its subgroup, and `lanes`, the subgroup's size; needs the feature `subgroups`.
   */
  readonly subgroups?: boolean;
  /**
   * Invocations `4i … 4i + 3` are a quad and a workgroup, whose lanes are `quad_lane`; needs the feature `subgroups`.
   */
  readonly quads?: boolean;
  /** The grid once for each of so many groups, whose number the body sees as `own_group`; absent where there is one. */
  readonly groups?: number;
  /** Statements of `main`; `index` is the invocation's number, `local` its number in the workgroup. */
  readonly body: string;
}

/**
 * A kernel of one invocation per item. Declares for the body: `index`, `workgroup`, `local`; `lane` and `lanes` with
 * `subgroups`; `quad_lane` with `quads`; `own_group` with `groups`.
 */
export function kernel(o: Dispatch): Kernel {
  const size = o.quads ? QUAD : (o.workgroupSize ?? 64);
  const { grid: plane, index } = gridFor(o.items, size);
  const { groups } = o;
  const place = o.quads ? "subgroup_invocation_id" : "local_invocation_index";
  const builtins = ["@builtin(workgroup_id) workgroup: vec3<u32>", `@builtin(${place}) local: u32`];
  if (o.subgroups) builtins.push("@builtin(subgroup_invocation_id) lane: u32", "@builtin(subgroup_size) lanes: u32");
  const lines = [
    ...(o.quads ? QUAD_DIRECTIVES : o.subgroups ? ["enable subgroups;"] : []),
    ...Object.entries(o.constants ?? {}).map(([name, value]) => `const ${name}: u32 = ${value}u;`),
    ...Object.entries(o.floats ?? {}).map(([name, value]) => `const ${name}: f32 = ${value};`),
    ...(o.declarations ? [o.declarations] : []),
    ...o.storage.map((s, i) => `@group(0) @binding(${i}) var<storage, ${s.access}> ${s.name}: array<${s.type}>;`),
    `@compute @workgroup_size(${size})`,
    `fn main(${builtins.join(", ")}) {`,
    ...(o.quads ? ["let quad_lane = local;"] : []),
    `let index = ${index};`,
    ...(groups === undefined ? [] : ["let own_group = workgroup.z;"]),
    ...(o.barriers ? [] : [`if (index >= ${o.items}u) { return; }`]),
    o.body,
    "}",
  ];
  return {
    label: o.label,
    wgsl: `${lines.join("\n")}\n`,
    bindings: o.storage.map(({ name, access }) => ({ name, access })),
    grid: groups === undefined ? plane : [plane[0], plane[1], groups],
  };
}

/** 4 when a length divides into vec4 loads, else 1. */
export function vectorWidth(...lengths: readonly number[]): 4 | 1 {
  return lengths.every((length) => length % 4 === 0) ? 4 : 1;
}

export function vectorType(width: 4 | 1): string {
  return width === 4 ? "vec4<f32>" : "f32";
}
