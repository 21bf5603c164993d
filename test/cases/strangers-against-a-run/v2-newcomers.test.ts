// What keeps hoarders from being waited for must not keep honest newcomers from being of use: beside fast workers a
// round is over sooner than a first lease could be answered.

import { expect, test } from "vitest";
import { honestContribution } from "../../fixtures/scripted-contribution.ts";
import { newIdentity } from "../../fixtures/scripted-identity.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

test("an honest newcomer that is slower than rounds are shows that it answers, and then its work counts", async () => {
  const run = await startTestRun({ config: { epochs: 40 } });
  const own = await run.connect().join();
  const ended = own.work();
  const stranger = await run.connectStranger({ identity: newIdentity() }).join();
  stranger.send({ type: "ready" });
  let counted = 0;
  while (counted < 3) {
    const message = await stranger.take();
    if (message === "closed") break;
    if (message.type === "accepted") counted++;
    if (message.type === "accepted" || message.type === "rejected" || message.type === "cancel") {
      stranger.send({ type: "ready" });
    }
    if (message.type !== "lease") continue;
    // The rounds that the own worker makes alone take a few milliseconds.
    await new Promise((resolve) => setTimeout(resolve, 40));
    stranger.sendContribution(honestContribution(stranger.welcome, message));
  }
  run.coordination.stop();
  expect(counted).toBe(3);
  await ended;
});
