// Numbers that SPEC.md's annexes name are the code's: a reader who has only the text computes with them.

import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { BASE_COST, EARNED_BY_LEASE, messageCosts } from "../../coordinator/session/message-costs.ts";
import { sessionLimits } from "../../coordinator/session/session-limits.ts";
import { LEAST_AGREEMENT, LEAST_COSINE, NORM_TOLERANCE, PEAK_TOLERANCE } from "../../coordinator/sum/comparison.ts";
import { LEAKY } from "../../kernels/layers/grouped-linear.ts";
import { blockSize, clipUnits } from "../../shared/codecs/codec.ts";
import { residualBound } from "../../shared/codecs/sign.ts";
import { CANARY_WORDS } from "../../shared/model/canary.ts";
import { NORM_EPSILON } from "../../shared/model/graph.ts";
import { discriminatorWidths } from "../../shared/model/manifest.ts";
import { RUNNING_STATISTIC_MOMENTUM } from "../../shared/model/running-statistic.ts";
import { runConfigSchema } from "../../shared/run/config.ts";
import { CHUNK_BYTES } from "../../shared/wire/chunk.ts";
import { WIDE_ELEMENTS } from "../../shared/wire/contribution.ts";
import { BINDING_ALIGNMENT } from "../../shared/wire/parameter-blob.ts";
import { MAX_MESSAGE_BYTES } from "../../shared/wire/plain-message.ts";
import { PROTOCOL_VERSION } from "../../shared/wire/protocol.ts";
import { RICE_BLOCK } from "../../shared/wire/rice.ts";
import { MAX_TEXT } from "../../shared/wire/text-limit.ts";
import { WINDOW_CHUNKS } from "../../shared/wire/transfer/incoming.ts";
import { EXACT_CLIP } from "../../worker/plan/plan.ts";
import { KEPT_VERSIONS } from "../../worker/session/parameter-store.ts";

const spec = await readFile(new URL("../../SPEC.md", import.meta.url), "utf8");
const annexes = spec.slice(spec.indexOf("# Annexes"));

const english = (value: number) => value.toLocaleString("en-US");
const words = ["none", "one", "two", "three", "four"];
const { perSecond, burst } = sessionLimits.messageRate;

test.each([
  ["the version", `# The protocol of bitswarm, version ${PROTOCOL_VERSION}`],
  ["a chunk's bytes", `A contribution over ${CHUNK_BYTES >> 10} KiB is offered`],
  ["an incoming message's bytes", `limit of ${MAX_MESSAGE_BYTES >> 20} MiB for one incoming message`],
  ["chunks on their way", `credit ${WINDOW_CHUNKS})`],
  ["the time for a canary", `within ${sessionLimits.calibrationMs / 1000} s`],
  ["a text's length", `\`text to ${MAX_TEXT}\``],
  ["the rate of messages", `${perSecond} tokens a second after ${burst} at once`],
  ["what a lease earns", `and ${EARNED_BY_LEASE} tokens a lease`],
  ["the canary's words", `at most ${english(CANARY_WORDS)}`],
  ["a blob's alignment", `next multiple of ${BINDING_ALIGNMENT} bytes`],
  ["versions kept", `keeps the last ${words[KEPT_VERSIONS]} blobs`],
  ["a block of Rice code", `holds at most ${RICE_BLOCK} values`],
  ["an arena's alignment", `multiple of ${blockSize} elements`],
  ["what is wide", `at least ${english(WIDE_ELEMENTS)} elements`],
  ["a microbatch's clip", `±(2^${Math.log2(EXACT_CLIP + 1)} − 1)`],
  ["a contribution's clip", `at most ±2^${Math.log2(clipUnits)}`],
  ["error feedback's bound", `±${residualBound} · max(u`],
  ["the norm's ε", `√(σ² + 10^−${Math.round(-Math.log10(NORM_EPSILON))})`],
  ["LeakyReLU's slope", `slope ${LEAKY.SLOPE}`],
  ["widths of discriminators", `${discriminatorWidths.slice(0, 3).join(", ")} and ${discriminatorWidths[3]} outputs`],
  ["running statistics", `${1 - RUNNING_STATISTIC_MOMENTUM} times the old`],
  ["cosines of audits", `at least ${LEAST_COSINE.within} and`],
  ["norms of audits", `within ${100 * NORM_TOLERANCE.within} % of 1`],
  ["audits across devices", `${LEAST_COSINE.across} and ${100 * NORM_TOLERANCE.across} % for others`],
  ["peaks of audits", `more than ${PEAK_TOLERANCE.within} (${PEAK_TOLERANCE.across}) times`],
  ["signs of audits", `${Math.round(50 * (1 + LEAST_AGREEMENT))} % must be equal`],
])("%s: the text has the code's number", (_, text) => {
  expect(spec).toContain(text);
});

test("annex 1 has the messages that cost more than one token, and what they cost", () => {
  const dear = Object.entries(messageCosts).filter(([, cost]) => cost !== BASE_COST);
  const [, list] = /^Control messages cost tokens [^:]*: (.*?), every other one 1/m.exec(annexes) ?? [];
  const written = (list ?? "").split(/(?<=\d)(?:, |$)/).flatMap((part) => {
    const [, names, cost] = /^(.*) (\d+)$/.exec(part) ?? [];
    return [...(names ?? "").matchAll(/`([\w-]+)`/g)].map(([, name]) => [name, Number(cost)] as const);
  });
  expect(Object.fromEntries(written)).toEqual(Object.fromEntries(dear));
});

/** Fields that every kind of a union has, or one of them. */
function hasField(value: unknown, path: readonly string[]): boolean {
  const [key, ...rest] = path;
  if (key === undefined || key === "*") return true;
  return typeof value === "object" && value !== null && key in value && hasField((value as never)[key], rest);
}

test("annex 10 names fields that a configuration has", () => {
  const local = runConfigSchema().parse({ sync: { kind: "local" } });
  const paper = runConfigSchema().parse({ method: { kind: "xnor" } });
  const seen = { kind: "store", store: "/store", size: 64, resize: 73 };
  const store = runConfigSchema().parse({ data: seen });
  const tracker = runConfigSchema().parse({ task: { kind: "siamfc" } });
  const table = annexes.slice(annexes.indexOf("## Annex 10")).split("\n## ")[0];
  const names = [...table.matchAll(/^\| (`.*`) \| /gm)].flatMap(([, cell]) => [...cell.matchAll(/`([^`]+)`/g)]);
  const fields = names.map(([, name]) => name);
  expect(fields.length).toBeGreaterThan(10);
  const known = (name: string) => [local, paper, store, tracker].some((config) => hasField(config, name.split(".")));
  expect(fields.filter((name) => !known(name))).toEqual([]);
});
