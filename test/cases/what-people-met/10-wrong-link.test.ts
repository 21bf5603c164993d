// A link that does not work says so on a page that looks like the volunteers'.

import { expect, test } from "vitest";
import { shortCode } from "../../../coordinator/classroom/short-code.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

/** What a browser takes that is to show the answer. */
const toShow = { headers: { accept: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" } };

/** Sees that a page is styled as the volunteers'. @returns its HTML */
async function shownAt(address: URL, status: number): Promise<string> {
  const page = await fetch(address, toShow);
  const html = await page.text();
  expect([page.status, page.headers.get("cache-control")]).toEqual([status, "no-store"]);
  const [, href] = /rel="stylesheet" href="([^"]+)"/.exec(html) ?? [];
  const file = await fetch(new URL(href ?? "", address));
  expect([file.status, file.headers.get("content-type")]).toEqual([200, expect.stringContaining("text/css")]);
  const style = await file.text();
  const classes = [...html.matchAll(/class="([^"]+)"/g)].flatMap(([, names]) => names.split(" "));
  expect(classes).toContain("card");
  for (const name of classes) expect(style).toContain(`.${name}`);
  return html;
}

test("a wrong link is told on a page with the volunteer page's own style", async () => {
  const { url } = await startTestRun();
  expect(await shownAt(new URL("/?token=guess", url), 403)).toContain("whole link");
});

test("H27 whoever mistypes an address is told what to do, and what a code looks like; programs get JSON", async () => {
  const { url } = await startTestRun();
  const codeHint = "A code is three letters or digits, a hyphen, and three more";
  // A letter too few, letters that no code has, and a code of another run.
  for (const typed of ["k7q-m4", "kol-1i0", "k7qm4tt", shortCode("another")]) {
    expect(await shownAt(new URL(`/${typed}`, url), 404), typed).toContain(codeHint);
  }
  // Wherever that is, the page finds its style.
  const elsewhere = await shownAt(new URL("/a/page/of.html", url), 404);
  expect(elsewhere).toContain("Ask whoever runs the training");
  expect(elsewhere).not.toContain(codeHint);
  for (const accept of ["*/*", "application/json"]) {
    const answer = await fetch(new URL("/k7q-m4", url), { headers: { accept } });
    expect([answer.status, await answer.json()]).toEqual([
      404,
      { code: "DATA_MISSING", message: "nothing is at /k7q-m4" },
    ]);
  }
});
