// What the page shows is a function of what happened, one sentence each.

import { expect, test } from "vitest";
import type { SessionEvent, SessionState } from "../../../worker/session/session-event.ts";
import {
  blocked,
  buttonsOf,
  initialPage,
  looked,
  nextPage,
  offer,
  type PageState,
  seen,
  shareOf,
} from "../../../worker/web/page-state.ts";
import {
  backgroundText,
  detailText,
  doingText,
  dutyText,
  footerTexts,
  keptText,
  leftText,
  noDemoText,
  percentText,
  preparedPart,
  reasonText,
  resultTexts,
  shownNotice,
  stateText,
} from "../../../worker/web/page-text.ts";
import { scriptedStatus } from "../session/scripted-run.ts";

const lease = {
  lease: 1,
  phase: "student",
  network: "student",
  doing: "training the 1-bit network",
  evaluate: false,
  step: 2,
  epoch: 0,
  ranges: [{ from: 0, to: 64 }],
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

test("what is kept on the device is told in words, where the browser keeps anything", () => {
  expect(keptText(initialPage)).toBeUndefined();
  expect(keptText(after({ type: "kept", bytes: 0 }))).toBe("Keeps no images on this device.");
  expect(keptText(after({ type: "kept", bytes: 312 * 2 ** 20 }))).toBe("Keeps 312 MiB of images on this device.");
});

test("what is compiled is counted, before the first lease and within one", () => {
  const preparing = after(...started, inState({ kind: "preparing" }), compiling(7));
  expect([stateText(preparing), doingText(preparing)]).toEqual([
    "Joined as w1, preparing this GPU…",
    "Compiling: 7 of 30 shaders",
  ]);
  const within = after(...started, computing, compiling(7));
  expect([stateText(within), doingText(within)]).toEqual([stateText(preparing), doingText(preparing)]);
  const done = after(...started, computing, compiling(7), compiling(30));
  expect([stateText(done), doingText(done), detailText(done)]).toEqual([
    "Computing as w1",
    "Going through 64 examples to see how the network should change",
    "Training the 1-bit network: epoch 1, step 3, samples 0 to 64",
  ]);
  expect(detailText(within)).toBe("");
});

test("whose lease is a film is told what is done with it", () => {
  const film = { ...lease, evaluate: true, doing: "following Basketball", film: "Basketball" };
  const page = after(...started, inState({ kind: "computing", lease: film }));
  expect([doingText(page), detailText(page)]).toEqual([
    "Following one thing through a film of 64 pictures",
    "Following Basketball: frames 0 to 64",
  ]);
});

test("who computes and gets faster meanwhile is told how far that is, beside what is computed", () => {
  const improving = (done: number): SessionEvent => ({ type: "tuning", stage: "improving", done, total: 8 });
  const going = "Going through 64 examples to see how the network should change";
  const page = after(...started, computing, improving(3));
  expect([stateText(page), doingText(page)]).toEqual(["Computing as w1", `${going}; getting faster: 3 of 8 kernels`]);
  expect(detailText(page)).toContain("epoch 1, step 3");
  expect(doingText(nextPage(page, inState({ kind: "waiting" })))).toBe("Getting faster: 3 of 8 kernels");
  const measuring = nextPage(page, { type: "tuning", stage: "measuring", done: 1, passes: 5 });
  expect(doingText(measuring)).toBe(`${going}; measuring what is fastest here: 1 of 5 convolutions`);
  const measured = nextPage(measuring, { type: "tuning", stage: "measured", passes: 5, left: 0, refused: [] });
  expect([measured, nextPage(page, improving(8))].map((one) => doingText(one))).toEqual([going, going]);
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

test("a tab that never pressed Start is told when nobody answers any more, and that this may be the end", () => {
  const visitor = looked(initialPage, scriptedStatus({ demo: true }));
  expect([stateText(visitor), doingText(visitor), leftText(visitor)]).toEqual(["Ready when you are", "", "3 min 35 s"]);
  const away = looked(visitor, undefined);
  expect([stateText(away), buttonsOf(away).startLabel, leftText(away), away.demo]).toEqual([
    "The coordinator does not answer",
    "Try again",
    "–",
    false,
  ]);
  expect(doingText(away)).toMatch(/^This page keeps asking/);
  expect(buttonsOf(looked(away, scriptedStatus())).startLabel).toBe("Start");
  const ends = [{ step: 479 }, { step: 480, state: "evaluating" }, { etaSeconds: 15 }] as const;
  for (const end of ends) {
    const last = looked(initialPage, scriptedStatus(end));
    expect(stateText(last)).toBe("Ready when you are");
    const gone = looked(last, undefined);
    expect([stateText(gone), buttonsOf(gone).startLabel]).toEqual(["The run is probably over", "Try again"]);
    expect(doingText(gone)).toMatch(/near its end when it last did/);
  }
  const middle = looked(looked(initialPage, scriptedStatus({ step: 478, etaSeconds: 16 })), undefined);
  expect(stateText(middle)).toBe("The coordinator does not answer");
  // Who had left before hears it, too.
  const left = after(...started, inState({ kind: "ended", reason: "left", message: "" }));
  expect(doingText(looked(left, scriptedStatus()))).toMatch(/Start again whenever you like/);
  expect(doingText(looked(looked(left, scriptedStatus({ step: 479 })), undefined))).toMatch(/near its end/);
  const done = looked(left, scriptedStatus({ state: "done" }));
  expect([stateText(done), buttonsOf(done).start]).toEqual(["The run is over. Thank you!", false]);
});

test("the page of a run that is over speaks of no button that is not there, and says why nothing can be tried", () => {
  expect(footerTexts(initialPage).join(" ")).toMatch(/Start and Leave.*Clear/);
  const over = looked(initialPage, scriptedStatus({ state: "done" }));
  expect(footerTexts(over).join(" ")).not.toMatch(/Start|Leave|Pause|Clear/);
  expect(footerTexts({ ...over, keptBytes: 1 }).join(" ")).toContain("Clear");
  // Not known yet, known, and known not to be.
  expect(noDemoText(over)).toBe("");
  expect(noDemoText(looked(over, scriptedStatus({ state: "done", demo: true })))).toBe("");
  const gone = looked(over, undefined);
  expect(noDemoText(gone)).toContain("--linger");
  expect([stateText(gone), resultTexts(gone).length]).toEqual(["The run is over", 2]);
  expect(noDemoText(looked(initialPage, undefined))).toBe("");
});

test("who pauses while the line is down can resume", () => {
  const page = after(...started, computing, lost, { type: "wish", paused: true, finishing: false });
  expect(buttonsOf(page).pauseLabel).toBe("Resume");
  expect(buttonsOf(nextPage(page, { type: "wish", paused: false, finishing: false })).pauseLabel).toBe("Pause");
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
  const message = "WebGPU is there, but no adapter. Update the driver. Or ask.";
  const page = blocked(initialPage, "WEBGPU_MISSING", message, ["Update."]);
  expect(shownNotice(page)).toEqual({
    code: "WEBGPU_MISSING",
    title: "WebGPU is there, but no adapter",
    text: "Update the driver. Or ask.",
    steps: ["Update."],
    blocks: true,
  });
  expect(stateText(page)).toBe("This tab cannot help yet");
  expect(buttonsOf(page)).toMatchObject({ start: false, pause: false, finish: false, leave: false });
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

const wish = (fields: object): SessionEvent => ({ type: "wish", paused: false, finishing: false, ...fields });

test("who finishes and leaves is told so until the end, and may stay", () => {
  const page = after(...started, computing, wish({ finishing: true }));
  expect(stateText(page)).toBe("Finishing what is in hand, then leaving");
  expect(buttonsOf(page)).toMatchObject({ pause: true, pauseLabel: "Stay", finish: false, leave: true });
  const ended = nextPage(page, inState({ kind: "ended", reason: "left", message: "" }));
  expect(buttonsOf(ended)).toMatchObject({ start: true, startLabel: "Start again", pause: false });
});

test.each([
  ["battery", "Paused while on battery"],
  ["hidden", "Paused while in the background"],
] as const)("what pauses by itself (%s) says why, and can be overruled", (why, words) => {
  const page = after(...started, computing, wish({ held: why }), inState({ kind: "paused", why }));
  expect(stateText(page)).toBe(words);
  expect(buttonsOf(page).pauseLabel).toBe("Go on anyway");
});

const gave = (leases: number, samples: number, samplesPerSecond: number, evaluate = false): SessionEvent => ({
  type: "contributed",
  lease: { ...lease, evaluate },
  leases,
  samples,
  samplesPerSecond,
});

test("samples add up over the sessions of a visit, and only those of training are of the whole", () => {
  const page = after(...started, gave(1, 64, 5), gave(2, 80, 5, true), ...started, gave(1, 10, 5));
  expect([page.samples, page.trained, page.leases]).toEqual([90, 74, 3]);
  const status = scriptedStatus({ samples: 1000 });
  const given = { run: "run-1", account: "a", samples: 300, trained: 250 };
  expect(shareOf({ ...page, status, given })).toBe(0.25);
  expect(shareOf({ ...page, given })).toBeUndefined();
});

test("a tab that the browser slows down in the background says how much, and afterwards too", () => {
  const visible = after(...started, gave(1, 64, 100));
  const hidden = nextPage(seen(visible, true), gave(2, 128, 20));
  expect(backgroundText(hidden)).toMatch(/slows this tab down in the background: it computes at 20 % of its speed/);
  expect(backgroundText(seen(hidden, false))).toMatch(/let this tab compute at 20 % of its speed/);
  expect(backgroundText(nextPage(seen(visible, true), gave(2, 128, 60)))).toBe("");
  expect(backgroundText(seen(seen(hidden, false), true))).toBe("");
});

test("speeds under another throttle are not taken for what the browser does to a tab in the background", () => {
  const visible = after(...started, gave(1, 64, 100));
  const throttled = nextPage(visible, { type: "duty", asked: 0.2 });
  expect(backgroundText(nextPage(seen(throttled, true), gave(2, 128, 20)))).toBe("");
  const same = nextPage(nextPage(throttled, gave(2, 128, 20)), { type: "duty", asked: 0.2, measured: 0.2 });
  expect(backgroundText(nextPage(seen(same, true), gave(3, 192, 5)))).toMatch(/at 25 % of its speed/);
});

test("what goes on beside a line that is down is no progress", () => {
  const preparing = nextPage(after(...started), compiling(3));
  expect(preparedPart(preparing)).toBe(0.1);
  expect(preparedPart(nextPage(nextPage(preparing, lost), compiling(6)))).toBeUndefined();
});

test("what the GPU is asked for stands beside what was measured", () => {
  const page = after(...started, computing, { type: "duty", asked: 0.3, measured: 0.284 });
  const settings = { ...page.settings, share: 0.3 };
  expect(dutyText({ ...page, settings })).toBe("30 % of its time, now 28 %");
  expect(dutyText({ ...page, settings, duty: undefined })).toBe("30 % of its time");
  expect(dutyText({ ...nextPage(page, inState({ kind: "paused", why: "volunteer" })), settings })).toBe(
    "30 % of its time",
  );
  expect(dutyText(page)).toBe("All of its time");
  expect([0, 0.00001, 0.0123, 0.5].map(percentText)).toEqual(["0 %", "less than 0.01 %", "1.2 %", "50 %"]);
});

test("what a run says of itself stays, though sessions do not repeat it; its result is told when it is over", () => {
  const about = { description: "Clothes.", contact: "Ada", url: "" };
  const page = nextPage(looked(initialPage, scriptedStatus({ about })), { type: "status", status: scriptedStatus() });
  expect(page.status?.about).toEqual(about);
  expect(resultTexts(page)).toEqual([]);
  expect(resultTexts(looked(page, scriptedStatus({ state: "done" })))).toEqual([
    "Teacher: accuracy 86.1 %",
    "1-bit network: accuracy 76.5 %",
  ]);
});

test("who comes when the run is over is told so, whatever keeps this tab from computing, and asked for nothing", () => {
  const over = scriptedStatus({ state: "done", demo: true });
  for (const before of [initialPage, blocked(initialPage, "WEBGPU_MISSING", "No adapter. Update the driver.")]) {
    const page = looked(before, over);
    expect(stateText(page)).toBe("The run is over");
    expect(shownNotice(page)).toBeUndefined();
    expect(buttonsOf(page).start).toBe(false);
    expect(page.demo).toBe(true);
    // Somebody goes on with it.
    const again = looked(page, scriptedStatus());
    expect(again.demo).toBe(false);
    expect(buttonsOf(again).start).toBe(before === initialPage);
  }
  expect(offer(undefined)).toEqual({ demo: false });
});
