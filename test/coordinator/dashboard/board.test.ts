// Rules of what the page shows.

import { expect, test } from "vitest";
import {
  type FeedMessage,
  TIMELINE_CELL_MS,
  TIMELINE_MS,
  type WorkerRow,
  workerStates,
} from "../../../coordinator/dashboard/feed-message.ts";
import {
  actionsOf,
  awayText,
  type Board,
  demoLink,
  nextBoard,
  sharesOf,
  sharesText,
  shownEvents,
  shownWorkers,
  sourceText,
  stateText,
} from "../../../coordinator/dashboard/page/board.ts";
import { heldToken } from "../../../coordinator/dashboard/page/held-token.ts";
import { scriptedStatus } from "../../worker/session/scripted-run.ts";

const facts = (worker: string, name = worker) => ({
  worker,
  account: "abcdef012345",
  name,
  runtime: "deno",
  adapter: "lavapipe",
  software: true,
  own: false,
});
const row = (worker: string, state: (typeof workerStates)[number], speed: number | null = null): WorkerRow => [
  worker,
  workerStates.indexOf(state),
  0,
  speed,
  0,
  0,
  null,
  null,
  0,
  0,
  0,
];

const whole = (at: number, rows: readonly WorkerRow[]): FeedMessage => ({
  type: "whole",
  driven: true,
  at,
  status: scriptedStatus(),
  operations: { paused: "no", stopped: false, checkpointStep: null, checkpointWanted: false },
  pass: { title: "student", samples: 4, committed: [255], collected: [0], leased: [0] },
  history: 0,
  traffic: null,
  facts: rows.map(([worker]) => facts(worker)),
  rows: [...rows],
  past: [],
  events: [],
});

function after(...messages: readonly FeedMessage[]): Board {
  const board = messages.reduce<Board | undefined>(nextBoard, undefined);
  if (!board) throw new Error("there was no whole");
  return board;
}

test("a worker's stretches follow its states, and begin anew with nobody's line", () => {
  const board = after(
    whole(1000, [row("w1", "computing")]),
    { type: "change", at: 2000, rows: [row("w1", "computing", 5)] },
    { type: "change", at: 3000, rows: [row("w1", "uploading")] },
    whole(4000, [row("w1", "computing"), row("w2", "waiting")]),
  );
  expect(board.workers.get("w1")?.stretches).toEqual([
    { state: "computing", from: 1000 },
    { state: "uploading", from: 3000 },
    { state: "computing", from: 4000 },
  ]);
  expect(board.workers.get("w2")?.stretches).toEqual([{ state: "waiting", from: 4000 }]);
});

test("what a worker did before the page came, or while its line was lost, is in its timeline", () => {
  const cell = (n: number) => n * TIMELINE_CELL_MS;
  const [waiting, computing, stalled] = (["waiting", "computing", "stalled"] as const).map((state) =>
    workerStates.indexOf(state),
  );
  const digits = `${waiting}${waiting}${computing}${stalled}`;
  const first = { ...whole(cell(14) + 1, [row("w1", "stalled")]), past: [["w1", 10, digits]] } as FeedMessage;
  const before = [
    { state: "waiting", from: cell(10) },
    { state: "computing", from: cell(12) },
    { state: "stalled", from: cell(13) },
  ];
  expect(after(first).workers.get("w1")?.stretches).toEqual(before);
  const again = { ...whole(cell(17), [row("w1", "waiting")]), past: [["w1", 10, `${digits}${computing}${computing}`]] };
  expect(after(first, again as FeedMessage).workers.get("w1")?.stretches).toEqual([
    ...before,
    { state: "computing", from: cell(15) },
    { state: "waiting", from: cell(17) },
  ]);
});

test("the shares of the last minutes count what is within them", () => {
  const at = 10 * TIMELINE_MS;
  const stretches = [
    { state: "waiting", from: 0 },
    { state: "computing", from: at - TIMELINE_MS / 2 },
    { state: "stalled", from: at - TIMELINE_MS / 4 },
  ] as const;
  expect(sharesOf(stretches, at)).toEqual([
    ["waiting", 0.5],
    ["computing", 0.25],
    ["stalled", 0.25],
  ]);
  expect(sharesText(stretches, at)).toBe("waiting 50 %, computing 25 %, stalled 25 %");
  expect(sharesText([], at)).toBe("just came");
});

