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
/** Files one after another: a device, or programs with devices of their own, take every core already. */
const inTurn = { fileParallelism: false, testTimeout: 60_000, hookTimeout: 60_000 };

/** What files of one test run share (fixtures/made-once.ts). */
const shared = path.join(tmpdir(), `bitswarm-test-shared-${process.pid}`);
process.once("exit", () => rmSync(shared, { recursive: true, force: true }));

/**
 * Files that take longest begin first, so that no core waits for them at the end; vitest itself knows how long only
 * later.
 */
const longest = [
  "test/simulation/",
  "test/plugins/engine.test.ts",
  "test/coordinator/training/threaded-training.test.ts",
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) => longest.some((path) => moduleId.includes(path));
    const sorted = await super.sort(files);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
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
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: [device, whole],
          // Files of one process share what they load: two thirds of the time went into loading it anew for each file.
          isolate: false,
          // Vitest would leave one core to itself, of two.
          maxWorkers: availableParallelism(),
          testTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      { extends: true, test: { name: "device", include: [device], ...inTurn, sequence: { groupOrder: 1 } } },
      { extends: true, test: { name: "whole", include: [whole], ...inTurn, sequence: { groupOrder: 2 } } },
    ],
  },
});
