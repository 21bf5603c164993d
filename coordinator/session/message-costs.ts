// What a control message costs, in tokens of its session's rate: about what it makes the coordinator do, so that a
// stranger who says the dearest gets no more of it than one who pings. And what the coordinator's own words bring in: a
// worker that is busy with what it was given has as much to say as that takes.

import type { WorkerMessage } from "../../shared/wire/protocol.ts";

/** Of any message, when it arrives; the rest once it is read. A WebSocket's ping or pong is a message, too. */
export const BASE_COST = 1;

export const messageCosts: Readonly<Record<WorkerMessage["type"], number>> = {
  // Once a connection; what they cost beyond that, an address pays with its joins.
  hello: BASE_COST,
  proof: BASE_COST,
  ping: BASE_COST,
  pong: BASE_COST,
  have: BASE_COST,
  leave: BASE_COST,
  // A few hundred boxes, once each.
  tracked: BASE_COST,
  // 10 ms of sums, but of each canary once.
  "canary-answer": BASE_COST,
  // A decision of the round, and perhaps a lease on its way.
  ready: 4,
  paused: 4,
  return: 4,
  // Room for a contribution, or a place in the line for it.
  offer: 4,
  // Some 100 µs of counting, of a part of what it holds.
  chunks: 4,
  // A place of the board, which is sorted anew.
  list: 4,
  // Parameters whole, and then again.
  need: 8,
};

/** What a chunk of parameters brings in: its `have`. */
export const EARNED_BY_CHUNK = messageCosts.have;
/** What a ping brings in: its pong. */
export const EARNED_BY_PING = messageCosts.pong;
/** What a lease brings in that was answered, or that the coordinator took away: all that may be said of the next. */
export const EARNED_BY_LEASE = messageCosts.ready + messageCosts.offer + messageCosts.return;
/** What a chunk costs that is no news: each was sent before. */
export const STALE_CHUNK_COST = 1;
