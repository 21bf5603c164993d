// Films over real sockets: workers in this process run the whole session of a volunteer's, on a network that the
// processor computes.

import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../../coordinator/base/clock.ts";
import type { FilmOutcome } from "../../../coordinator/tracking/film-job.ts";
import { type FilmSource, openFilms } from "../../../coordinator/tracking/films.ts";
import { startTracking, type TrackEvent, type TrackRun } from "../../../coordinator/tracking/track-run.ts";
import type { Backbone } from "../../../shared/tracking/backbone.ts";
import { trackOptions } from "../../../shared/tracking/track-step.ts";
import { frameHashes, packFrames, type TrackedFrame, type TrackMessage } from "../../../shared/wire/tracking.ts";
import { followFilm } from "../../../worker/tracking/follow-film.ts";
import { drawnTracker } from "../../fixtures/drawn-tracker.ts";
import { filmPorts, filmWorker } from "../../fixtures/film-worker.ts";
import { newIdentity } from "../../fixtures/scripted-identity.ts";
import { ScriptedWorker } from "../../fixtures/scripted-worker.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";
import { renderTrackingData } from "../../fixtures/tracking-sequences.ts";

const FRAMES = 5;
const model = drawnTracker();
let backbone: Backbone;
beforeAll(async () => {
  backbone = await filmPorts.openBackbone(model);
});
afterAll(() => backbone.dispose());

async function drawnFilms(films = 2): Promise<readonly FilmSource[]> {
  const { got10k } = await renderTrackingData(await scratchFolder(), { train: 0, test: films, frames: FRAMES });
  return (await openFilms({ data: "got10k", root: got10k })).films;
}

interface Running {
  readonly run: TrackRun;
  readonly outcomes: FilmOutcome[];
  readonly events: TrackEvent[];
  /** How it goes, in words, each time that it is told. */
  readonly told: string[];
}

async function started(films: readonly FilmSource[], auditShare = 0): Promise<Running> {
  const outcomes: FilmOutcome[] = [];
  const events: TrackEvent[] = [];
  const told: string[] = [];
  const run = await startTracking({
    name: "Tracking films that were drawn",
    model,
    films,
    host: "127.0.0.1",
    port: 0,
    clock: systemClock,
    auditShare,
    draw: () => 0.5,
    onOutcome: async (outcome) => void outcomes.push(outcome),
    onEvent: (event) => void events.push(event),
    onStatus: ({ reason }) => void told.push(reason),
  });
  onTestFinished(async () => {
    run.stop();
    await run.done;
  });
  return { run, outcomes, events, told };
}

/** What a tracker in this process says of a film. */
async function followedHere(film: FilmSource): Promise<readonly TrackedFrame[]> {
  const files = [...film.frames];
  const frames: TrackedFrame[] = [];
  await followFilm({
    film: { sequence: film.name, base: 1, box: film.box },
    options: trackOptions,
    backbone,
    jpeg: await filmPorts.openJpeg(),
    next: async () => {
      const file = files.shift();
      return file === undefined ? undefined : new Uint8Array(await readFile(file));
    },
    now: () => 0,
    rest: async () => undefined,
    aborted: () => false,
    tell: (_, told) => void frames.push(...told),
  });
  return frames;
}

/** A stranger who speaks the protocol, let in. */
async function stranger(url: string): Promise<ScriptedWorker> {
  const worker = new ScriptedWorker(url, { identity: newIdentity() });
  onTestFinished(() => worker.socket.terminate());
  await worker.opened();
  worker.send(worker.hello());
  worker.prove(await worker.next("challenge"));
  await worker.next("tracking");
  return worker;
}

async function lent(worker: ScriptedWorker): Promise<TrackMessage> {
  worker.send({ type: "ready" });
  return worker.next("track");
}

