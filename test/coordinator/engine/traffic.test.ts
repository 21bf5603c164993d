// Bytes a step: counted by class and direction, and begun anew with each step.
import { expect, test } from "vitest";
import { Traffic } from "../../../coordinator/engine/traffic.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

test("totals are those of the classes, means those over the workers, and each step begins at zero", () => {
  const traffic = new Traffic();
  traffic.count("down", "parameters", 1000);
  traffic.count("down", "control", 30);
  traffic.count("down", "control", 6);
  traffic.count("up", "contributions", 500);
  traffic.count("up", "control", 4);
  const bytes = traffic.take(4);
  expect(bytes).toEqual({
    down: 1036,
    up: 504,
    parameters: { down: 1000, up: 0 },
    contributions: { down: 0, up: 500 },
    control: { down: 36, up: 4 },
    perWorker: { down: 259, up: 126 },
  });
  expect(traffic.take(0)).toMatchObject({ down: 0, up: 0, perWorker: { down: 0, up: 0 } });
  expect(bytes.down).toBe(1036);
});

test("D11 the line of a step has what the sockets carried since the step before", async () => {
  const { connect, coordination, jsonLines } = await startTestRun({ maxSteps: 3 });
  const [one, two] = [await connect().join(), await connect().join()];
  const received = { parameters: 0, contributions: 0 };
  for (const worker of [one, two]) {
    worker.socket.on("message", (data: Buffer) => {
      if (data[0] === 0x42) received.parameters += data.length;
    });
    const send = worker.socket.send.bind(worker.socket) as (data: Uint8Array) => void;
    worker.socket.send = ((data: Uint8Array) => {
      if (data[0] === 0x42) received.contributions += data.length;
      send(data);
    }) as typeof worker.socket.send;
  }
  await Promise.all([one.work(), two.work()]);
  await coordination.done;
  const steps = jsonLines.map((line) => JSON.parse(line)).filter(({ event }) => event === "step");
  expect(steps).toHaveLength(3);
  const sum = (pick: (bytes: Record<string, Record<string, number>>) => number) =>
    steps.reduce((total, { bytes }) => total + pick(bytes), 0);
  // The evaluation after the last step is in no line.
  expect(sum((bytes) => bytes.parameters.down)).toBeLessThanOrEqual(received.parameters);
  expect(sum((bytes) => bytes.parameters.down)).toBeGreaterThan(0.5 * received.parameters);
  expect(sum((bytes) => bytes.contributions.up)).toBeGreaterThan(0.5 * received.contributions);
  for (const { bytes } of steps) {
    const { parameters, contributions, control, perWorker } = bytes;
    expect(bytes.down).toBe(parameters.down + contributions.down + control.down);
    expect(bytes.up).toBe(parameters.up + contributions.up + control.up);
    expect([parameters.up, contributions.down]).toEqual([0, 0]);
    expect(perWorker.up).toBe(Math.round(bytes.up / 2));
  }
});
