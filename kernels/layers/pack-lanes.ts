// Packing for GPUs: one invocation an element, so that neighbours read neighbouring addresses, and the workgroup puts
// its signs together. With subgroups a ballot makes up to 128 bits at once; else each negative element sets its bit in
// workgroup memory.
import { signWords } from "../../shared/model/window.ts";
import type { AdapterTraits } from "../text/adapter-traits.ts";
import type { Dispatch } from "../text/dispatch.ts";

/**
 * Who makes a word of 32 signs: one invocation (software adapters), its lanes by atomics, its lanes by ballot
 * (`subgroups`).
 */
export type Packing = "words" | "lanes" | "ballot";

/** The packing that an adapter is likely to like; all give the same bits. */
export function packingFor({ software, subgroups }: AdapterTraits): Packing {
  if (software) return "words";
  return subgroups ? "ballot" : "lanes";
}

const WORKGROUP = 256;
const WORDS_A_GROUP = WORKGROUP / 32;

/** Sets the bit of this invocation's element. */
const byAtomics = `
if (negative) { atomicOr(&signs[place / 32u], 1u << (place % 32u)); }`;

/** Subgroups hold 4 to 128 lanes, a power of two: their bits lie in one word, or fill whole ones. */
const byBallot = `
let ballot = subgroupBallot(negative);
if (lane == 0u) {
  for (var i = 0u; 32u * i < lanes; i++) { atomicOr(&signs[place / 32u + i], ballot[i] << (place % 32u)); }
}`;

/**
 * WGSL calls no order in which a workgroup's invocations form subgroups, so each subgroup takes the next elements that
 * nobody has.
 */
const placeInSubgroup = `
var first = 0u;
if (lane == 0u) { first = atomicAdd(&taken, lanes); }
let place = subgroupBroadcastFirst(first) + lane;`;

/**
 * An invocation per element of [rows][32·signWords(channels)]: as packSteps, `statements` see `at` and `channel` (never
 * quads) and declare `value`. Wants the constants CHANNELS, COLUMNS (= CHANNELS) and WORDS, and a binding `bits`.
 */
export function packLanes(o: {
  readonly how: Exclude<Packing, "words">;
  readonly rows: number;
  readonly channels: number;
  readonly statements: string;
  readonly value: string;
}): Pick<Dispatch, "declarations" | "items" | "workgroupSize" | "barriers" | "subgroups" | "body"> {
  const ballot = o.how === "ballot";
  const words = o.rows * signWords(o.channels);
  return {
    declarations: `var<workgroup> signs: array<atomic<u32>, ${WORDS_A_GROUP}>;${ballot ? "\nvar<workgroup> taken: atomic<u32>;" : ""}`,
    items: 32 * words,
    workgroupSize: WORKGROUP,
    barriers: true,
    subgroups: ballot,
    body: `${ballot ? placeInSubgroup : "\nlet place = local;"}
let element = index - local + place;
let row = element / (32u * WORDS);
let channel = element % (32u * WORDS);
var negative = false;
if ((channel < CHANNELS) & (row < ${o.rows}u)) {
  let at = row * CHANNELS + channel;
  ${o.statements}
  negative = ${o.value} < 0.0;
}${ballot ? byBallot : byAtomics}
workgroupBarrier();
let word = (index - local) / 32u + local;
if ((local < ${WORDS_A_GROUP}u) & (word < ${words}u)) { bits[word] = atomicLoad(&signs[local]); }`,
  };
}
