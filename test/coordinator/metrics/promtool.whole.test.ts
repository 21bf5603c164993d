// What Prometheus' own tool says of the metrics of a run that trained, lost a worker and was evaluated.

import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { readExposition, seriesValue } from "../../fixtures/exposition.ts";
import { startTestRun } from "../../fixtures/test-run.ts";
import { notOnLinux, testTool } from "../../fixtures/test-tool.ts";

const check = (text: string) =>
  spawnSync(testTool("promtool"), ["check", "metrics"], { input: text, encoding: "utf8" });

test.skipIf(notOnLinux)(
  "promtool finds nothing wrong with the metrics, neither their format nor their names",
  async () => {
    const { coordination, run, connect, connectStranger } = await startTestRun({
      config: { name: 'a "name"\\ with\ttoo much' },
    });
    const text = async () => {
      const headers = { authorization: `Bearer ${run.directory.operatorToken}` };
      return (await fetch(new URL("/metrics", coordination.server.localUrl), { headers })).text();
    };
    const stranger = await connectStranger().join();
    stranger.send({ type: "leave" });
    const worker = await connect().join();
    for (let answered = 0; answered < 10; answered++) await worker.answer(await worker.lease());
    await expect.poll(async () => seriesValue(readExposition(await text()), "bitswarm_evaluations_total")).toBe(1);
    const whole = await text();
    const { status, stdout, stderr } = check(whole);
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "", stderr: "" });
    const families = readExposition(whole);
    expect(families.filter(({ name }) => name.startsWith("bitswarm_")).length).toBeGreaterThan(25);
    expect(seriesValue(families, "process_cpu_seconds_total")).toBeGreaterThan(0);
    // It would say so.
    const misnamed = check(whole.replaceAll("bitswarm_steps_total", "bitswarm_steps"));
    expect(misnamed.stdout + misnamed.stderr).toMatch(/bitswarm_steps .*_total/);
  },
);
