// A link that does not work says so on a page that looks like the volunteers'.

import { expect, test } from "vitest";
import { startTestRun } from "../../fixtures/test-run.ts";

test("a wrong link is told on a page with the volunteer page's own style", async () => {
  const { url } = await startTestRun();
  const wrong = new URL("/?token=guess", url);
  const page = await fetch(wrong);
  const html = await page.text();
  expect([page.status, html]).toEqual([403, expect.stringContaining("whole link")]);
  const [, href] = /rel="stylesheet" href="([^"]+)"/.exec(html) ?? [];
  const file = await fetch(new URL(href ?? "", wrong));
  expect([file.status, file.headers.get("content-type")]).toEqual([200, expect.stringContaining("text/css")]);
  const style = await file.text();
  const classes = [...html.matchAll(/class="([^"]+)"/g)].flatMap(([, names]) => names.split(" "));
  expect(classes).toContain("card");
  for (const name of classes) expect(style).toContain(`.${name}`);
});
