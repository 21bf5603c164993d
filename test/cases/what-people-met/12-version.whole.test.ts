// What both programs say of themselves, and that they refuse with a code what commander refuses.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { PROTOCOL_VERSION } from "../../../shared/wire/protocol.ts";

const at = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));
const { version } = JSON.parse(readFileSync(at("package.json"), "utf8")) as { readonly version: string };
const programs = {
  coordinator: at("dist/coordinator/program/bin.js"),
  worker: at("dist/worker/platform/node/bin.js"),
} as const;

function run(program: keyof typeof programs, args: readonly string[], env: Record<string, string> = {}) {
  return spawnSync(process.execPath, [programs[program], ...args], {
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
}

test.each(["coordinator", "worker"] as const)(
  "%s --version has version, protocol and Node, and --help names it",
  (name) => {
    const { status, stdout } = run(name, ["--version"]);
    expect([status, stdout]).toEqual([
      0,
      `bitswarm ${version}, protocol ${PROTOCOL_VERSION}, Node ${process.versions.node}\n`,
    ]);
    expect(run(name, ["--help"]).stdout).toContain("--version");
  },
);

test.each([
  ["coordinator", ["strat"], /^error CONFIG_INVALID: unknown command 'strat'\n\(Did you mean start\?\)/],
  [
    "coordinator",
    ["start", "--wrkers", "2"],
    /^error CONFIG_INVALID: unknown option '--wrkers'\n\(Did you mean --workers\?\)/,
  ],
  ["coordinator", ["start", "--workers", "x"], /^error CONFIG_INVALID: option '--workers <n>' argument 'x' is invalid/],
  ["coordinator", ["start", "--set", "epoch=3"], /^error CONFIG_INVALID: .*\n {2}epoch: .* did you mean epochs\?/],
  [
    "coordinator",
    ["start", "--set", "model.widths=[1000000000,1000000000,1000000000]"],
    /^error CONFIG_INVALID: .*\n.*<=8192/,
  ],
  ["worker", ["join", "--count", "99", "x"], /^error CONFIG_INVALID: option '--count <n>' argument '99' is invalid/],
  ["worker", ["join", "nowhere"], /^error CONFIG_INVALID: "nowhere" is not the link of a run/],
] as const)("%s %j fails with a code, what was meant, and no stack", (name, args, message) => {
  const { status, stderr } = run(name, args);
  expect(status).toBe(1);
  expect(stderr).toMatch(message);
  expect(stderr).not.toMatch(/\n {4}at /);
});

test("a variable of the environment that means nothing is named before anything else", () => {
  const { stderr } = run("coordinator", ["start", "--set", "epoch=3"], { BITSWARM_DTA: "x" });
  expect(stderr).toMatch(
    /^the environment's BITSWARM_DTA means nothing here; did you mean BITSWARM_DATA\?\nerror CONFIG/,
  );
});