test("what is over before the timeline begins is forgotten", () => {
  const messages = Array.from({ length: 3000 }, (_, i): FeedMessage => {
    const state = i % 2 === 0 ? "computing" : "waiting";
    return { type: "change", at: 1000 * (i + 1), rows: [row("w1", state)] };
  });
  const { workers } = after(whole(0, [row("w1", "waiting")]), ...messages);
  expect(workers.get("w1")?.stretches.length).toBeLessThanOrEqual(TIMELINE_MS / 1000 + 2);
});

test("workers are found by what is written of them, and ordered by a column, those without a number last", () => {
  const { workers } = after(whole(0, [row("w10", "computing", 1), row("w2", "waiting"), row("w3", "computing", 9)]));
  const names = (filter: string, key: Parameters<typeof shownWorkers>[1]["key"], down: boolean) =>
    shownWorkers(workers.values(), { filter, key, down }).map(({ worker }) => worker);
  expect(names("", "worker", false)).toEqual(["w2", "w3", "w10"]);
  expect(names("", "samplesPerSecond", true)).toEqual(["w3", "w10", "w2"]);
  expect(names("", "samplesPerSecond", false)).toEqual(["w10", "w3", "w2"]);
  expect(names("WAIT", "worker", false)).toEqual(["w2"]);
  expect(names("nobody", "worker", false)).toEqual([]);
});

test("events are filtered by kind and text, the newest first", () => {
  const events = ["joined w1", "left w1", "joined w2"].map((text, id) => ({
    id,
    time: id,
    kind: text.split(" ")[0],
    text,
  }));
  expect(shownEvents(events, "joined", "").map(({ id }) => id)).toEqual([2, 0]);
  expect(shownEvents(events, "", "W1").map(({ id }) => id)).toEqual([1, 0]);
});

test("a paused run is called paused, and one that is read from its folder is not called live", () => {
  const board = after(whole(0, []));
  const status = (state: Board["status"]["state"]) => ({ ...board.status, state });
  const operations = { ...board.operations, paused: "yes" } as const;
  expect(stateText({ ...board, status: status("training") })).toBe("training");
  expect(stateText({ operations, status: status("waiting") })).toBe("paused");
  expect(stateText({ operations, status: status("stopping") })).toBe("stopping");
  expect(sourceText({ ...board, status: status("training") })).toBe("Live");
  // Whoever looks on while the coordinator lingers is asked for no token, and led to what was trained.
  const lingers = { ...board, status: { ...status("done"), demo: true as const } };
  expect(sourceText(lingers)).toMatch(/^Over/);
  expect([actionsOf(lingers, false), actionsOf(lingers, true)]).toEqual(["over", "over"]);
  expect(demoLink(lingers.status, "a b")).toBe("demo?token=a%20b");
  expect(demoLink(status("done"), "token")).toBeUndefined();
  expect([actionsOf(board, false), actionsOf(board, true)]).toEqual(["unlock", "buttons"]);
  expect(awayText(lingers.status)).toMatch(/^The run is over/);
  expect(awayText(board.status)).toMatch(/^The coordinator is away/);
  const folder = { ...board, driven: false };
  expect(actionsOf(folder, true)).toBe("read");
  expect(sourceText({ ...folder, status: status("waiting") })).toMatch(/^Read from the run's folder/);
  expect(sourceText({ ...folder, status: status("done") })).toMatch(/^Over/);
  expect(stateText({ ...folder, status: { ...status("done"), step: 24 } })).toBe("over, after step 24");
  const stopped = {
    ...folder,
    operations: { ...operations, stopped: true },
    status: { ...status("waiting"), step: 7 },
  };
  expect([stateText(stopped), sourceText(stopped)]).toEqual([
    "stopped after step 7",
    "Stopped: read from the run's folder",
  ]);
});

test("a token that the coordinator refuses is let go of, one of which it said nothing is kept", () => {
  expect(heldToken("", "new", { ok: true })).toBe("new");
  expect(heldToken("old", "old", { ok: false, code: "TOKEN_INVALID" })).toBe("");
  expect(heldToken("old", "old", { ok: false, code: "CONFIG_INVALID" })).toBe("old");
  expect(heldToken("old", "old", { ok: false })).toBe("old");
});
