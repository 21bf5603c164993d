// One line a worker: drawn in place, never wider than the terminal, with what happens above.

import { expect, test } from "vitest";
import { canDraw, rowAfterLine, rowText, StatusBoard } from "../../worker/platform/node/status-board.ts";
import { Screen } from "../fixtures/screen.ts";

const given = { samples: 12_345, samplesPerSecond: 56.4 };

test.each([
  [{ slot: 1, note: "starting" }, 80, "[1] starting"],
  [{ slot: 2, worker: "w3", note: "joined" }, 80, "[2] w3: joined"],
  [{ slot: 2, worker: "w3", given, note: "" }, 80, "[2] w3: 12,345 samples, 56/s"],
  [{ slot: 2, worker: "w3", given, note: "has left" }, 80, "[2] w3: 12,345 samples, 56/s; has left"],
  [{ slot: 1, note: "a long story" }, 12, "[1] a long "],
  // Of letters that take two columns, half as many.
  [{ slot: 1, note: "訓練訓練" }, 11, "[1] 訓練訓"],
  [{ slot: 1, note: "\x1b[2J\u202eevil" }, 80, "[1]  [2J evil"],
])("%j in %i columns is %j", (row, columns, text) => {
  expect(rowText(row, columns)).toBe(text);
});

test("a worker's own words stand in its line until it has given something, those of its launcher always", () => {
  const row = { slot: 1, worker: "w1", given, note: "" };
  expect(rowAfterLine(row, { slot: 1, by: "worker", text: "lease 3 done" })).toEqual(row);
  expect(rowAfterLine({ slot: 1, note: "" }, { slot: 1, by: "worker", text: "compiling" }).note).toBe("compiling");
  const died = rowAfterLine(row, { slot: 1, by: "launcher", text: "the page crashed; restart 1 in 1 s" });
  expect(died).toEqual({ slot: 1, note: "the page crashed; restart 1 in 1 s" });
});

test("lines are drawn in their place, and what must not be missed stays above them, narrowed terminal or not", () => {
  const screen = new Screen(true, 60);
  const board = new StatusBoard(screen, 2);
  expect(screen.text()).toEqual(["[1] starting", "[2] starting", ""]);
  board.event({ event: "joined", runtime: "deno", slot: 1, worker: "w1" });
  const said = (slot: number, text: string, by: "worker" | "launcher") =>
    board.line(`[deno ${slot}] ${text}`, { slot, text, by });
  said(2, "preparing this GPU: 3 of 40 shaders compiled, which takes long", "worker");
  board.event({ event: "given", runtime: "deno", slot: 1, ...given });
  said(1, "trouble STORAGE_FAILED: no room", "worker");
  expect(screen.text()).toEqual([
    "[deno 1] trouble STORAGE_FAILED: no room",
    "[1] w1: 12,345 samples, 56/s",
    "[2] preparing this GPU: 3 of 40 shaders compiled, which tak",
    "",
  ]);
  screen.resize(40);
  said(2, "its process was killed by SIGKILL; restart 1 in 1 s", "launcher");
  board.event({ event: "ended", runtime: "deno", slot: 1 });
  board.close();
  board.line("after all");
  expect(screen.text()).toEqual([
    "[deno 1] trouble STORAGE_FAILED: no room",
    "[deno 2] its process was killed by SIGKILL; restart 1 in 1 s",
    "[1] w1: 12,345 samples, 56/s; has left",
    "[2] its process was killed by SIGKILL; ",
    "after all",
    "",
  ]);
});

test.each([
  [true, "xterm", true],
  [true, "dumb", false],
  [false, "xterm", false],
])("with a terminal %s and TERM=%s lines are drawn in place: %s", (isTTY, TERM, drawn) => {
  expect(canDraw({ isTTY }, { TERM })).toBe(drawn);
});
