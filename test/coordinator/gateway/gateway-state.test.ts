// A gateway towards its leader, on the pure function.

import { expect, test } from "vitest";
import { MOST_HELD } from "../../../coordinator/cluster/messages.ts";
import {
  decideGateway,
  GATEWAY_ROOM,
  type GatewayEvent,
  type GatewayState,
  INSTALMENT_MS,
  MOST_LEFT,
  newGateway,
} from "../../../coordinator/gateway/gateway-state.ts";

const order = { epoch: 1, life: 7, round: 1 };

class Table {
  state: GatewayState = newGateway(order.life);
  now = 0;

  constructor() {
    this.take({ type: "open", epoch: 1, key: "key", number: 1, step: 0 });
  }

  take(event: GatewayEvent) {
    const { state, effects } = decideGateway(this.now, this.state, event);
    this.state = state;
    return effects;
  }

  lease(lease: number, from: number, to: number): void {
    this.take({ type: "lease", ...order, lease, from, to, adopted: false });
  }
}

test("Q56 parts of several leases that nobody has begun are given back as one, and then told one by one", () => {
  const table = new Table();
  table.lease(1, 0, 64);
  table.lease(2, 96, 160);
  const notBegun = [
    { from: 32, to: 64 },
    { from: 128, to: 160 },
  ];
  expect(table.take({ type: "trim", ...order, notBegun })).toEqual([
    { type: "narrow", ranges: notBegun },
    { type: "say-returned", lease: 1, from: 32, to: 64, notFinite: false },
    { type: "say-returned", lease: 2, from: 128, to: 160, notFinite: false },
  ]);
  expect(table.state.leases.map(({ from, to }) => [from, to])).toEqual([
    [0, 32],
    [96, 128],
  ]);
});

test("Q58 an instalment leaves the largest pieces of what nobody has begun, and no more than a beat can name", () => {
  const table = new Table();
  for (let i = 0; i < GATEWAY_ROOM; i++) table.lease(i + 1, 1000 * i, 1000 * (i + 1));
  table.now = INSTALMENT_MS;
  // In each lease twenty, the later the larger.
  const notBegun = Array.from({ length: 20 * GATEWAY_ROOM }, (_, i) => ({ from: 50 * i, to: 50 * i + 1 + i / 100 }));
  const [ship] = table.take({ type: "tick", workers: 9, notBegun, collected: 100 });
  expect(ship).toEqual({ type: "ship", notBegun: notBegun.slice(-MOST_LEFT) });
  const { shipping } = table.state;
  if (!shipping) throw new RangeError("nothing is on its way");
  const sum = { step: 0, key: "key", name: "sum", bytes: 1, sha256: "00", samples: 1, ranges: shipping };
  table.take({ type: "sealed", sum });
  expect(table.state.leases.map(({ from, to }) => ({ from, to }))).toEqual(notBegun.slice(-MOST_LEFT));
  expect(shipping.length + table.state.leases.length).toBeLessThan(MOST_HELD);
});
