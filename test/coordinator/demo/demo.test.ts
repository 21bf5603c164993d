// The demo behind the volunteers' token, and as a folder: which networks, for whom, and what is left alone.

import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packageRoot } from "../../../coordinator/base/package-root.ts";
import { Demo } from "../../../coordinator/demo/demo.ts";
import { writeDemo } from "../../../coordinator/demo/demo-folder.ts";
import { demoNetworks } from "../../../coordinator/demo/demo-networks.ts";
import { readPageFiles } from "../../../coordinator/server/page-files.ts";
import { readExported } from "../../../shared/export/read-exported.ts";
import { scratchFolder, startTestRun, workToTheEnd } from "../../fixtures/test-run.ts";
import { write } from "../../fixtures/tiny-checkpoint.ts";
import { withFolder } from "../../fixtures/tiny-run.ts";
import { trainedTracker } from "../../fixtures/tiny-tracker.ts";

test("X41 the demo's networks are for those with the run's token, once there is one trained: the run's own and its teacher", async () => {
  const run = await startTestRun({ linger: true });
  const get = (path: string, token = run.run.directory.token) => {
    const url = new URL(path, run.straightUrl);
    url.search = `?token=${token}`;
    return fetch(url);
  };
  expect((await get("/demo", "wrong")).status).toBe(403);
  expect((await get("/demo/networks.json", "wrong")).status).toBe(403);
  const slash = await fetch(new URL("/demo/?token=a%20b", run.straightUrl), { redirect: "manual" });
  expect([slash.status, slash.headers.get("location")]).toEqual([302, "../demo?token=a%20b"]);
  const early = await get("/demo/networks.json");
  expect(early.status).toBe(404);
  expect(await early.json()).toMatchObject({
    code: "CHECKPOINT_MISSING",
    message: expect.stringMatching(/^The network is not trained yet/),
  });
  const status = async () =>
    (await (await get("/status")).json()) as { readonly state: string; readonly demo?: boolean };
  expect((await status()).demo).toBeUndefined();

  const crew = await run.connect().join();
  await crew.work();
  await expect.poll(status).toMatchObject({ state: "done", demo: true });
  const page = await get("/demo");
  expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
  expect(page.headers.get("permissions-policy")).toContain("camera=(self)");
  expect(await (await get("/demo/networks.json")).json()).toEqual({
    title: run.run.state.config.name,
    networks: ["student", "teacher"],
  });
  // Whoever looks on is led there by the dashboard.
  expect((await get("/demo", run.run.directory.dashboardToken)).status).toBe(200);
  expect((await get("/demo/student.safetensors", run.run.directory.dashboardToken)).status).toBe(200);
  const student = await get("/demo/student.safetensors");
  const model = readExported(new Uint8Array(await student.arrayBuffer()));
  expect(model.provenance.step).toBe(run.run.state.step);
  const again = new URL("/demo/student.safetensors", run.straightUrl);
  again.search = `?token=${run.run.directory.token}`;
  const same = await fetch(again, { headers: { "if-none-match": student.headers.get("etag") ?? "" } });
  expect(same.status).toBe(304);
  expect((await get("/demo/other.safetensors")).status).toBe(404);
  // Who comes to the page now hears that it is over, from a coordinator that is still there.
  expect((await get("/")).status).toBe(200);
});

test("X42 a demo's folder has the page and the networks; a folder with anything else is left as it is", async () => {
  const run = await startTestRun();
  await workToTheEnd(run, 1);
  const { path } = run.run.directory;
  const out = join(await scratchFolder(), "new", "demo");
  await writeDemo(path, out);
  await writeDemo(path, out);
  expect(await readdir(out)).toEqual(["demo", "index.html"]);
  const { files } = await demoNetworks(path);
  for (const [name, bytes] of files) expect(new Uint8Array(await readFile(join(out, name)))).toEqual(bytes);
  await writeFile(join(out, "thesis.txt"), "years of work");
  await expect(writeDemo(path, out)).rejects.toMatchObject({
    code: "STORAGE_FAILED",
    message: expect.stringContaining("such as thesis.txt"),
  });
  expect(await readFile(join(out, "thesis.txt"), "utf8")).toBe("years of work");
  const folder = await scratchFolder();
  await mkdir(join(folder, "below"));
  await writeFile(join(folder, "file"), "");
  await expect(writeDemo(path, join(folder, "file"))).rejects.toMatchObject({
    message: expect.stringContaining("is a file"),
  });
});

test("X43 a run whose networks follow has its page at /track, with films of the tab's own alone; /demo leads there, and in any other run /track to /demo", async () => {
  const tokens = { token: "run", operatorToken: "operator", dashboardToken: "board" };
  const page = await readPageFiles(join(packageRoot(), "dist", "demo"));
  const visitors = { wrongToken: () => undefined };
  const ask = (follows: boolean) => {
    const routes = new Demo({ tokens, page, path: "nowhere", follows }).routes(visitors);
    return (path: string) => routes.request(`http://localhost${path}?token=run`);
  };
  const [following, naming] = [ask(true), ask(false)];
  const shown = await following("/track");
  expect(await shown.text()).toContain("<title>Follow something");
  expect(shown.headers.get("content-security-policy")).toMatch(/^default-src 'none'; .*; media-src blob:$/);
  expect(shown.headers.get("permissions-policy")).toBe("camera=(self), microphone=(), geolocation=()");
  const leads = await Promise.all(
    [following("/demo"), following("/demo/"), following("/track/"), naming("/track")].map(async (answer) => {
      const { status, headers } = await answer;
      return [status, headers.get("location")];
    }),
  );
  expect(leads).toEqual([
    [302, "track?token=run"],
    [302, "../track?token=run"],
    [302, "../track?token=run"],
    [302, "demo?token=run"],
  ]);
  expect((await naming("/demo")).headers.get("content-security-policy")).not.toContain("blob:");
});

test("X43 a folder of networks that follow has that page under the name that web servers look for", () =>
  withFolder(async (run) => {
    const { state, ledger } = trainedTracker();
    await write(run, state, ledger);
    const out = join(await scratchFolder(), "demo");
    await writeDemo(run, out);
    expect(await readdir(out)).toEqual(["demo", "index.html"]);
    expect(await readFile(join(out, "index.html"), "utf8")).toContain("<title>Follow something");
    expect((await demoNetworks(run)).follows).toBe(true);
  }));
