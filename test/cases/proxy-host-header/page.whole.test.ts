// Behind a proxy that sends its own Host a page can join when the coordinator was told of it, and is told what is
// missing when it was not.

import { expect, test } from "vitest";
import { readReach } from "../../../coordinator/server/reach.ts";
import { visitPage } from "../../fixtures/page-visit.ts";
import { reverseProxy } from "../../fixtures/reverse-proxy.ts";
import { startTestRun, type TestRun } from "../../fixtures/test-run.ts";

test("H16 the page says which origin is refused and the option that is missing, and joins once that is given", async () => {
  let run: TestRun | undefined;
  const proxy = await reverseProxy(() => run?.straightUrl ?? "", { ownHost: true });
  const untold = await startTestRun();
  run = untold;
  const link = `${proxy.origin}/${new URL(untold.url).search}&tune=0`;
  const refused = await visitPage(link);
  await refused.page.click("#start");
  await refused.state("failed");
  const text = await refused.page.$eval("#notice", (node) => node.textContent);
  expect(text).toContain("The coordinator does not know this page's address");
  expect(text).toContain(`origin ${proxy.origin} (its header Origin) may not join`);
  expect(text).toContain("--public-url");

  run = await startTestRun({ reach: readReach({ publicUrl: proxy.origin }) });
  const told = await visitPage(`${run.url}&tune=0`);
  await told.page.click("#start");
  await told.state("waiting", "computing");
  expect(told.errors).toEqual([]);
});
