// The volunteer page under a path of a site that exists already: it works end to end, with its link's slash or without.

import { expect, test } from "vitest";
import { readReach } from "../../../coordinator/server/reach.ts";
import { visitPage } from "../../fixtures/page-visit.ts";
import { reverseProxy } from "../../fixtures/reverse-proxy.ts";
import { startTestRun, type TestRun } from "../../fixtures/test-run.ts";

test("H20 the page joins below a path, by a link without its slash too, and asks for nothing outside it but by that link", async () => {
  let run: TestRun | undefined;
  const proxy = await reverseProxy(() => run?.straightUrl ?? "", { prefix: "/bitswarm" });
  run = await startTestRun({ reach: readReach({ publicUrl: `${proxy.origin}/bitswarm/`, behindProxy: true }) });
  const { page, state, errors } = await visitPage(`${run.url.replace("/?", "?")}&tune=0`);
  expect(page.url()).toContain("/bitswarm/?token=");
  expect(await page.$eval("#run-name", (node) => node.textContent)).not.toBe("");
  await page.click("#start");
  await state("waiting", "computing");
  // What the page without its slash began to load.
  for (const path of proxy.elsewhere) expect(path).toMatch(/^\/(assets\/[^?]*|favicon\.ico)$/);
  expect(errors.filter((text) => !text.includes("404"))).toEqual([]);
});
