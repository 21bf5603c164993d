// The shipped example trained twice from one seed by real workers: with the product's backward in f32, and as with one in int8.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { z } from "zod";
import { coordinate } from "../../../coordinator/program/coordinate.ts";
import { openFreshRun } from "../../../coordinator/run/open-run.ts";
import { readRunConfig } from "../../../coordinator/run/run-config.ts";
import { launchDenoWorkers } from "../../../worker/platform/node/deno-workers.ts";
import { packageRoot } from "../../../worker/platform/node/package-root.ts";

const WORKERS = 2;
const ROUNDING_WORKER = path.join(packageRoot(import.meta.url), "dist/test/bench/int8/rounding-worker.js");

const workerLine = z.union([
  z.object({ adapter: z.string() }),
  z.object({ kind: z.enum(["student", "bn"]), step: z.number(), cosines: z.record(z.string(), z.number().nullable()) }),
]);

/** Lines for one run, its accuracies last. @param fields of the configuration, as `coordinator start --set` takes them */
async function train(backward: "f32" | "int8", fields: readonly string[]): Promise<object[]> {
  const folder = await mkdtemp(path.join(tmpdir(), "bitswarm-int8-"));
  const seen = new Map<string, object>();
  try {
    // Its bits depend on nothing but the numbers: not on who computed what.
    const config = await readRunConfig({ full: false, set: [...fields, "codec=exact"] });
    const run = await openFreshRun(config, path.join(folder, "run"));
    const coordination = await coordinate(run, {
      host: "127.0.0.1",
      port: 0,
      workers: 0,
      runtime: "deno",
      terminal: { write: () => true },
    });
    const workers = await launchDenoWorkers({
      url: coordination.server.localUrl,
      count: WORKERS,
      tune: false,
      ...(backward === "int8" ? { main: ROUNDING_WORKER } : {}),
      onLine: (line) => {
        // What was no report comes with the worker's number in front.
        const [, json] = line.split("] {", 2);
        if (json === undefined) return;
        const said = workerLine.parse(JSON.parse(`{${json}`));
        // An audit computes the same again.
        seen.set("adapter" in said ? "adapter" : `${said.kind} ${said.step}`, { backward, seed: config.seed, ...said });
      },
    });
    const failure = workers.exited.then(() => new Promise<never>(() => undefined));
    try {
      const { step, testAccuracy, teacherAccuracy, paramsHash } = await Promise.race([coordination.done, failure]);
      const result = { backward, seed: config.seed, steps: step, testAccuracy, teacherAccuracy, paramsHash };
      return [...seen.values(), result];
    } finally {
      await workers.stop();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export async function* accuracy(fields: readonly string[]): AsyncGenerator<object> {
  for (const backward of ["f32", "int8"] as const) yield* await train(backward, fields);
}
