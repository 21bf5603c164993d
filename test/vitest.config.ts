// The test runner's settings: GPU and end-to-end tests share two cores, so files run one after another.
import { tmpdir } from "node:os";
import path from "node:path";
import { defineConfig } from "vitest/config";

// biome-ignore lint/style/noDefaultExport: vitest loads a config by its default export.
export default defineConfig({
  test: {
    root: new URL("..", import.meta.url).pathname,
    include: ["test/**/*.test.ts"],
    fileParallelism: false,
    // What workers measure goes there, not to the user's own cache.
    env: { XDG_CACHE_HOME: path.join(tmpdir(), "bitswarm-test-cache") },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
