// What the page shows is a function of what happened, one sentence each.

import { expect, test } from "vitest";
import type { SessionEvent, SessionState } from "../../../worker/session/session-event.ts";
import {
  blocked,
  buttonsOf,
  doingText,
  initialPage,
  looked,
  nextPage,
  type PageState,
  reasonText,
  shownNotice,
  stateText,
} from "../../../worker/web/page-state.ts";
import { scriptedStatus } from "../session/scripted-run.ts";

const lease = {
  lease: 1,
  phase: "student",
  network: "student",
  doing: "training the 1-bit network",
  evaluate: false,
  step: 2,
  epoch: 0,
  from: 0,
  to: 64,
};
const joined: SessionEvent = { type: "joined", run: "run-1", name: "a run", worker: "w1" };
const inState = (state: SessionState): SessionEvent => ({ type: "state", state });
const compiling = (done: number): SessionEvent => ({ type: "tuning", stage: "compiling", done, total: 30 });
const gpu = (description: string): SessionEvent => ({ type: "adapter", description, software: false });

function after(...events: readonly SessionEvent[]): PageState {
  return events.reduce((page, event) => nextPage(page, event, 1000), initialPage);
}

const started = [inState({ kind: "connecting", attempt: 1 }), gpu("A GPU"), inState({ kind: "joining" }), joined];
const computing = inState({ kind: "computing", lease });
const lost = {
  type: "state",
  state: {
    kind: "reconnecting",
    attempt: 1,
    delayMs: 25_000,
    code: "RUN_UNREACHABLE",
    message: "the connection was lost",
  },
} as const;

test("what is compiled is counted, before the first lease and within one", () => {
  const preparing = after(...started, inState({ kind: "preparing" }), compiling(7));
  expect([stateText(preparing), doingText(preparing)]).toEqual([
    "Joined as w1, preparing this GPU…",
    "Compiling: 7 of 30 shaders",
  ]);
  const within = after(...started, computing, compiling(7));
  expect([stateText(within), doingText(within)]).toEqual([stateText(preparing), doingText(preparing)]);
  const done = after(...started, computing, compiling(7), compiling(30));
  expect([stateText(done), doingText(done)]).toEqual([
    "Computing as w1",
    "Training the 1-bit network: epoch 1, step 3, samples 0 to 64",
  ]);
});

test("what is measured is counted", () => {
  const measuring = after(...started, { type: "tuning", stage: "measuring", done: 1, passes: 5 });
  expect(doingText(nextPage(measuring, inState({ kind: "preparing" })))).toBe("Getting ready");
  const page = after(...started, inState({ kind: "preparing" }), {
    type: "tuning",
    stage: "measuring",
    done: 1,
    passes: 5,
  });
  expect(doingText(page)).toBe("Measuring which kernels are fastest here: 1 of 5 convolutions");
});

test("a line that is down is all that is said, its seconds count down, and Start tries it now", () => {
  const page = after(...started, computing, lost);
  expect(stateText(page)).toBe("Not connected");
  expect([1000, 2000, 25_900, 26_000].map((now) => doingText(page, now))).toEqual([
    "Trying again in 25 s",
    "Trying again in 24 s",
    "Trying again in 1 s",
    "Trying again…",
  ]);
  expect(shownNotice(page)).toMatchObject({
    title: "The connection was lost",
    text: "This tab keeps trying.",
  });
  const silent = { ...lost, state: { ...lost.state, message: "the coordinator has been silent for 15000 ms" } };
  expect(shownNotice(after(...started, silent as SessionEvent))?.text).toBe(
    "The coordinator has been silent for 15000 ms. This tab keeps trying.",
  );
  expect(buttonsOf(page)).toMatchObject({ start: true, startLabel: "Try now", pause: true, leave: true });
});

