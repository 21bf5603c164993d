// Two coordinators of one run on three real nats-servers, with Deno workers: one is stopped and wakes fenced, the other
// killed, and every step has the bits of a run in one process.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { inspectCommitLog, standingCommits } from "../../../coordinator/checkpoint/commit-log.ts";
import { CoordinatorProcess } from "../../fixtures/coordinator-process.ts";
import { startNats } from "../../fixtures/nats-servers.ts";
import { scratchFolder, tinyFlags } from "../../fixtures/test-run.ts";
import { notOnLinux } from "../../fixtures/test-tool.ts";

/** Steps that are compared with those of one process. */
const COMPARED = 12;

/** Parameters after each step that stands. */
async function hashesOf(folder: string): Promise<string[]> {
  const { records } = await inspectCommitLog(folder);
  return standingCommits(records).flatMap((one) => (one.type === "step" ? [`${one.step} ${one.paramsHash}`] : []));
}

const stepsOf = async (folder: string) => (await hashesOf(folder)).length;

test.skipIf(notOnLinux)(
  "U14 a leader that was stopped wakes fenced and stands by, one that was killed is followed, and each step has the bits of one process",
  async () => {
    const servers = await startNats();
    onTestFinished(() => servers.close());
    const { flags, runDir } = await tinyFlags();
    const folder = await scratchFolder();
    const many = ["--set", "codec=exact", "--set", "epochs=500", "--set", "teacher.epochs=500"];
    const local = ["--port", "0", "--workers", "1", "--runtime", "deno"];
    const short = ["--max-steps", String(COMPARED), "--run-dir", runDir];
    const alone = new CoordinatorProcess(["start", ...flags, ...many, ...local, ...short]);
    const node = (id: string) => {
      const where = ["--engine", servers.url, "--run", "failover", "--id", id, "--run-dir", join(folder, id)];
      return new CoordinatorProcess(["start", ...flags, ...many, ...local, ...where]);
    };
    const [at0, at1] = [join(folder, "c-0"), join(folder, "c-1")];
    const c0 = node("c-0");
    await c0.printed(/c-0 leads/);
    await expect.poll(() => stepsOf(at0)).toBeGreaterThan(0);
    const c1 = node("c-1");
    await c1.printed(/c-1 stands by/);
    const had = await stepsOf(at1);
    await expect.poll(() => stepsOf(at1)).toBeGreaterThan(had);

    c0.child.kill("SIGSTOP");
    await c1.printed(/c-1 leads/);
    const led = await stepsOf(at1);
    await expect.poll(() => stepsOf(at1)).toBeGreaterThan(led);
    c0.child.kill("SIGCONT");
    await c0.printed(/ENGINE_FENCED/);
    await c0.printed(/c-0 stands by/);
    const copied = await stepsOf(at0);
    await expect.poll(() => stepsOf(at0)).toBeGreaterThan(copied);

    c1.child.kill("SIGKILL");
    await c1.exited;
    await expect.poll(() => c0.stdout.match(/c-0 leads/g)?.length).toBe(2);
    const again = await stepsOf(at0);
    await expect.poll(() => stepsOf(at0)).toBeGreaterThanOrEqual(Math.max(again + 1, COMPARED));
    expect(await alone.exited).toMatchObject({ code: 0 });
    // The same command again stands by once more, with all that was committed meanwhile.
    const back = node("c-1");
    await back.printed(/c-1 stands by/);
    const expected = (await hashesOf(runDir)).slice(0, COMPARED);
    for (const each of [at0, at1]) expect((await hashesOf(each)).slice(0, COMPARED)).toEqual(expected);
    back.child.kill("SIGTERM");
    c0.child.kill("SIGTERM");
    expect(await c0.exited).toMatchObject({ code: 0 });
    expect(await back.exited).toMatchObject({ code: 0 });
    rmSync(folder, { recursive: true, force: true });
  },
);
