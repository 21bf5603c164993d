// Rule T13 of SPEC.md: however many sockets bring chunks or messages at once, a turn takes in no more than its budget.

import { expect, test } from "vitest";
import {
  BYTES_HELD,
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

/**
 * Sockets that share a budget in virtual time; `turns` are what each turn took in, by socket, and `read` says whether
 * each is read.
 */
function sockets(count: number) {
  const timeline = new Timeline();
  const budget = new TurnBudget(timeline.clock("coordinator"));
  const turns: { readonly socket: number; readonly message: RawMessage }[][] = [[]];
  const read = Array.from({ length: count }, () => true);
  const all = Array.from({ length: count }, (_, socket) => {
    const take = (message: RawMessage) => turns.at(-1)?.push({ socket, message });
    const reads = (now: boolean) => () => {
      read[socket] = now;
    };
    return new PacedMessages({ budget, take, source: { pause: reads(false), resume: reads(true) } });
  });
  const run = () => {
    for (let next = timeline.next(); next; next = timeline.next()) {
      turns.push([]);
      next.call();
    }
  };
  return { all, turns, read, run };
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

test("T13 a socket that brings more than it may have waiting is not read until half of that is taken in", () => {
  const { all, turns, read, run } = sockets(1);
  for (let sent = 0; sent < TURN_MESSAGES + MESSAGES_HELD - 1; sent++) all[0].receive(ping);
  expect(read).toEqual([true]);
  // What was read in one piece comes still, and is not taken in any sooner for it.
  for (let sent = 0; sent < 1000; sent++) all[0].receive(ping);
  expect(read).toEqual([false]);
  expect(turns.map((turn) => turn.length)).toEqual([TURN_MESSAGES]);
  run();
  expect(Math.max(...turns.map((turn) => turn.length))).toBe(TURN_MESSAGES);
  expect(turns.flat()).toHaveLength(TURN_MESSAGES + MESSAGES_HELD - 1 + 1000);
  expect(read).toEqual([true]);
});

test("T13 the same holds of the bytes that wait", () => {
  const { all, read } = sockets(1);
  const due = TURN_BYTES / CHUNK_BYTES + BYTES_HELD / CHUNK_BYTES;
  for (let index = 0; index < due - 1; index++) all[0].receive(chunk(index));
  expect(read).toEqual([true]);
  all[0].receive(chunk(due));
  expect(read).toEqual([false]);
  all[0].drop();
  expect(read).toEqual([true]);
});

test("T13 a socket's end is told once everything is taken in that came before, and in no more at a turn", () => {
  const { all, turns, run } = sockets(1);
  for (let index = 0; index < 8; index++) all[0].receive(chunk(index));
  let ended = 0;
  all[0].whenTaken(() => {
    ended = turns.flat().length;
  });
  expect([turns[0].length < 8, ended]).toEqual([true, 0]);
  run();
  expect(ended).toBe(8);
  expect(Math.max(...turns.map((turn) => turn.length))).toBe(Math.ceil(TURN_BYTES / chunk(0).bytes.length));
});
