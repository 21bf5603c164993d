// The board of volunteers: who wants to be seen is, under a name that harms nobody, and nobody else.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { systemClock } from "../../../coordinator/base/clock.ts";
import { Board, MOST_COUNTED, MOST_LISTED, SHOWN_PLACES } from "../../../coordinator/trust/board.ts";
import { openBoard } from "../../../coordinator/trust/board-file.ts";
import { accountOf } from "../../../shared/base/identity.ts";
import { MOST_NICKNAME, nicknameIn } from "../../../shared/base/nickname.ts";
import { newIdentity } from "../../fixtures/scripted-identity.ts";
import { scratchFolder, startTestRun } from "../../fixtures/test-run.ts";

const account = (i: number) => i.toString(16).padStart(64, "0");
const samples = (count: number) => [{ from: 5, to: 5 + count }];

test.each([
  ["  Ada \n Lovelace ", "Ada Lovelace"],
  ["\u202eevil\u200b\u0007", "evil"],
  ["e\u0301", "é"],
  [`a${"\u0300".repeat(40)}b`, "à\u0300\u0300b"],
  ["👩‍🚀", "👩🚀"],
  ["\ufeff\u00ad", ""],
  ["x".repeat(5000), "x".repeat(MOST_NICKNAME)],
])("the nickname in %j is %j", (text, nickname) => {
  expect(nicknameIn(text)).toBe(nickname);
});

test("who says so is on the board with what was confirmed before, and whoever takes it back is not", () => {
  const board = new Board();
  board.confirmed([account(1), account(2)], samples(8));
  expect(board.places).toEqual([]);
  board.list(account(1), "Ada");
  board.list(account(3), "\u200b");
  board.confirmed([account(1)], samples(4));
  expect(board.places).toEqual([{ nickname: "Ada", account: account(1).slice(0, 12), samples: 12 }]);
  board.list(account(2), "Bo");
  board.list(account(1), "Countess");
  expect(board.places.map(({ nickname, samples }) => [nickname, samples])).toEqual([
    ["Countess", 12],
    ["Bo", 8],
  ]);
  board.list(account(1), null);
  expect(board.places.map(({ nickname }) => nickname)).toEqual(["Bo"]);
  board.list(account(1), "Ada");
  expect(board.places[0]).toMatchObject({ nickname: "Ada", samples: 12 });
});

test("the board shows so many places, and keeps so many accounts: who makes many takes nobody's place", () => {
  const board = new Board();
  board.list(account(1), "Ada");
  board.confirmed([account(1)], samples(1));
  for (let i = 2; i < MOST_LISTED + 50; i++) board.list(account(i), "crowd");
  expect(board.places).toHaveLength(SHOWN_PLACES);
  expect(board.places[0].nickname).toBe("Ada");
  const listed = board.entries.map(({ account: one }) => one);
  expect([listed.includes(account(2)), listed.includes(account(MOST_LISTED + 49))]).toEqual([true, false]);
  const counted = Array.from({ length: MOST_COUNTED + 7 }, (_, i) => account(10 * MOST_LISTED + i));
  board.confirmed(counted, samples(2));
  expect(board.entries).toHaveLength(MOST_LISTED + MOST_COUNTED);
});

test("the board is read again as it was, and a damaged file is a notice and an empty board", async () => {
  const folder = await scratchFolder();
  const notices: string[] = [];
  const open = () => openBoard(folder, systemClock, (message) => notices.push(message));
  const first = await open();
  first.board.list(account(1), "Ada");
  first.board.confirmed([account(1), account(2)], samples(3));
  await first.close();
  const again = await open();
  expect(again.board.entries).toEqual(first.board.entries);
  await again.close();
  expect(notices).toEqual([]);
  await writeFile(join(folder, "board.json"), '{"accounts":[{"account":"x"}]}');
  expect((await open()).board.places).toEqual([]);
  expect(notices).toEqual([expect.stringContaining("begins anew")]);
});

test("volunteers who said so are on the board of a run, with samples that audits confirmed", async () => {
  const run = await startTestRun({ config: { lease: { minDeadlineMs: 20_000 } }, maxSteps: 6, drawAudit: () => 0 });
  const crew = await Promise.all(Array.from({ length: 3 }, () => run.connect({ identity: newIdentity() }).join()));
  const accounts = crew.map(({ identity }) => accountOf(identity.publicKey));
  const places = async () => (await (await fetch(run.url.replace("/?", "/board?"))).json()).places;
  crew[0].send({ type: "list", nickname: " Ada\u202e " });
  crew[1].send({ type: "list", nickname: "Bo" });
  crew[1].send({ type: "list", nickname: null });
  for (const worker of crew.slice(0, 2)) {
    worker.send({ type: "ping", nonce: 1 });
    await worker.next("pong");
  }
  expect(await places()).toEqual([{ nickname: "Ada", account: accounts[0].slice(0, 12), samples: 0 }]);
  expect((await fetch(new URL("/board", run.url))).status).toBe(403);
  await Promise.all(crew.map((worker) => worker.work()));
  await run.coordination.done;
  const kept = JSON.parse(await readFile(join(run.run.directory.path, "board.json"), "utf8"));
  const byAccount = new Map(kept.accounts.map((one: { account: string }) => [one.account, one]));
  expect(byAccount.get(accounts[0])).toMatchObject({ nickname: "Ada", samples: expect.any(Number) });
  expect((byAccount.get(accounts[0]) as { samples: number }).samples).toBeGreaterThan(0);
  expect(byAccount.get(accounts[1])).toMatchObject({ nickname: null });
});
