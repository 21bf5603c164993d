// Rules of what the launchers decide without starting anything: links, restarts, reports.
import { homedir } from "node:os";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { readDenoArguments } from "../../worker/platform/deno/arguments.ts";
import { denoArguments } from "../../worker/platform/node/deno.ts";
import { decideRestart } from "../../worker/platform/node/restart.ts";
import { parseRunUrl } from "../../worker/platform/node/run-url.ts";
import { contentFolder, prepareTunings, tuningsFolder } from "../../worker/platform/node/tunings-folder.ts";
import { reportInLine, reportInPage } from "../../worker/platform/node/worker-report.ts";

describe("parseRunUrl", () => {
  test.each([
    ["http://127.0.0.1:8080/?token=t", "127.0.0.1:8080", true],
    ["http://[::1]:8080/?token=t", "[::1]:8080", true],
    ["http://localhost/?token=t", "localhost:80", true],
    ["https://swarm.example/?token=t", "swarm.example:443", true],
    ["http://192.168.1.20:8080/?token=t", "192.168.1.20:8080", false],
  ])("of %s has the host %s and secure %s", (link, host, secure) => {
    expect(parseRunUrl(link)).toMatchObject({ host, secure });
  });

  test.each(["", "nonsense", "ws://host:1/?token=t", "192.168.1.20:8080/?token=t"])("refuses %j", (link) => {
    expect(() => parseRunUrl(link)).toThrow(expect.objectContaining({ code: "CONFIG_INVALID" }));
  });

  test("refuses a link that lost its token in the shell", () => {
    expect(() => parseRunUrl("http://host:1/")).toThrow(expect.objectContaining({ code: "TOKEN_INVALID" }));
  });
});

