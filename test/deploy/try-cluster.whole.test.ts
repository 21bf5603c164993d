// deploy/try-cluster.sh, as anybody starts it: three NATS servers, two coordinators, three gateways, six Deno workers.
// The coordinator that leads is killed, and the other goes on.

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { checkRun } from "../../deploy/cluster/check-run.mjs";
import { scratchFolder, tinyFlags } from "../fixtures/test-run.ts";
import { notOnLinux } from "../fixtures/test-tool.ts";

const script = fileURLToPath(new URL("../../deploy/try-cluster.sh", import.meta.url));
// Most of them after the kill: a machine under load sees late that it is time for it.
const STEPS = 16;

test.skipIf(notOnLinux)(
  "the leader of a cluster is killed, and the run goes on: nothing missing, nothing doubled, one history",
  { timeout: 600_000 },
  async () => {
    const folder = await scratchFolder();
    const { flags } = await tinyFlags();
    const env = { ...process.env, TRY_FOLDER: folder, TRY_AFTER: "2", TRY_STEPS: String(STEPS) };
    const child = spawn("sh", [script, ...flags], { stdio: ["ignore", "pipe", "pipe"], env });
    let said = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (data) => {
        said += data;
      });
    const code = new Promise<number | null>((resolve) => child.once("close", resolve));
    // It ends what it has started, and shows where it stood.
    const late = setTimeout(() => child.kill("SIGTERM"), 540_000);
    onTestFinished(async () => {
      clearTimeout(late);
      child.kill("SIGTERM");
      await code;
    });
    expect(await code, said).toBe(0);
    expect(said).toMatch(/c-1 leads: the next step was committed \d+ ms after the kill/);
    expect(said).toContain("0 missing, 0 doubled, every chain whole, one history");
    const check = checkRun([join(folder, "c-0"), join(folder, "c-1")]);
    expect(check).toMatchObject({ problems: [], steps: STEPS });
    expect(check.leaders).toHaveLength(2);
    const events = readFileSync(join(folder, "c-1", "events.ndjson"), "utf8");
    expect(events).toMatch(/"type":"follows".*\n[\s\S]*"type":"leads"/);
  },
);
