// The test runner's settings: three projects, told apart by the last word of a file's name; test/README.md says what each may use.
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { defineConfig } from "vitest/config";

const device = "test/**/*.device.test.ts";
const whole = "test/**/*.whole.test.ts";
/** Files one after another: a device, or programs with devices of their own, take every core already. */
const inTurn = { fileParallelism: false, testTimeout: 60_000, hookTimeout: 60_000 };

/** What files of one test run share (fixtures/made-once.ts). */
const shared = path.join(tmpdir(), `bitswarm-test-shared-${process.pid}`);
process.once("exit", () => rmSync(shared, { recursive: true, force: true }));

// biome-ignore lint/style/noDefaultExport: vitest loads a config by its default export.
export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    env: {
      // What workers measure goes there, not to the user's own cache.
      XDG_CACHE_HOME: path.join(tmpdir(), "bitswarm-test-cache"),
      BITSWARM_TEST_SHARED: shared,
    },
    projects: [
      {
        extends: true,
        test: {
          name: "unit",
          include: ["test/**/*.test.ts"],
          exclude: [device, whole],
          // Files of one process share what they load: two thirds of the time went into loading it anew for each file.
          isolate: false,
          testTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      { extends: true, test: { name: "device", include: [device], ...inTurn, sequence: { groupOrder: 1 } } },
      { extends: true, test: { name: "whole", include: [whole], ...inTurn, sequence: { groupOrder: 2 } } },
    ],
  },
});