/** A box a frame, each so far to the right of the first. */
function answer(worker: ScriptedWorker, { lease, box, frames }: TrackMessage, right = 0): void {
  const boxes = frameHashes(frames).map((_, i) => ({ box: { ...box, x: box.x + (i > 0 ? right : 0) }, seconds: 0.1 }));
  worker.send({ type: "tracked", lease, from: 0, boxes: packFrames(boxes) });
}

test("A72 boxes of films that a worker followed are those of a tracker here, and each is accepted with its frames", async () => {
  const films = await drawnFilms();
  const { run, outcomes } = await started(films);
  const given: number[] = [];
  const worker = filmWorker(run.server.localUrl, {
    onEvent: (event) => event.type === "contributed" && given.push(event.samples),
  });
  await run.done;
  expect(await worker.ended).toMatchObject({ kind: "ended", reason: "run-over" });
  expect(given).toEqual([FRAMES, 2 * FRAMES]);
  expect(outcomes.map(({ checked }) => checked)).toEqual([true, true]);
  for (const { index, frames } of outcomes) {
    const here = await followedHere(films[index]);
    expect(frames.map(({ box }) => box)).toEqual(here.map(({ box }) => box));
    expect(frames[0].box).toEqual(films[index].box);
    expect(frames.every(({ seconds }) => seconds >= 0)).toBe(true);
  }
});

test("A70 a worker says hello and proof as to a run, and only who has the token is let in", async () => {
  const { run } = await started(await drawnFilms(1));
  const wrong = new URL(run.server.url);
  wrong.searchParams.set("token", "somebody-elses");
  const turnedAway = new ScriptedWorker(wrong.href);
  await turnedAway.opened();
  turnedAway.send(turnedAway.hello());
  expect(await turnedAway.next("error")).toMatchObject({ code: "TOKEN_INVALID" });
  const forger = new ScriptedWorker(run.server.url, { identity: newIdentity() });
  await forger.opened();
  forger.send(forger.hello());
  await forger.next("challenge");
  forger.send({ type: "proof", signature: "00".repeat(64) });
  expect(await forger.next("error")).toMatchObject({ code: "IDENTITY_INVALID" });
  const hash = frameHashes((await lent(await stranger(run.server.url))).frames)[0];
  const at = (token: string) => fetch(new URL(`/shards/${hash}?token=${token}`, run.server.url));
  expect((await at(run.token)).status).toBe(200);
  expect((await at("another")).status).toBe(403);
});

test("A74 a worker that goes in the middle of a film costs that film a new start, and no other", async () => {
  const films = await drawnFilms();
  const { run, outcomes, events } = await started(films);
  const going = await stranger(run.server.url);
  const film = await lent(going);
  const [first] = [{ box: film.box, seconds: 0.1 }];
  going.send({ type: "tracked", lease: film.lease, from: 0, boxes: packFrames([first, first]) });
  const staying = await stranger(run.server.url);
  answer(staying, await lent(staying));
  await staying.next("accepted");
  going.socket.terminate();
  await going.closed;
  const again = await lent(staying);
  expect([again.sequence, again.lease]).toEqual([film.sequence, 3]);
  answer(staying, again);
  await staying.next("accepted");
  await run.done;
  expect(outcomes.map(({ frames, worker }) => [frames.length, worker])).toEqual([
    [FRAMES, "w2"],
    [FRAMES, "w2"],
  ]);
  expect(events.filter(({ type }) => type === "failed")).toEqual([]);
});

test.each([
  { what: "that begin elsewhere", from: 1, x: 5 },
  { what: "that are no number", from: 0, x: Number.NaN },
  { what: "beyond all pictures", from: 0, x: 1e9 },
])("A73 boxes $what end the session with MESSAGE_INVALID", async ({ from, x }) => {
  const { run } = await started(await drawnFilms(1));
  const worker = await stranger(run.server.url);
  const { lease, box } = await lent(worker);
  worker.send({ type: "tracked", lease, from, boxes: packFrames([{ box: { ...box, x }, seconds: 0.1 }]) });
  expect(await worker.next("error")).toMatchObject({ code: "MESSAGE_INVALID" });
});

