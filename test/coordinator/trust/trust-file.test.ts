// trust.json: what an account earned survives a restart; damage costs audits, never the run.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { confirmed, contradicted, newcomer } from "../../../coordinator/trust/standing.ts";
import { KEPT_ACCOUNTS, readTrust, writeTrust } from "../../../coordinator/trust/trust-file.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

const account = (i: number) => i.toString(16).padStart(64, "0");

test("what was earned is read again; a rest ends with the process", async () => {
  const folder = await scratchFolder();
  expect(await readTrust(folder)).toEqual({ standings: new Map(), notice: null });
  const fallen = confirmed(contradicted(1e6, newcomer));
  await writeTrust(
    folder,
    new Map([
      [account(1), confirmed(confirmed(newcomer))],
      [account(2), fallen],
    ]),
  );
  const { standings, notice } = await readTrust(folder);
  expect(notice).toBeNull();
  expect(standings.get(account(1))).toMatchObject({ consecutiveValid: 2, strikes: 0 });
  expect(standings.get(account(2))).toEqual({ ...newcomer, consecutiveValid: 1, strikes: 1 });
});

test("a damaged file is a notice, and everybody is a newcomer", async () => {
  const folder = await scratchFolder();
  for (const text of ["{", '{"accounts":[{"account":"x","consecutiveValid":99,"strikes":0}]}']) {
    await writeFile(join(folder, "trust.json"), text);
    const { standings, notice } = await readTrust(folder);
    expect(standings.size).toBe(0);
    expect(notice).toContain("damaged");
  }
});

test("the accounts seen last are kept, and no more than so many", async () => {
  const folder = await scratchFolder();
  await writeTrust(folder, new Map(Array.from({ length: KEPT_ACCOUNTS + 5 }, (_, i) => [account(i), newcomer])));
  const { standings } = await readTrust(folder);
  expect(standings.size).toBe(KEPT_ACCOUNTS);
  expect(standings.has(account(4))).toBe(false);
  expect(standings.has(account(KEPT_ACCOUNTS + 4))).toBe(true);
});
