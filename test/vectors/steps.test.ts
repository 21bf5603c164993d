// The vectors of steps, recomputed by the float64 arithmetic beside them; steps.device.test.ts has the device's.

import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { local, localLease } from "./cases/local.ts";
import { computed, steps as make, type steps } from "./cases/steps.ts";
import { eachTap } from "./reference/tensor.ts";
import { floatsFromBase64 } from "./text.ts";

type Steps = ReturnType<typeof steps>;
const stored = JSON.parse(await readFile(new URL("../../test/vectors/steps.json", import.meta.url), "utf8")) as Steps;

/** Math.exp and Math.log may differ in their last bit between engines. */
const RELATIVE = 1e-6;

test("M1 a microbatch's losses, gradients and statistics are those of the vectors", () => {
  const fresh = make();
  expect(fresh.cases.map(({ name }) => name)).toEqual(stored.cases.map(({ name }) => name));
  fresh.cases.forEach((made, index) => {
    const vector = stored.cases[index];
    expect(made.parameters).toEqual(vector.parameters);
    for (const [i, value] of made.metrics.entries()) expect(value).toBeCloseTo(vector.metrics[i], 9);
    made.tensors.forEach((tensor, i) => {
      const { values, units: _, norm, ...fixed } = tensor;
      expect(vector.tensors[i]).toMatchObject(fixed);
      const [ours, theirs] = [values, vector.tensors[i].values].map(floatsFromBase64);
      ours.forEach((value, k) => {
        if (Math.abs(value - theirs[k]) > RELATIVE * norm) expect(`${tensor.name}[${k}] ${value}`).toBe(theirs[k]);
      });
    });
  });
});

/** A sign or a kink that is decided by less than this could fall another way in float32. */
const MARGIN = 2e-5;

test.each(stored.cases)("no sign of the vectors' $name hangs on a rounding", ({ config, phase }) => {
  const { networks, phase: played, trace } = computed(config, phase);
  const { graph } = networks[played.network];
  const least = graph.nodes.flatMap((node) =>
    node.op === "rbconv" ? [trace.outputs[node.input].values.reduce((m, x) => Math.min(m, Math.abs(x)), 1)] : [],
  );
  expect(Math.min(1, ...least)).toBeGreaterThan(MARGIN);
});

/** Windows of max-pools behind binary layers whose maximum is there more than once. */
function tiedWindows({ config, phase }: Pick<(typeof stored.cases)[number], "config" | "phase">): number {
  const { networks, phase: played, trace } = computed(config, phase);
  const { graph } = networks[played.network];
  let tied = 0;
  graph.nodes.forEach((node, id) => {
    if (node.op !== "pool" || node.kind !== "max" || graph.nodes[node.input].op !== "rbconv") return;
    const x = trace.outputs[node.input];
    const y = trace.outputs[id];
    const found = new Uint8Array(y.values.length);
    eachTap(x, y, node, (to, from) => {
      for (let c = 0; c < y.c; c++) {
        if (x.values[from * x.c + c] === y.values[to * y.c + c]) found[to * y.c + c]++;
      }
    });
    tied += found.filter((times) => times > 1).length;
  });
  return tied;
}

test.each(stored.cases.filter(({ name }) => name.endsWith("with ties")))(
  "of the vectors' $name windows enough have their maximum twice that a worker shows which it takes",
  (vector) => expect(tiedWindows(vector)).toBeGreaterThanOrEqual(16),
);

test("two vectors are there for ties", () => {
  expect(stored.cases.filter(({ name }) => name.endsWith("with ties"))).toHaveLength(2);
});

test("the vectors hold gradients of every kind: none is all zeros, and all losses count", () => {
  for (const { name, phase, metrics, tensors } of stored.cases) {
    expect(metrics[0], name).toBeGreaterThan(0.1);
    expect(tensors.filter(({ norm }) => norm === 0)).toEqual([]);
    if (phase === "student" && tensors.some((tensor) => tensor.name.startsWith("discriminator"))) {
      expect(Math.min(...metrics.slice(3))).toBeGreaterThan(0.1);
    }
  }
});

test("M3 the inner steps of a lease end where the vector says, whose signs hang on no rounding", async () => {
  const text = await readFile(new URL("../../test/vectors/local.json", import.meta.url), "utf8");
  const vector = JSON.parse(text) as ReturnType<typeof local>;
  const made = local();
  expect(made.tensors.map(({ name, kind }) => [name, kind])).toEqual(
    vector.tensors.map(({ name, kind }) => [name, kind]),
  );
  made.tensors.forEach(({ name, values }, index) => {
    const [ours, theirs] = [values, vector.tensors[index].values].map(floatsFromBase64);
    const largest = theirs.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    ours.forEach((value, i) => {
      if (Math.abs(value - theirs[i]) > RELATIVE * largest) expect(`${name}[${i}] ${value}`).toBe(theirs[i]);
    });
  });
  expect(localLease().margin).toBeGreaterThan(MARGIN);
});
