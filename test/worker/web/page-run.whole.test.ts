// The volunteer page in a run of the real coordinator: what a throttle asks for is what the GPU takes, a volunteer who
// wants to be seen is, and a coordinator that dies is waited for.

import { expect, test } from "vitest";
import { axeViolations } from "../../fixtures/axe-run.ts";
import { CoordinatorProcess } from "../../fixtures/coordinator-process.ts";
import { visitPage } from "../../fixtures/page-visit.ts";
import { startTestRun, tinyFlags } from "../../fixtures/test-run.ts";

/** Points between what is asked and what is measured. */
const WITHIN = 10;

test("a throttle's measured share is what was asked, at first and after it was moved; the board has who wants to be on it", async () => {
  // Steps of some tenths of a second without a GPU, and enough of them.
  const config = {
    model: { kind: "lenet", widths: [12, 24, 96] },
    batch: 256,
    epochs: 2000,
    teacher: { epochs: 2000 },
  };
  const run = await startTestRun({ config });
  const { page, state, errors } = await visitPage(`${run.straightUrl}&tune=0&throttle=0.3`);
  await page.type("#nickname", "Grace");
  await page.click("#listed");
  await page.click("#start");
  await state("computing");
  const measured = (asked: number) =>
    expect
      .poll(
        async () => {
          const text = await page.$eval("#duty", (node) => node.textContent ?? "");
          const [, wanted, taken] = /^(\d+) % of its time, now (\d+)/.exec(text) ?? [];
          return Number(wanted) === asked && Math.abs(Number(taken) - asked) <= WITHIN ? "as asked" : text;
        },
        { timeout: 180_000, interval: 500 },
      )
      .toBe("as asked");
  await measured(30);
  await page.$eval("#share", (slider) => {
    (slider as HTMLInputElement).value = "60";
    slider.dispatchEvent(new Event("input", { bubbles: true }));
  });
  await measured(60);
  await page.waitForFunction("document.querySelector('#board').textContent.includes('Grace (you)')");
  // Steps are slow here, and the throttle makes them slower.
  await page.waitForFunction("Number(document.documentElement.dataset.samples) > 0");
  await page.waitForFunction("Number(document.querySelector('#given').textContent.replace(/,/g, '')) > 0");
  await page.click("#finish");
  await state("ended");
  expect(await page.$eval("#state", (node) => node.textContent)).toBe("You left");
  expect(errors).toEqual([]);
  // A sign of a class room's code is missing.
  await page.goto(new URL("/k7q-m4", run.straightUrl).href);
  expect(await page.$eval("h1", (title) => title.textContent)).toBe("Nothing is at this address");
  expect(await axeViolations(page)).toEqual([]);
}, 300_000);

test("a coordinator that is killed while a tab computes is said to be away; the tab goes on in the run that is resumed", async () => {
  const { flags, runDir } = await tinyFlags();
  const here = ["--workers", "0", "--run-dir", runDir, "--set", "teacher.epochs=2000"];
  const killed = new CoordinatorProcess(["start", ...flags, ...here, "--port", "0"]);
  const url = await killed.url();
  const { page, state } = await visitPage(`${url}&tune=0`);
  const given = (): Promise<number> => page.$eval("html", (root) => Number(root.dataset.samples ?? 0));
  await page.click("#start");
  await page.waitForFunction("Number(document.documentElement.dataset.samples) > 0", { timeout: 120_000 });
  killed.child.kill("SIGKILL");
  await killed.exited;
  await state("reconnecting");
  expect(await page.$eval("#notice-title", (node) => node.textContent)).toBe("The connection was lost");
  expect(await page.$eval("#start", (button) => button.textContent)).toBe("Try now");
  expect(await page.$eval("#reason", (node) => node.textContent)).toBe("As it was when the coordinator was last heard");
  const before = await given();
  const resumed = new CoordinatorProcess(["resume", runDir, "--workers", "0", "--port", new URL(url).port]);
  await resumed.url();
  // It may have come back by itself.
  await page.evaluate("document.querySelector('#start')?.click()");
  await page.waitForFunction(`Number(document.documentElement.dataset.samples) > ${before}`, { timeout: 120_000 });
  await page.waitForFunction("document.querySelector('#notice').hidden");
  expect(await page.$eval("html", (root) => root.dataset.code)).toBe(undefined);
}, 600_000);
