// `bench codecs`: the shipped example trained once with each codec by real workers, same seed and steps; its final
// accuracies.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { z } from "zod";
import { packageRoot } from "../../coordinator/base/package-root.ts";
import type { Emit } from "./line.ts";

/** Against float32; `exact` differs from it by rounding alone. */
const compared: readonly string[] = ["f32", "f16", "int8", "sign"];

const summarySchema = z.looseObject({
  event: z.literal("done"),
  step: z.number(),
  scores: z.record(z.string(), z.object({ name: z.string(), value: z.number() })),
});

/** Trains in a folder of its own with two local workers; `fields` are more `--set`s. */
async function train(codec: string, fields: readonly string[]) {
  const folder = await mkdtemp(join(tmpdir(), "bitswarm-codecs-"));
  try {
    const program = join(packageRoot(), "dist", "coordinator", "program", "bin.js");
    const sets = [`codec=${codec}`, ...fields].flatMap((field) => ["--set", field]);
    const flags = ["start", "--json", "--port", "0", "--run-dir", join(folder, "run"), ...sets];
    const child = spawn(process.execPath, [program, ...flags], { stdio: ["ignore", "pipe", "pipe"] });
    const [output, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
    if (code !== 0) throw new Error(`the run with codec ${codec} ended with ${code}: ${errors.slice(-2000)}`);
    return summarySchema.parse(JSON.parse(output.trim().split("\n").at(-1) ?? ""));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export async function benchCodecs(fields: readonly string[], emit: Emit): Promise<void> {
  const which = fields.length > 0 ? ` with ${fields.join(", ")}` : "";
  await emit({ record: "policy", text: `the shipped example${which}, two local workers, one run of each codec` });
  for (const codec of compared) {
    const { step, scores } = await train(codec, fields);
    await emit({ record: "accuracy", codec, steps: step, scores });
  }
}
