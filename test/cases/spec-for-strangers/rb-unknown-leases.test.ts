// Leases that a worker never had: lease 0, and another's that is over, were answered as if they had come late.

import { expect, test } from "vitest";
import { frameOf, honestContribution, type ScriptedContribution } from "../../fixtures/scripted-contribution.ts";
import { newIdentity } from "../../fixtures/scripted-identity.ts";
import type { ScriptedWorker } from "../../fixtures/scripted-worker.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

const numbered = ({ header, ...rest }: ScriptedContribution, lease: number): ScriptedContribution => {
  return { header: { ...header, lease }, ...rest };
};

/** Two workers of a run, and what the first was granted and has answered. */
async function answered() {
  const { connect } = await startTestRun();
  const [one, two] = [
    await connect({ identity: newIdentity() }).join(),
    await connect({ identity: newIdentity() }).join(),
  ];
  const lease = await one.lease();
  const contribution = honestContribution(one.welcome, lease);
  await one.answer(lease);
  return { one, two, lease: lease.lease, contribution };
}

/** Sends the same thing three times; the code that the session is closed with. */
async function thrice(worker: ScriptedWorker, send: () => void): Promise<string> {
  for (let i = 0; i < 3; i++) send();
  for (;;) {
    const message = await worker.take();
    if (message === "closed") throw new Error("closed without a word");
    if (message.type === "error") return message.code;
    expect(message).toMatchObject({ type: "rejected", code: "LEASE_UNKNOWN" });
  }
}

test("three answers to leases that a worker never had end its session, whichever numbers they name", async () => {
  const { one, two, lease, contribution } = await answered();
  expect(await thrice(two, () => two.socket.send(frameOf(numbered(contribution, lease))))).toBe("LEASE_UNKNOWN");
  expect(await thrice(one, () => one.socket.send(frameOf(numbered(contribution, 0))))).toBe("LEASE_UNKNOWN");
});

test("three offers of answers to leases that a worker never had end its session", async () => {
  const { two, lease } = await answered();
  let transfer = 0;
  const offer = () => two.send({ type: "offer", transfer: ++transfer, bytes: 300_000, lease });
  expect(await thrice(two, offer)).toBe("LEASE_UNKNOWN");
});

test("an own answer that comes once more after it counted is no failure; one that comes over and over is", async () => {
  const { one, contribution } = await answered();
  one.socket.send(frameOf(contribution));
  expect(await one.next("rejected")).toMatchObject({ code: "CONTRIBUTION_STALE" });
  const lease = await one.lease();
  await one.answer(lease);
  for (let i = 0; i < 3; i++) {
    one.socket.send(frameOf(contribution));
    expect(await one.next("rejected")).toMatchObject({ code: "CONTRIBUTION_STALE" });
  }
  expect(await one.next("error")).toMatchObject({ code: "CONTRIBUTION_STALE", retry: true });
});
