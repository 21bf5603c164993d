// Rule T13 of SPEC.md: however many sockets bring chunks or messages at once, a turn takes in no more than its budget.

import { expect, test } from "vitest";
import {
  MESSAGES_HELD,
  PacedMessages,
  type RawMessage,
  TURN_BYTES,
  TURN_MESSAGES,
  TurnBudget,
} from "../../../coordinator/session/paced-messages.ts";
import { Timeline } from "../../../coordinator/simulate/timeline.ts";
import { CHUNK_BYTES, encodeChunk } from "../../../shared/wire/chunk.ts";
import { encodeMessage } from "../../../shared/wire/protocol.ts";

const frame = new Uint8Array(64 * CHUNK_BYTES);
const chunk = (index: number): RawMessage => ({ bytes: encodeChunk(1, frame, index), isBinary: true });
const ping: RawMessage = { bytes: encodeMessage({ type: "ping", nonce: 1 }), isBinary: true };

/** Sockets that share a budget in virtual time; `turns` are what each turn took in, by socket. */
function sockets(count: number) {
  const timeline = new Timeline();
  const budget = new TurnBudget(timeline.clock("coordinator"));
  const turns: { readonly socket: number; readonly message: RawMessage }[][] = [[]];
  const all = Array.from({ length: count }, (_, socket) => {
    return new PacedMessages(budget, (message) => turns.at(-1)?.push({ socket, message }));
  });
  const run = () => {
    for (let next = timeline.next(); next; next = timeline.next()) {
      turns.push([]);
      next.call();
    }
  };
  return { all, turns, run };
}

test("T13 a turn takes in its budget of chunks, the rest follows in as many turns as it takes, in each socket's order", () => {
  const { all, turns, run } = sockets(5);
  const sent = Array.from({ length: 8 }, (_, index) => chunk(index));
  for (const socket of all) for (const message of sent) socket.receive(message);
  run();
  const most = Math.ceil(TURN_BYTES / sent[0].bytes.length);
  expect(Math.max(...turns.map((turn) => turn.length))).toBe(most);
  expect(turns.filter((turn) => turn.length > 0)).toHaveLength(Math.ceil(40 / most));
  all.forEach((_, socket) => {
    const taken = turns.flat().filter((entry) => entry.socket === socket);
    expect(taken.map(({ message }) => message)).toEqual(sent);
  });
});

test("T13 a turn takes in its budget of messages, the rest follows in the order of the sockets", () => {
  const { all, turns, run } = sockets(2 * TURN_MESSAGES + 3);
  for (const socket of all) for (let sent = 0; sent < 2; sent++) socket.receive(ping);
  expect(turns[0]).toHaveLength(TURN_MESSAGES);
  run();
  const counts = turns.map((turn) => turn.length).filter((count) => count > 0);
  expect(Math.max(...counts)).toBe(TURN_MESSAGES);
  expect(counts).toHaveLength(Math.ceil((2 * all.length) / TURN_MESSAGES));
  const order = turns.flat().map(({ socket }) => socket);
  expect(order).toEqual([...all.keys()].flatMap((socket) => [socket, socket]));
});

test("T13 what comes behind a chunk waits with it; other sockets' control messages do not", () => {
  const { all, turns, run } = sockets(3);
  for (let index = 0; index < 8; index++) all[0].receive(chunk(index));
  all[1].receive(chunk(0));
  all[1].receive(ping);
  all[2].receive(ping);
  expect(turns[0].filter(({ socket }) => socket !== 0)).toEqual([{ socket: 2, message: ping }]);
  run();
  const second = turns.flat().filter(({ socket }) => socket === 1);
  expect(second.map(({ message }) => message === ping)).toEqual([false, true]);
});

test("T13 a peer that keeps to no credit is not held: its messages are taken in at once", () => {
  const { all, turns } = sockets(1);
  const taken = Math.ceil(TURN_BYTES / chunk(0).bytes.length);
  for (let index = 0; index < taken + MESSAGES_HELD; index++) all[0].receive(chunk(index));
  expect(turns[0]).toHaveLength(taken);
  all[0].receive(chunk(63));
  expect(turns[0]).toHaveLength(taken + MESSAGES_HELD + 1);
});

test("T13 a socket that ends has everything taken in before", () => {
  const { all, turns } = sockets(1);
  for (let index = 0; index < 8; index++) all[0].receive(chunk(index));
  expect(turns[0].length).toBeLessThan(8);
  all[0].flush();
  expect(turns[0]).toHaveLength(8);
});
