// Rule: when a launcher is killed outright, nothing of what it started goes on.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createProfile, removeProfile, sweepProfiles } from "../../worker/platform/node/chromium-profile.ts";
import { type PageServer, servePage } from "./fixtures/page-server.ts";
import { descendants, isRunning, survivors } from "./fixtures/processes.ts";

let server: PageServer;
beforeAll(async () => {
  server = await servePage();
});
afterAll(() => server.close());

test.each(["browser", "deno"])("SIGKILL of a %s launcher leaves no process behind", async (runtime) => {
  const script = fileURLToPath(new URL("fixtures/launch.mjs", import.meta.url));
  const launcher = spawn(process.execPath, [script, runtime, server.link("stays")], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: string[] = [];
  createInterface({ input: launcher.stderr }).on("line", (line) => lines.push(line));
  const joined = new Promise((resolve) => createInterface({ input: launcher.stdout }).once("line", resolve));
  const exit = once(launcher, "exit");
  await Promise.race([joined, exit]);
  expect(launcher.exitCode, lines.join("\n")).toBe(null);
  const pids = descendants(launcher.pid!);
  expect(pids.filter(isRunning).length).toBeGreaterThanOrEqual(2);
  launcher.kill("SIGKILL");
  await exit;
  expect(await survivors(pids, 5000)).toEqual([]);
});

test("the next launcher removes the profile that a killed one left, and no living one's", async () => {
  const mine = createProfile();
  const left = readdirSync(tmpdir()).filter((name) => name.startsWith("bitswarm-chromium-"));
  expect(left.length).toBeGreaterThanOrEqual(2);
  sweepProfiles();
  expect(readdirSync(tmpdir()).filter((name) => left.includes(name))).toEqual([mine.slice(tmpdir().length + 1)]);
  await removeProfile(mine);
});