test("the notice of a lost line stands until the line is up, whatever comes meanwhile", () => {
  const trouble: SessionEvent = { type: "trouble", code: "RUN_UNREACHABLE", message: "no verdict" };
  const again = after(...started, computing, lost, trouble, inState({ kind: "connecting", attempt: 2 }));
  expect(shownNotice(again)?.title).toBe("The connection was lost");
  expect(stateText(again)).toBe("Connecting again, attempt 2…");
  const back = nextPage(nextPage(again, inState({ kind: "joining" })), computing);
  expect(shownNotice(back)?.title).not.toBe("The connection was lost");
});

test("a run that nobody hears from is not shown as if it went on", () => {
  const status: SessionEvent = { type: "status", status: scriptedStatus() };
  const page = after(...started, status, computing);
  expect(reasonText(page)).toBe(scriptedStatus().reason);
  expect(reasonText(nextPage(page, lost))).toBe("As it was when the coordinator was last heard");
  const visitor = looked(initialPage, scriptedStatus());
  expect(reasonText(visitor)).toBe(scriptedStatus().reason);
  expect(reasonText(looked(visitor, undefined))).toBe("As it was when the coordinator was last heard");
  expect(reasonText(looked(initialPage, undefined))).toBe("The coordinator does not answer");
  // What is over stays as it is.
  const over = looked(initialPage, scriptedStatus({ state: "done", reason: "the last of 480 steps is done" }));
  expect(reasonText(looked(over, undefined))).toBe("the last of 480 steps is done");
});

test("who pauses while the line is down can resume", () => {
  const page = after(...started, computing, lost, { type: "wish", paused: true });
  expect(buttonsOf(page).pauseLabel).toBe("Resume");
  expect(buttonsOf(nextPage(page, { type: "wish", paused: false })).pauseLabel).toBe("Pause");
});

test("a GPU that was lost is said to be back, and that leaves with the next lease that counts", () => {
  const trouble: SessionEvent = { type: "trouble", code: "DEVICE_LOST", message: "the GPU's device was lost: reset" };
  const gone = after(...started, computing, trouble);
  expect(shownNotice(gone)?.title).toBe("The GPU was lost: this tab asks for it again");
  const back = nextPage(gone, gpu("A GPU"));
  expect(shownNotice(back)).toMatchObject({ title: "The GPU was lost and is back", blocks: false });
  const counted = { type: "contributed", lease, samples: 64, leases: 1, samplesPerSecond: 5 } as const;
  expect(shownNotice(nextPage(nextPage(back, computing), counted))).toBeUndefined();
  // A fresh start asks for a GPU too: nothing was lost.
  const left = inState({ kind: "ended", reason: "left", message: "" });
  expect(shownNotice(after(...started, left, ...started))).toBeUndefined();
});

test("what WebGPU lacks is the headline, and what to do the text below it", () => {
  const page = blocked(initialPage, "WEBGPU_MISSING", "WebGPU is there, but no adapter. Update the driver. Or ask.");
  expect(shownNotice(page)).toEqual({
    code: "WEBGPU_MISSING",
    title: "WebGPU is there, but no adapter",
    text: "Update the driver. Or ask.",
    blocks: true,
  });
  expect(stateText(page)).toBe("This tab cannot help yet");
  expect(buttonsOf(page)).toMatchObject({ start: false, pause: false, leave: false });
});

test.each([
  { reason: "left", message: "You left the run; what you gave stays.", start: true },
  { reason: "run-over", message: "the last of 480 steps is done", start: false },
] as const)("at the end ($reason) no sentence stands twice", ({ reason, message, start }) => {
  const page = after(...started, computing, lost, inState({ kind: "ended", reason, message }));
  const sentences = [stateText(page), doingText(page)]
    .join(" ")
    .split(/[.!] ?/)
    .filter(Boolean);
  expect(new Set(sentences.map((one) => one.toLowerCase())).size).toBe(sentences.length);
  expect(sentences.filter((one) => /you left/i.test(one)).length).toBeLessThan(2);
  expect(shownNotice(page)).toBeUndefined();
  expect(buttonsOf(page).start).toBe(start);
});
