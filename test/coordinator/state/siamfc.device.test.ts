// A tracker learns on a device: a full-precision teacher and its 1-bit student, of pairs that are drawn of clips, with
// discriminators that judge both branches, batch norms tuned at the end, and running statistics to evaluate with.
import { expect, test } from "vitest";
import { createTrainingState, type TrainingState } from "../../../coordinator/state/training-state.ts";
import { createJpegDecoder } from "../../../shared/image/jpeg.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { placeOf } from "../../../shared/run/program.ts";
import { clipsInChunks, drawnClips } from "../../fixtures/clip-data.ts";
import { jpegModule } from "../../fixtures/jpeg-module.ts";
import { fell, heldData, realSteps } from "../../fixtures/real-steps.ts";

const CLIPS = 4;
const DRAWS = 2;
/** The least sides that leave a map of each layer: 1 of an exemplar, 5 of a search, a response of 5. */
const SIZES = { exemplar: 87, margin: 4, instance: 135 };

const run = {
  name: "tracker",
  seed: 3,
  task: { kind: "siamfc", exemplar: SIZES.exemplar, margin: SIZES.margin, radius: 8, responseScale: 0.3 },
  model: { kind: "siamfc", widths: [4, 6, 8, 8, 4] },
  data: { kind: "store", store: "clips", draws: DRAWS, testDraws: DRAWS, trainSamples: CLIPS, testSamples: CLIPS },
  batch: 4,
  microbatch: 2,
  optimizer: { learningRate: 0.05, schedule: { kind: "constant" } },
};
const clips = await drawnClips({ clips: CLIPS, crops: 3, instance: SIZES.instance, exemplar: SIZES.exemplar });
const data = clipsInChunks(clips, SIZES.instance, DRAWS);

test("teacher, student with discriminators, batch norms, and an evaluation of each", { timeout: 300_000 }, async () => {
  const fields = { teacher: { epochs: 5, learningRate: 0.05 }, epochs: 5, bnPhase: 0.5 };
  const config = parseConfig({ ...run, ...fields, adversarial: { warmupEpochs: 0, lambda: 0.1 } });
  const { program } = createTrainingState(config, data.dataset);
  const at = (step: number) => placeOf(program, step, config.batch).pass.phase;
  /** What changes in no phase but one: the layers' latent weights, a discriminator, a norm of each branch. */
  const seen: Record<string, string>[] = [];
  const note = ({ parameters }: TrainingState) => {
    const bits = (...names: readonly string[]) => names.map((name) => parameters.student.get(name)?.join()).join();
    seen.push({
      teacher: parameters.teacher.get("conv5.weight")?.join() ?? "",
      latent: bits("conv2.weight", "conv2.c", "conv3.weight", "conv4.weight", "conv1.weight", "conv5.weight"),
      norms: bits("bn1.weight", "bn4.bias", "bn2.running_mean"),
      critics: bits("discriminator.conv2.0.weight", "discriminator.conv4.0.weight"),
    });
  };
  const { losses, evaluations } = await realSteps(config, program.steps, note, note, {
    ...heldData(config, data, { jpeg: await createJpegDecoder(jpegModule()) }),
    evaluates: ["teacher", "student"],
  });
  const of = (phase: string) => losses.filter((_, step) => at(step) === phase);
  expect(fell(of("teacher"))).toBe(true);
  expect(fell(of("student"), 0.95)).toBe(true);
  expect(of("bn").length).toBeGreaterThan(0);
  expect(of("student").every(({ discriminator, adversarial }) => discriminator > 0 && adversarial > 0)).toBe(true);
  const moved = losses.map((_, step) => ({
    phase: at(step),
    what: Object.keys(seen[step]).filter((part) => seen[step][part] !== seen[step + 1][part]),
  }));
  for (const { phase, what } of moved) {
    expect(what, phase).toEqual(
      { teacher: ["teacher"], student: ["latent", "norms", "critics"], bn: ["norms"] }[phase],
    );
  }
  expect(evaluations.get("teacher")?.task).toBeLessThan(Math.LN2);
  for (const means of [evaluations.get("teacher"), evaluations.get("student")]) {
    expect(means?.task).toBeGreaterThan(0);
    expect(means?.within2).toBeLessThanOrEqual(means?.within4 ?? 0);
  }
});
