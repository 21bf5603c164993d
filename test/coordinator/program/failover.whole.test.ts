// Two coordinators of one run on three real nats-servers, with Deno workers: one is stopped and wakes fenced, the other
// killed, and every step has the bits of a run in one process. And a gateway that comes when all of them have ended.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../../coordinator/base/clock.ts";
import { inspectCommitLog, standingCommits } from "../../../coordinator/checkpoint/commit-log.ts";
import { HEAD_KEY, LEASE_KEY } from "../../../coordinator/cluster/keys.ts";
import { connectNats } from "../../../coordinator/cluster/nats/connect.ts";
import { encodePlain } from "../../../shared/wire/plain-message.ts";
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

/**
 * Waits until a standby has each commit as soon as its leader: what one that has just loaded the run still misses, that
 * leader alone has, and without it nobody goes on.
 */
async function follows(standby: string, leader: string): Promise<void> {
  const had = await stepsOf(standby);
  const keepsUp = async () => {
    const has = await stepsOf(standby);
    return has > had + 2 && has >= (await stepsOf(leader)) - 1;
  };
  await expect.poll(keepsUp).toBe(true);
}

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
    await follows(at1, at0);

    c0.child.kill("SIGSTOP");
    await c1.printed(/c-1 leads/);
    const led = await stepsOf(at1);
    await expect.poll(() => stepsOf(at1)).toBeGreaterThan(led);
    c0.child.kill("SIGCONT");
    await c0.printed(/ENGINE_FENCED/);
    await c0.printed(/c-0 stands by/);
    await follows(at0, at1);

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

test.skipIf(notOnLinux)(
  "Q31 a gateway of a run that is over says so and exits with 0, as one does that waits and is told to end",
  async () => {
    const servers = await startNats();
    onTestFinished(() => servers.close());
    const folder = await scratchFolder();
    const begin = (run: string) => {
      const where = ["--run", run, "--id", "g-0", "--port", "0", "--dir", join(folder, run)];
      return new CoordinatorProcess(["gateway", servers.url, ...where]);
    };
    // Nobody has made its bucket, either.
    const waits = begin("to-come");
    await waits.printed(/nobody leads the run to-come yet/);
    waits.child.kill("SIGTERM");
    expect(await waits.exited).toMatchObject({ code: 0 });

    const coordinator = { servers: servers.url, run: "over", id: "c-0", clock: systemClock, onNotice: () => undefined };
    const { store, close } = await connectNats(coordinator);
    const keys = await store();
    const head = { leader: "c-0", epoch: 1, length: 7, step: 7, line: "", chain: "", before: "", fenced: 0 };
    await keys.create(HEAD_KEY, encodePlain(head));
    await keys.create(LEASE_KEY, encodePlain({ leader: "", epoch: 1, beat: 1, over: true }));
    await close();
    const late = begin("over");
    expect(await late.exited).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/over came to its end\s+after step 7/),
    });
  },
);
