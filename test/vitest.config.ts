// The test runner's settings: three projects, told apart by the last word of a file's name; test/README.md says what
// each may use.
import { rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const device = "test/**/*.device.test.ts";
const whole = "test/**/*.whole.test.ts";
/** For what never ends: nothing that does comes near it, however busy the cores are. */
const patient = { testTimeout: 300_000, hookTimeout: 300_000 };
/**
 * A software device waits for its compiler, which has one thread: two files at once keep two cores busy. Programs wait
 * for each other as well: three.
 */
const [deviceFiles, wholeFiles] = [2, 3];

/** What files of one test run share (fixtures/made-once.ts). */
const shared = path.join(tmpdir(), `bitswarm-test-shared-${process.pid}`);
process.once("exit", () => rmSync(shared, { recursive: true, force: true }));

/**
 * Files that take longest, in that order: they begin first, so that no core waits for them at the end; vitest itself
 * knows how long only later.
 */
const longest = [
  "test/coordinator/engine/nats/",
  "test/simulation/",
  "test/coordinator/program/gateway.test.ts",
  "test/coordinator/training/threaded-training.test.ts",
  "test/shared/wire/downlink-bytes.test.ts",
  "test/coordinator/import/import-store.test.ts",
  "test/cases/resume-edited-config/resume-set.test.ts",
  "test/coordinator/checkpoint/every-method.test.ts",
  "test/plugins/engine.test.ts",

  "test/worker/trainer/trainer.device.test.ts",
  "test/kernels/in-bounds.device.test.ts",
  "test/e2e/methods.device.test.ts",
  "test/kernels/tilings.device.test.ts",
  "test/worker/trainer/local-trainer.device.test.ts",
  "test/e2e/objectives.device.test.ts",
  "test/coordinator/state/",
  "test/kernels/workgroup.device.test.ts",
  "test/verify/teacher-cases.device.test.ts",
  "test/bench/bench.device.test.ts",
  "test/worker/trainer/duty-cycle.device.test.ts",
  "test/worker/tuning/tuner.device.test.ts",

  "test/e2e/",
  "test/deploy/",
  "test/coordinator/program/import.whole.test.ts",
  "test/coordinator/program/failover.whole.test.ts",
  "test/kernels/catalogue.whole.test.ts",
  "test/worker/page.whole.test.ts",
  "test/verify/",
  "test/coordinator/program/cli.whole.test.ts",
  "test/worker/deno-main.whole.test.ts",
  "test/kernels/workgroup-lavapipe.whole.test.ts",
  "test/chaos/",
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const at = longest.findIndex((path) => moduleId.includes(path));
      return at < 0 ? longest.length : at;
    };
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}

// biome-ignore lint/style/noDefaultExport: vitest loads a config by its default export.
export default defineConfig({
  test: {
    root: fileURLToPath(new URL("..", import.meta.url)),
    env: {
      // What workers measure goes there, not to the user's own cache.
      XDG_CACHE_HOME: path.join(tmpdir(), "bitswarm-test-cache"),
      BITSWARM_TEST_SHARED: shared,
    },
    sequence: { sequencer: LongestFirst },
    // What a poll waits for comes from sockets, processes and browsers, on cores that others use as well: its limit is
    // for what never comes.
    expect: { poll: { timeout: 60_000, interval: 20 } },
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: [device, whole],
          // Files of one process share what they load: two thirds of the time went into loading it anew for each file.
          isolate: false,
          // Vitest would leave one core to itself, of two; and tests of sockets and clusters wait for the clock.
          maxWorkers: availableParallelism() + 1,
          ...patient,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "device",
          include: [device],
          // And what Dawn compiled for one file it has for the next (fixtures/device.ts).
          isolate: false,
          maxWorkers: deviceFiles,
          ...patient,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: { name: "whole", include: [whole], maxWorkers: wholeFiles, ...patient, sequence: { groupOrder: 2 } },
      },
    ],
  },
});
