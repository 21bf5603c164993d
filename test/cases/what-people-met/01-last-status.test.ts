// The page goes on showing the last status that it got: it must be that of the end.

import { expect, test } from "vitest";
import { isChunk } from "../../../shared/wire/chunk.ts";
import { isFrame } from "../../../shared/wire/frame.ts";
import { type CoordinatorMessage, decodeCoordinatorMessage } from "../../../shared/wire/protocol.ts";
import { initialPage, nextPage } from "../../../worker/web/page-state.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

test("S22 every worker is told how the run ended before it is told that it has", async () => {
  const run = await startTestRun();
  const crew = await Promise.all(Array.from({ length: 2 }, () => run.connect().join()));
  const told = crew.map((worker) => {
    const messages: CoordinatorMessage[] = [];
    worker.socket.on("message", (data: Buffer) => {
      if (!isFrame(data) && !isChunk(data)) messages.push(decodeCoordinatorMessage(data));
    });
    return messages;
  });
  await Promise.all(crew.map((worker) => worker.work()));
  const { scores, step, steps } = await run.coordination.done;
  for (const messages of told) {
    const end = messages.findIndex(({ type }) => type === "ended");
    const { status } = messages[end - 1] as Extract<CoordinatorMessage, { type: "status" }>;
    expect(status).toMatchObject({ state: "done", scores, step, steps, reason: "complete" });
    // Workers of before there was one would not understand it.
    expect(status).not.toHaveProperty("eta");
    // What a page then shows.
    const page = nextPage(nextPage(initialPage, { type: "status", status }), {
      type: "state",
      state: { kind: "ended", reason: "run-over", message: "the last step is done" },
    });
    expect(page.status?.scores).toEqual(scores);
  }
});
