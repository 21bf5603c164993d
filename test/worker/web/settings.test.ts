// What the page remembers, and what follows from it: settings, what was given, and help by browser.

import { expect, test } from "vitest";
import { givenIn, givenTo, MOST_RUNS, withGiven } from "../../../worker/web/given.ts";
import { defaultSettings, holdOf, listedAs, settingsIn } from "../../../worker/web/settings.ts";
import { browserOf, helpWith } from "../../../worker/web/webgpu-help.ts";

test("settings are read as they were written, and the defaults where anything is wrong with them", () => {
  const chosen = { ...defaultSettings, share: 0.4, mainsOnly: true, nickname: "Ada" };
  expect(settingsIn(JSON.stringify(chosen))).toEqual(chosen);
  for (const text of [null, "", "{", '{"share":7}', '{"mainsOnly":"yes"}', "[]"]) {
    expect(settingsIn(text)).toEqual(defaultSettings);
  }
  expect(settingsIn('{"share":0.5,"later":1}')).toEqual({ ...defaultSettings, share: 0.5 });
});

test("it computes on battery and in the background unless the volunteer wants otherwise; the battery is told first", () => {
  const away = { onBattery: true, hidden: true, canStayAwake: false };
  expect(holdOf(defaultSettings, away)).toBeUndefined();
  expect(holdOf({ ...defaultSettings, visibleOnly: true }, away)).toBe("hidden");
  expect(holdOf({ ...defaultSettings, visibleOnly: true, mainsOnly: true }, away)).toBe("battery");
  expect(holdOf({ ...defaultSettings, mainsOnly: true }, { ...away, onBattery: undefined })).toBeUndefined();
});

test("nobody is listed who has not said so, and whoever takes it back tells the coordinator", () => {
  const named = { ...defaultSettings, nickname: "Ada" };
  expect(listedAs(named)).toBeUndefined();
  expect(listedAs({ ...named, listed: true })).toBe("Ada");
  expect(listedAs({ ...named, wasListed: true })).toBeNull();
  expect(listedAs({ ...named, listed: true, wasListed: true, nickname: "" })).toBeNull();
});

test("what was given adds up by run and key, and a browser with another key begins anew", () => {
  const first = withGiven([], { run: "r", account: "a", samples: 8, trained: 8 });
  const second = withGiven(first, { run: "r", account: "a", samples: 4, trained: 0 });
  expect(givenTo(givenIn(JSON.stringify(second)), "r", "a")).toMatchObject({ samples: 12, trained: 8 });
  expect(givenTo(second, "r", "b")).toMatchObject({ samples: 0, trained: 0 });
  expect(givenTo(second, "other", "a").samples).toBe(0);
  let all = second;
  for (let i = 0; i < MOST_RUNS; i++) all = withGiven(all, { run: `run ${i}`, account: "a", samples: 1, trained: 1 });
  expect(all).toHaveLength(MOST_RUNS);
  for (const text of [null, "{", '[{"run":1}]']) expect(givenIn(text)).toEqual([]);
});

const agents = {
  chromeLinux: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
  edge: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0",
  firefoxLinux: "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0",
  firefoxAndroid: "Mozilla/5.0 (Android 15; Mobile; rv:141.0) Gecko/141.0 Firefox/141.0",
  safari:
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
  chromeIos:
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/140.0 Mobile/15E148 Safari/604.1",
};

test.each([
  [agents.chromeLinux, 0, { name: "chrome", version: 140, system: "linux" }, /chrome:\/\/flags\/#enable-unsafe-webgpu/],
  [agents.edge, 0, { name: "edge", version: 140, system: "windows" }, /113/],
  [agents.firefoxLinux, 0, { name: "firefox", version: 141, system: "linux" }, /dom\.webgpu\.enabled/],
  [agents.firefoxAndroid, 0, { name: "firefox", version: 141, system: "android" }, /Chrome/],
  [agents.safari, 0, { name: "safari", version: 18, system: "macos" }, /Feature Flags/],
  [agents.safari, 5, { name: "safari", version: 18, system: "ios" }, /iPadOS 26/],
  [agents.chromeIos, 5, { name: "chrome", version: 140, system: "ios" }, /iOS/],
  ["curl/8", 0, { name: "other", version: undefined, system: "other" }, /current Chrome/],
] as const)("where WebGPU is missing, %s is told what to do there", (agent, touches, kind, words) => {
  expect(browserOf(agent, touches)).toEqual(kind);
  expect(helpWith("webgpu", browserOf(agent, touches)).join(" ")).toMatch(words);
  expect(helpWith("adapter", browserOf(agent, touches)).length).toBeGreaterThan(0);
  expect(helpWith("secure", browserOf(agent, touches))).toEqual([]);
});