test("more boxes than a film has frames, and what only a run takes, end the session too", async () => {
  const { run } = await started(await drawnFilms(1));
  const much = await stranger(run.server.url);
  const { lease, box } = await lent(much);
  const boxes = packFrames(Array.from({ length: FRAMES + 1 }, () => ({ box, seconds: 0.1 })));
  much.send({ type: "tracked", lease, from: 0, boxes });
  expect(await much.next("error")).toMatchObject({ code: "MESSAGE_INVALID" });
  const other = await stranger(run.server.url);
  other.send({ type: "need", set: "student" });
  expect(await other.next("error")).toMatchObject({ code: "MESSAGE_INVALID" });
});

test("whose answer differs from two others' is let go, and does not come in again", async () => {
  const films = await drawnFilms(1);
  const { run, outcomes, events } = await started(films, 1);
  const [liar, one, two] = await Promise.all([0, 1, 2].map(() => stranger(run.server.url)));
  const lie = await lent(liar);
  const honest = await lent(one);
  answer(liar, lie, 50);
  answer(one, honest);
  await one.next("accepted");
  answer(two, await lent(two), 0.1);
  await two.next("accepted");
  await run.done;
  expect(outcomes).toMatchObject([{ checked: true, worker: "w2" }]);
  expect(events).toContainEqual({ type: "disputed", film: films[0].name, account: liar.identity.account });
  expect(await liar.next("accepted")).toMatchObject({ lease: lie.lease });
  expect(await liar.next("error")).toMatchObject({ code: "CONTRIBUTION_DISPUTED" });
});

test("A76 a film that is given back twice with an error is given up with what was said, and the others go on", async () => {
  const films = await drawnFilms();
  const { run, outcomes, events, told } = await started(films);
  const worker = await stranger(run.server.url);
  const broken = films[0].name;
  for (const detail of ["the device hung", "DATA_INVALID: frame 3 is damaged"]) {
    const film = await lent(worker);
    expect(film.sequence).toBe(broken);
    worker.send({ type: "return", lease: film.lease, reason: "error", detail });
  }
  answer(worker, await lent(worker));
  await worker.next("accepted");
  await run.done;
  expect(run.failed()).toEqual([{ film: broken, message: "DATA_INVALID: frame 3 is damaged" }]);
  expect(events.filter(({ type }) => type === "failed")).toHaveLength(1);
  expect(outcomes.map(({ film }) => film)).toEqual([films[1].name]);
  expect(told.at(-1)).toBe("1 of 2 films are followed; 1 film could not be");
});

test("a worker whose network fails gives its film back with the reason, and another follows it", async () => {
  const films = await drawnFilms(1);
  const { run, outcomes, events } = await started(films);
  let opened = 0;
  const worker = filmWorker(run.server.localUrl, {
    tracking: {
      ...filmPorts,
      openBackbone: async (bytes) => {
        const real = await filmPorts.openBackbone(bytes);
        // Its device is lost at the first film, and there again for the second.
        if (opened++ > 0) return real;
        return { ...real, embed: () => Promise.reject(new Error("the device is gone")), dispose: () => real.dispose() };
      },
    },
  });
  await run.done;
  await worker.ended;
  expect(outcomes).toHaveLength(1);
  expect(events.filter(({ type }) => type === "returned")).toMatchObject([
    { film: films[0].name, detail: expect.stringContaining("the device is gone") },
  ]);
});

test("a worker that pauses gives its film back, and one that goes on follows it", async () => {
  const films = await drawnFilms(1);
  const { run, outcomes } = await started(films);
  const worker = filmWorker(run.server.localUrl, {
    onEvent: (event) => {
      if (event.type !== "state") return;
      // Once, in its first film.
      if (event.state.kind === "computing" && event.state.lease.lease === 1) worker.pause();
      if (event.state.kind === "paused") worker.resume();
    },
  });
  await run.done;
  await worker.ended;
  expect(outcomes.map(({ frames }) => frames.length)).toEqual([FRAMES]);
});
