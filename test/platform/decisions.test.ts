// Rules of what the launchers decide without starting anything: links, restarts, reports.
import { describe, expect, test } from "vitest";
import { decideRestart } from "../../worker/platform/node/restart.ts";
import { parseRunUrl } from "../../worker/platform/node/run-url.ts";
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
    expect(reportInPage({ state: "ended", worker: "w3" })).toEqual({ kind: "ended", worker: "w3" });
    expect(reportInPage({ state: "failed", code: "WEBGPU_MISSING", message: "no adapter" })).toMatchObject({
      kind: "failed",
      error: { code: "WEBGPU_MISSING", message: "no adapter" },
    });
  });
});
