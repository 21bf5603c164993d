// What a volunteer meets when the coordinator dies that leads a run over many machines: a page at a gateway says that
// the run pauses, and goes on with whoever leads next; so does a dashboard there.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "puppeteer";
import { expect, onTestFinished, test } from "vitest";
import { historyAnswerSchema } from "../../../coordinator/dashboard/feed-message.ts";
import { CoordinatorProcess } from "../../fixtures/coordinator-process.ts";
import { startNats } from "../../fixtures/nats-servers.ts";
import { openPage, visitPage } from "../../fixtures/page-visit.ts";
import { scratchFolder, tinyFlags } from "../../fixtures/test-run.ts";
import { notOnLinux } from "../../fixtures/test-tool.ts";

const PAUSE = "a pause: waits for whoever leads the run, silent for";

const shows = (page: Page, selector: string, text: string) =>
  page.waitForFunction(`document.querySelector('${selector}')?.textContent.includes(${JSON.stringify(text)})`);

/** Samples that this page has computed so far. */
const samplesOf = (page: Page): Promise<number> =>
  page.$eval("html", (root) => Number((root as HTMLElement).dataset.samples ?? 0));

/** What it is called at its gateway. */
const workerOf = (page: Page) => page.$eval("html", (root) => root.dataset.worker);

/** Waits until the dashboard says that more steps than these are committed. */
const stepsBeyond = (page: Page, step: number) => page.waitForFunction(`(${stepOn})() > ${step}`);

/** Committed steps on a dashboard. */
const stepOn = `() => Number(/^Step([\\d,]+) of/.exec(document.querySelector('.facts')?.textContent)?.[1].replaceAll(',', ''))`;

/** Steps whose numbers the gateway of a dashboard has of whoever leads; none where nobody does. */
async function curvesAt(dashboardLink: string): Promise<readonly number[]> {
  const answer = await fetch(dashboardLink.replace("dashboard?", "dashboard/history?table=steps&points=1000&"));
  return answer.ok ? historyAnswerSchema.parse(await answer.json()).steps : [];
}

test.skipIf(notOnLinux)(
  "Q30 a page and a dashboard at a gateway say that the run pauses where whoever leads is killed, and go on with the next",
  async () => {
    const servers = await startNats();
    onTestFinished(() => servers.close());
    const { flags } = await tinyFlags();
    const folder = await scratchFolder();
    const cluster = ["--run", "paused", "--port", "0", "--workers", "0"];
    const long = ["--set", "epochs=2000", "--set", "teacher.epochs=2000"];
    const coordinators = ["c-0", "c-1"].map((id) => {
      const where = ["--engine", servers.url, "--id", id, "--run-dir", join(folder, id)];
      return { id, process: new CoordinatorProcess(["start", ...flags, ...long, ...cluster, ...where]) };
    });
    const dir = ["--id", "g-0", "--dir", join(folder, "g-0")];
    const gateway = new CoordinatorProcess(["gateway", servers.url, ...cluster, ...dir], {
      XDG_CACHE_HOME: join(folder, "cache"),
    });
    const leads = await Promise.race(
      coordinators.map(async (one) => {
        await one.process.printed(new RegExp(`${one.id} leads`));
        return one;
      }),
    );
    const [follows] = coordinators.filter((one) => one !== leads);
    await follows.process.printed(new RegExp(`${follows.id} stands by`));
    const link = await gateway.url();
    const [dashboardLink] = await gateway.printed(/http:\S+\/dashboard\?token=[\w-]+/);
    // Both were begun at once.
    for (const secret of ["token", "operator-token", "dashboard-token"]) {
      const [one, other] = await Promise.all(coordinators.map(({ id }) => readFile(join(folder, id, secret), "utf8")));
      expect(other, `U44 ${secret}`).toBe(one);
    }

    const { page, errors } = await visitPage(`${link}&tune=0`);
    const dashboard = await openPage(dashboardLink);
    await page.click("#start");
    await page.waitForFunction("Number(document.documentElement.dataset.samples) > 0");
    await stepsBeyond(dashboard.page, 0);
    await shows(dashboard.page, ".events", `${leads.id} leads`);
    await expect.poll(() => curvesAt(dashboardLink)).toContain(1);

    // The next one is held until everybody has seen that nobody leads.
    follows.process.child.kill("SIGSTOP");
    leads.process.child.kill("SIGKILL");
    await leads.process.exited;
    await shows(page, "#reason", PAUSE);
    await shows(dashboard.page, ".reason", PAUSE);
    expect(await page.$eval("#notice", (notice) => (notice as HTMLElement).hidden)).toBe(true);
    const [worker, before] = [await workerOf(page), await samplesOf(page)];
    expect(worker).toMatch(/^g-0\./);
    const step = Number(await dashboard.page.evaluate(`(${stepOn})()`));
    follows.process.child.kill("SIGCONT");

    await shows(dashboard.page, ".events", `${follows.id} leads`);
    await stepsBeyond(dashboard.page, step);
    // From its first step on.
    await expect.poll(() => curvesAt(dashboardLink)).toEqual(expect.arrayContaining([1, step, step + 1]));
    await dashboard.page.waitForFunction("!document.body.textContent.includes('curves cannot be read')");
    await page.waitForFunction(`Number(document.documentElement.dataset.samples) > ${before}`);
    await page.waitForFunction(`!document.querySelector('#reason').textContent.includes("${PAUSE}")`);
    // It has kept its place.
    expect(await workerOf(page)).toBe(worker);
    expect(await page.$eval("#notice", (notice) => (notice as HTMLElement).hidden)).toBe(true);
    expect(errors).toEqual([]);
    // Curves are asked of whoever leads, and for a while that is nobody.
    expect(dashboard.errors.filter((error) => !/Failed to load resource/.test(error))).toEqual([]);
  },
);