describe("what a Deno worker measured", () => {
  test.each([
    ["XDG_CACHE_HOME", { XDG_CACHE_HOME: "/cache" }, "linux", "/cache"],
    ["~/.cache where that is unset", {}, "darwin", path.join(homedir(), ".cache")],
    ["~/.cache where that is relative", { XDG_CACHE_HOME: "cache" }, "linux", path.join(homedir(), ".cache")],
    ["LOCALAPPDATA on Windows", { LOCALAPPDATA: "/Local", XDG_CACHE_HOME: "/cache" }, "win32", "/Local"],
  ] as const)("is kept in %s", (_where, env, platform, folder) => {
    expect(tuningsFolder(env, platform)).toBe(path.join(folder, "bitswarm", "tunings"));
  });

  test("may be written to that folder alone, and to none without one", () => {
    const base = { host: "host:1", packageRoot: "/package" };
    expect(denoArguments({ ...base, tunings: "/cache/tunings" })).toEqual(
      expect.arrayContaining(["--allow-read=/package,/cache/tunings", "--allow-write=/cache/tunings"]),
    );
    expect(denoArguments(base).join(" ")).not.toContain("--allow-write");
  });

  test("the network is its coordinator's, and that of servers of data that were named", () => {
    const base = { host: "host:1", packageRoot: "/package" };
    expect(denoArguments(base)).toContain("--allow-net=host:1");
    expect(denoArguments({ ...base, dataHosts: ["s3.example", "store:9000"] })).toContain(
      "--allow-net=host:1,s3.example,store:9000",
    );
  });

  test("what was fetched is kept in a folder of its own, up to a number of MiB", () => {
    const base = { host: "host:1", packageRoot: "/package" };
    expect(denoArguments({ ...base, content: "/cache/content" })).toContain("--allow-write=/cache/content");
    expect(contentFolder({ XDG_CACHE_HOME: "/cache" }, "linux")).toBe(path.join("/cache", "bitswarm", "content"));
    const read = (...args: string[]) => readDenoArguments(["http://host/?token=t", "--content", "/c", ...args]);
    expect(read("--cache-mib", "64")).toMatchObject({ content: "/c", cacheMiB: 64 });
    expect(read()).toMatchObject({ content: "/c", cacheMiB: undefined });
    expect(() => read("--cache-mib", "-1")).toThrow("--cache-mib must be a whole number from 0; got -1");
  });

  test("is not kept where the folder cannot be made, which costs a line", () => {
    const lines: string[] = [];
    for (const folder of [path.join(import.meta.filename, "tunings"), "/tmp/a,b"])
      expect(prepareTunings(folder, (text) => lines.push(text))).toBeUndefined();
    expect(lines).toEqual([expect.stringMatching(/will not be kept \(E/), expect.stringMatching(/comma/)]);
  });

  test("is told to the worker by its arguments", () => {
    expect(readDenoArguments(["http://host/?token=t", "--no-tune", "--tunings", "/f"])).toEqual({
      url: "http://host/?token=t",
      name: "deno",
      parentWatch: false,
      tune: false,
      tunings: "/f",
    });
    expect(() => readDenoArguments(["http://host/?token=t", "--tunings"])).toThrow("--tunings wants a value");
  });

  test("may be throttled", () => {
    const read = (share: string) => readDenoArguments(["http://host/?token=t", "--throttle", share]);
    expect(read("0.5")).toMatchObject({ share: 0.5 });
    expect(() => read("0.05")).toThrow("--throttle must be 0.1 to 1; got 0.05");
  });
});

describe("decideRestart", () => {
  test("restarts three times in a row, later each time", () => {
    expect(decideRestart(0, 10)).toEqual({ restart: true, restarts: 1, delayMs: 1000 });
    expect(decideRestart(1, 10)).toEqual({ restart: true, restarts: 2, delayMs: 2000 });
    expect(decideRestart(2, 10)).toEqual({ restart: true, restarts: 3, delayMs: 4000 });
    expect(decideRestart(3, 10)).toEqual({ restart: false, restarts: 3 });
  });

  test("starts to count anew after five minutes of work", () => {
    expect(decideRestart(3, 300_000)).toEqual({ restart: true, restarts: 1, delayMs: 1000 });
  });
});

describe("reports", () => {
  test("reportInLine reads the three events and leaves every other line to people", () => {
    expect(reportInLine('{"event":"joined","worker":"w3"}')).toEqual({ kind: "joined", worker: "w3" });
    expect(reportInLine('{"event":"ended"}')).toEqual({ kind: "ended" });
    expect(reportInLine('{"event":"failed","code":"TOKEN_INVALID","message":"no"}')).toMatchObject({
      kind: "failed",
      error: { code: "TOKEN_INVALID", message: "no" },
    });
    for (const line of ["step 3", "{", '{"event":"failed","code":"NO_SUCH_CODE","message":"no"}', '{"loss":1}']) {
      expect(reportInLine(line)).toBe(undefined);
    }
  });

  test("reportInPage reads the data attributes of the page", () => {
    expect(reportInPage({})).toEqual({ kind: "unset" });
    expect(reportInPage({ state: "connecting" })).toEqual({ kind: "working", worker: undefined });
    expect(reportInPage({ state: "computing", worker: "w3" })).toEqual({ kind: "working", worker: "w3" });
    const given = { samples: 128, samplesPerSecond: 56.5 };
    const working = { kind: "working", worker: "w3" };
    expect(reportInPage({ state: "computing", worker: "w3", samples: "128", speed: "56.5" })).toEqual({
      ...working,
      given,
    });
    expect(reportInPage({ state: "computing", worker: "w3", samples: "many", speed: "56.5" })).toEqual(working);
    expect(reportInLine(JSON.stringify({ event: "given", ...given }))).toEqual({ kind: "given", given });
    expect(reportInPage({ state: "ended", worker: "w3" })).toEqual({ kind: "ended", worker: "w3" });
    expect(reportInPage({ state: "failed", code: "WEBGPU_MISSING", message: "no adapter" })).toMatchObject({
      kind: "failed",
      error: { code: "WEBGPU_MISSING", message: "no adapter" },
    });
  });

  test("of a coordinator that cannot be reached point to the program that looks closer", () => {
    const failed = { code: "RUN_UNREACHABLE", message: "nobody" };
    const pointed = { kind: "failed", error: { message: expect.stringMatching(/^nobody; `doctor LINK`/) } };
    expect(reportInLine(JSON.stringify({ event: "failed", ...failed }))).toMatchObject(pointed);
    expect(reportInPage({ state: "failed", ...failed })).toMatchObject(pointed);
  });
});
