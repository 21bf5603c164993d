// A WebSocket that is refused because its address has as many as it may have: the worker says that, in place of "cannot
// be reached", and tries again.

import { expect, onTestFinished, test } from "vitest";
import { WebSocket } from "ws";
import { runtimePorts, type SocketConstructor } from "../../../worker/platform/runtime-ports.ts";
import { runSession } from "../../../worker/session/session.ts";
import type { SessionEvent } from "../../../worker/session/session-event.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

const unasked = () => {
  throw new Error("it comes to no lease");
};

test("H16 a worker whose address is full says so and tries again, though its WebSocket was told nothing", async () => {
  const { connectStranger, url } = await startTestRun({ config: { trust: { socketsPerAddress: 1 } } });
  await connectStranger().join();
  const states: Extract<SessionEvent, { type: "state" }>["state"][] = [];
  const session = runSession({
    url,
    name: "one too many",
    runtime: "node",
    ports: runtimePorts(WebSocket as unknown as SocketConstructor),
    openDevice: async () => ({
      adapter: { vendor: "test", architecture: "", description: "of no use here", software: true },
      lost: new Promise(() => undefined),
      createTrainer: unasked,
      answerCanary: unasked,
      close: () => undefined,
    }),
    onEvent: (event) => {
      if (event.type === "state") states.push(event.state);
    },
  });
  onTestFinished(async () => {
    session.leave();
    await session.ended;
  });
  await expect
    .poll(() => states.at(-1))
    .toMatchObject({
      kind: "reconnecting",
      code: "RATE_LIMITED",
      message: expect.stringContaining("trust.socketsPerAddress"),
    });
});
