// Whom a film is lent, when its answer counts, and when it is given up.

import { expect, test } from "vitest";
import {
  type Answer,
  agree,
  type FilmState,
  type Follower,
  freshFilm,
  MOST_FAILURES,
  nextFilm,
  SILENT_MS,
  silentHolders,
  verdictOf,
} from "../../../coordinator/tracking/film-state.ts";

const stranger = (account: string): Follower => ({ worker: `w-${account}`, account, own: false });
const own: Follower = { worker: "w-own", account: "own", own: true };
const answer = (who: Follower, x = 10): Answer => ({
  ...who,
  frames: [0, 1].map(() => ({ box: { x, y: 10, w: 100, h: 100 }, seconds: 0.1 })),
});
const film = (fields: Partial<FilmState> = {}): FilmState => ({ ...freshFilm(10, false), ...fields });
const held = (who: Follower, heardMs = 0) => ({ ...who, lease: 1, heardMs });

test("A79 a film that nobody has begun comes before a second answer, and of those the longest", () => {
  const films = [
    film({ audited: true, answers: [answer(stranger("a"))] }),
    film({ frames: 5 }),
    film({ frames: 50 }),
    film({ frames: 500, holders: [held(stranger("b"))] }),
  ];
  expect(nextFilm(films, stranger("c"))).toBe(2);
  expect(nextFilm(films.slice(0, 1), stranger("c"))).toBe(0);
  expect(nextFilm(films.slice(0, 1), stranger("a")), "nobody checks themselves").toBeUndefined();
  expect(nextFilm(films.slice(3), stranger("c")), "it is lent").toBeUndefined();
});

test("an answer settles a film that is not audited, and the operator's own settles any", () => {
  expect(verdictOf(film({ answers: [answer(stranger("a"))] }))).toMatchObject({ kind: "settled", checked: false });
  const audited = film({ audited: true, answers: [answer(stranger("a"), 90), answer(own)] });
  expect(verdictOf(audited)).toMatchObject({
    kind: "settled",
    checked: true,
    wrong: ["a"],
    answer: { account: "own" },
  });
  expect(verdictOf(film({ audited: true }))).toEqual({ kind: "open", wanted: 2 });
  const lent = film({ audited: true, holders: [held(own)] });
  expect(nextFilm([lent], stranger("a")), "an own worker's answer needs no second").toBeUndefined();
});

test("A77 two accounts must agree on an audited film within an overlap of .99 a frame; a third decides, and who is alone is wrong", () => {
  const [a, b, c] = ["a", "b", "c"].map(stranger);
  const near = { ...answer(b), frames: answer(b, 10.4).frames };
  expect(agree(answer(a), near)).toBe(true);
  expect(agree(answer(a), answer(b, 11))).toBe(false);
  expect(verdictOf(film({ audited: true, answers: [answer(a), near] }))).toMatchObject({ kind: "settled", wrong: [] });
  const disputed = film({ audited: true, answers: [answer(a, 60), answer(b)] });
  expect(verdictOf(disputed)).toEqual({ kind: "open", wanted: 1 });
  const decided = film({ audited: true, answers: [answer(a, 60), answer(b), answer(c)] });
  expect(verdictOf(decided)).toMatchObject({ kind: "settled", answer: { account: "b" }, wrong: ["a"] });
});

test("A78 where no other account is there, the first answer counts unchecked", () => {
  const lone = film({ audited: true, answers: [answer(stranger("a"))] });
  expect(verdictOf(lone, false)).toMatchObject({ kind: "settled", checked: false });
  expect(verdictOf({ ...lone, holders: [held(stranger("b"))] }, false), "somebody is at it").toMatchObject({
    kind: "open",
  });
});

test("a film that came to nothing twice is given up, once nobody is at it", () => {
  const failures = Array.from({ length: MOST_FAILURES }, (_, i) => `failure ${i}`);
  expect(verdictOf(film({ failures }))).toEqual({ kind: "failed", reason: "failure 1" });
  expect(verdictOf(film({ failures: failures.slice(1) })).kind).toBe("open");
  expect(verdictOf(film({ failures, holders: [held(own)] })).kind).toBe("open");
  expect(nextFilm([film({ failures, holders: [held(own)] })], stranger("a"))).toBeUndefined();
});

test("A75 a worker that says no box for two minutes is silent", () => {
  const state = film({ holders: [held(own, 1000)] });
  expect(silentHolders(state, 1000 + SILENT_MS - 1)).toEqual([]);
  expect(silentHolders(state, 1000 + SILENT_MS)).toHaveLength(1);
});
