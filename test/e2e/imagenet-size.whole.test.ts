// The shipped run of ImageNet at its full size, on a store of a few pictures: commands of the README with a real Deno
// worker, at 224 pixels, ResNet-18 of full widths, with a teacher of torchvision's topology. With `npm run test:long`
// it goes on from its checkpoint, too.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readSafetensors, writeSafetensors } from "../../shared/base/safetensors.ts";
import { CoordinatorProcess, runCoordinator } from "../fixtures/coordinator-process.ts";
import { imagenetFixtures } from "../fixtures/imagenet-fixtures.ts";
import { imported } from "../fixtures/imported.ts";
import { often } from "../fixtures/in-rotation.ts";
import { torchvisionStateDict } from "../fixtures/state-dict.ts";
import { scratchFolder } from "../fixtures/test-run.ts";
import { linesOf, succeeded } from "./run-process.ts";
import { WorkerProcess } from "./worker-process.ts";

const serving = ["--json", "--workers", "0", "--port", "0"];
/** Each of a coordinator and a worker of its own. */
const STEPS = often(1, 2);

test("ResNet-18 at 224 pixels makes a step from JPEGs beside torchvision's teacher, is evaluated and exported", async () => {
  const folder = await scratchFolder();
  const { folder: store, summary } = await imported(join(imagenetFixtures().root, "imagefolder"));
  const classes = summary?.classes ?? 0;
  expect(classes).toBeGreaterThan(2);
  const teacher = join(folder, "resnet18.safetensors");
  await writeFile(teacher, writeSafetensors(torchvisionStateDict({}, { shape: { h: 224, w: 224, c: 3 }, classes })));

  const runDir = join(folder, "run");
  const set = { "data.store": store, "teacher.file": teacher, "data.testSamples": 2, batch: 2, microbatch: 2 };
  const flags = Object.entries(set).flatMap(([field, value]) => ["--set", `${field}=${value}`]);
  const first = new CoordinatorProcess([
    ...["start", "imagenet-resnet18.yaml", ...serving, "--run-dir", runDir, "--max-steps", "1", ...flags],
  ]);
  const worker = new WorkerProcess(await first.url(), "deno");
  await succeeded(first);
  await worker.exited;
  const [step, done] = linesOf(first);
  expect(step).toMatchObject({ event: "step", step: 1, samples: 2 });
  // Discriminators compare the two networks' maps from the first step on.
  expect(step.loss).toMatchObject({ adversarial: expect.any(Number), discriminator: expect.any(Number) });
  expect((step.loss as unknown as { readonly discriminator: number }).discriminator).toBeGreaterThan(0.5);
  expect(done).toMatchObject({ event: "done", step: 1, scores: { student: { name: "accuracy" } } });

  for (let steps = 2; steps <= STEPS; steps++) {
    const again = new CoordinatorProcess(["resume", runDir, ...serving, "--max-steps", String(steps)]);
    const second = new WorkerProcess(await again.url(), "deno");
    await succeeded(again);
    await second.exited;
    expect(linesOf(again)[0]).toMatchObject({ event: "step", step: steps, samples: 2 * steps });
  }

  const out = join(folder, "model.safetensors");
  expect(await runCoordinator("export", runDir, "--out", out)).toMatchObject({ code: 0 });
  const { tensors } = readSafetensors(await readFile(out));
  expect(tensors.get("layer4.1.conv2.weight.signs")).toMatchObject({ dtype: "U8", shape: [512, 3, 3, 64] });
}, 600_000);
