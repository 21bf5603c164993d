// Both sides of audits that are away, alone: what is bounded, asked again, passed on once, and given up.

import { expect, test } from "vitest";
import { decode, encode, type Payload } from "../../../coordinator/cluster/messages.ts";
import { AwayOffers, MOST_AWAY, MOST_AWAY_BYTES } from "../../../coordinator/gateway/away-offers.ts";
import { DeskAway, type DrawnFrom, MOST_AWAY_AUDITS } from "../../../coordinator/gateway/desk-away.ts";
import { AWAY_MOST_MS, GatewayAway } from "../../../coordinator/gateway/gateway-away.ts";
import type { CopyWanted } from "../../../coordinator/round/lease.ts";
import { Timeline } from "../../../coordinator/simulate/timeline.ts";
import { leaseId } from "../../../shared/base/ids.ts";

const key = "a".repeat(64);
const account = "b".repeat(64);
const device = "c".repeat(64);
const sha256 = "d".repeat(64);
const asks = (audit: number, change: Partial<Payload<"audit">> = {}): Payload<"audit"> => {
  return { epoch: 1, life: 5, key, audit, from: 0, to: 4, answered: [account], awaited: false, ...change };
};
const asker = { id: "g1", life: 5 };

/** A leader's desk, with gateways of so many accounts. */
function desk(accounts: Readonly<Record<string, number>>, draw = () => 0.5, own = false) {
  const gateways = new Map<string, DrawnFrom>();
  for (const [id, count] of Object.entries(accounts)) gateways.set(id, { id, life: 5, accounts: count });
  const orders: { to: string; audit: number }[] = [];
  const answers: { to: string; audit: number; holder: string }[] = [];
  const home: { to: string; audit: number }[] = [];
  const want = ({ order = 0 }: CopyWanted) => void orders.push({ to: "c1", audit: order });
  const away = new DeskAway({
    id: "c1",
    bulk: { offer: () => undefined, withdraw: () => undefined },
    draw,
    gateways: () => [...gateways.values()],
    accounts: () => 7,
    own: () => (own ? { want } : undefined),
    order: ({ id }, { audit }) => void orders.push({ to: id, audit }),
    answer: ({ id }, { audit, holder }) => void answers.push({ to: id, audit, holder }),
    home: ({ id }, audit) => void home.push({ to: id, audit }),
  });
  away.opening(key);
  const answered = (gateway: string, audit: number, by = "e".repeat(64)) =>
    away.answered(gateway, { audit, account: by, own: false, device, voids: 0, name: "away", bytes: 8, sha256 });
  return { away, gateways, orders, answers, home, answered };
}

test("Q65 the leader draws who decides an audit among the other gateways, by their accounts", () => {
  let drawn = 0;
  const { away, gateways } = desk({ g1: 50, g2: 3, g3: 1 }, () => drawn);
  drawn = 0.74;
  expect(away.asked(asker, asks(1))).toBe("g2");
  drawn = 0.76;
  expect(away.asked(asker, asks(2))).toBe("g3");
  gateways.set("g3", { id: "g3", life: 5, accounts: 0 });
  expect(away.asked(asker, asks(3))).toBe("g2");
  gateways.delete("g2");
  expect(away.asked(asker, asks(4))).toBeNull();
});

test("Q65 an audit that is asked for twice is drawn once; one of another round is of nobody's concern", () => {
  const { away, orders } = desk({ g1: 1, g2: 1 });
  expect(away.asked(asker, asks(1))).toBe("g2");
  expect(away.asked(asker, asks(1))).toBe("g2");
  // What was lost is said again, under one number.
  expect(new Set(orders.map(({ audit }) => audit)).size).toBe(1);
  expect(orders.length).toBe(2);
  expect(away.asked(asker, asks(2, { key: "f".repeat(64) }))).toBeUndefined();
  expect(away.asked(asker, asks(2, { from: 4, to: 4 }))).toBeUndefined();
});

test("Q65 an answer counts of whoever was drawn, once, and not of an account that has answered", () => {
  const { away, orders, answers, answered } = desk({ g1: 1, g2: 1, g3: 0 });
  away.asked(asker, asks(1));
  const [{ audit }] = orders;
  answered("g3", audit);
  answered("g2", audit, account);
  answered("g2", audit + 1);
  expect(answers).toEqual([]);
  answered("g2", audit);
  answered("g2", audit);
  expect(answers).toEqual([{ to: "g1", audit: 1, holder: "g2" }]);
  // Who asks again has not heard it.
  away.asked(asker, asks(1));
  expect(answers.length).toBe(2);
  away.opening("9".repeat(64));
  answered("g2", audit);
  expect(answers.length).toBe(2);
});

test("Q65 where a gateway goes another is drawn, or nobody; what it asked itself is forgotten", () => {
  const { away, gateways, orders, answers, home, answered } = desk({ g1: 1, g2: 1, g3: 1 }, () => 0);
  expect(away.asked(asker, asks(1))).toBe("g2");
  const [{ audit }] = orders;
  gateways.delete("g2");
  away.left("g2");
  expect(orders.at(-1)).toEqual({ to: "g3", audit });
  answered("g2", audit);
  expect(answers).toEqual([]);
  gateways.delete("g3");
  expect(home).toEqual([]);
  away.left("g3");
  expect(home).toEqual([{ to: "g1", audit: 1 }]);
  expect(away.asked(asker, asks(1))).toBeNull();
  gateways.set("g3", { id: "g3", life: 5, accounts: 1 });
  expect(away.asked(asker, asks(1))).toBe("g3");
  away.left("g1");
  answered("g3", orders.at(-1)?.audit ?? 0);
  expect(answers).toEqual([]);
});

test("Q72 what a gateway declines another is drawn for, the leader's own at last; where all have, it is decided at home", () => {
  const { away, orders, answers, home, answered } = desk({ g1: 1, g2: 1, g3: 1 }, () => 0, true);
  expect(away.asked(asker, asks(1))).toBe("g2");
  const [{ audit }] = orders;
  away.declined("g3", audit);
  away.declined("g2", audit);
  away.declined("g2", audit);
  expect(orders).toEqual(["g2", "g3"].map((to) => ({ to, audit })));
  // What was lost is said again, to whoever is to compute it now.
  expect(away.asked(asker, asks(1))).toBe("g3");
  away.declined("g3", audit);
  expect(orders.at(-1)).toEqual({ to: "c1", audit });
  expect(home).toEqual([]);
  away.declined("c1", audit);
  expect(home).toEqual([{ to: "g1", audit: 1 }]);
  answered("g3", audit);
  expect(answers).toEqual([]);
  // It counts no more among those that are away.
  for (let more = 2; more < 2 + MOST_AWAY; more++) expect(away.asked(asker, asks(more))).toBe("g2");
  // Of the leader's own volunteers' audits themselves are none who are elsewhere.
  const alone = desk({ g1: 0 }, () => 0, true);
  expect(alone.away.asked({ id: "c1", life: 0 }, asks(1))).toBeNull();
});

test(`Q66 of a gateway ${MOST_AWAY} audits are away at a time, of all ${MOST_AWAY_AUDITS} in a round`, () => {
  const { away, orders, answered } = desk({ g1: 1, g2: 1 });
  for (let audit = 0; audit < MOST_AWAY; audit++) expect(away.asked(asker, asks(audit))).toBe("g2");
  expect(away.asked(asker, asks(MOST_AWAY))).toBeNull();
  answered("g2", orders[0].audit);
  expect(away.asked(asker, asks(MOST_AWAY))).toBe("g2");
  // One that begins anew has forgotten what it asked.
  expect(away.asked({ id: "g1", life: 6 }, asks(0))).toBe("g2");
  const all = desk(Object.fromEntries(Array.from({ length: 130 }, (_, i) => [`g${i}`, 1])));
  let drawn = 0;
  for (let i = 0; i < 130; i++) {
    for (let audit = 0; audit < MOST_AWAY; audit++)
      if (all.away.asked({ id: `g${i}`, life: 5 }, asks(audit)) !== null) drawn++;
  }
  expect(drawn).toBe(MOST_AWAY_AUDITS);
});

test(`Q66 of answers for others the newest ${MOST_AWAY}, and ${MOST_AWAY_BYTES / 2 ** 20} MiB, are kept`, () => {
  const there = new Set<string>();
  const bulk = { offer: (name: string) => void there.add(name), withdraw: (name: string) => void there.delete(name) };
  const offers = new AwayOffers(bulk, 1000);
  for (let i = 0; i < MOST_AWAY + 2; i++) offers.offer(`${i}`, new Uint8Array(1));
  expect([there.size, there.has("1"), there.has("2")]).toEqual([MOST_AWAY, false, true]);
  offers.offer("large", new Uint8Array(1000));
  expect([...there]).toEqual(["large"]);
  offers.clear();
  expect(there.size).toBe(0);
});

const copy: CopyWanted = {
  purpose: "audit",
  of: leaseId(3),
  from: 0,
  to: 4,
  answered: [account],
  distrusted: new Set(),
  draw: 1,
  away: true,
};

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A gateway, whose leader says what `drawn` does. */
function gateway(drawn: () => string | null | undefined) {
  const timeline = new Timeline();
  const calls: string[] = [];
  const told: { audit: number }[] = [];
  const declined: number[] = [];
  const asked: number[] = [];
  const frames = new Map<string, Uint8Array<ArrayBuffer>>();
  const away = new GatewayAway({
    bulk: {
      offer: (name) => void calls.push(`offer ${name}`),
      withdraw: (name) => void calls.push(`withdraw ${name}`),
      fetch: async ({ name }) => {
        calls.push(`fetch ${name}`);
        return frames.get(name) ?? new Uint8Array(8);
      },
      close: () => undefined,
    },
    clock: timeline.clock("coordinator"),
    draw: () => 0.5,
    rounds: () => ({
      want: ({ order }) => void calls.push(`want ${order}`),
      awayHome: () => void calls.push("home"),
      awayOver: () => void calls.push("over"),
      awayAnswer: async (_copy, { account: by }) => void calls.push(`answer ${by.slice(0, 1)}`),
    }),
    distrusted: () => new Set(),
    ask: async ({ audit }) => {
      asked.push(audit);
      const by = drawn();
      if (by === undefined) throw new Error("nobody answers");
      return encode("drawn", { epoch: 1, life: 5, by });
    },
    tell: (kind, said) => void (kind === "answered" ? told.push(said) : declined.push(said.audit)),
    begin: () => void calls.push("begin"),
  });
  away.opened({ key, contributionBytes: 8 });
  const play = async (ms: number) => {
    const until = timeline.now + ms;
    await turn();
    for (let next = timeline.next(); next; next = timeline.next()) {
      next.call();
      await turn();
      if (timeline.now >= until) return;
    }
  };
  const answer = (change: Partial<Payload<"answer">> = {}) => {
    const frame = { name: "away.1", bytes: 8, sha256 };
    const by = { account: "e".repeat(64), own: false, device, holder: "g2", accounts: 9 };
    away.heard({ epoch: 1, life: 5, audit: asked[0], ...by, ...frame, ...change });
  };
  const order = (audit: number, change: Partial<Payload<"away">> = {}) =>
    away.order({ epoch: 1, life: 5, key, audit, from: 0, to: 4, answered: [], awaited: false, ...change });
  return { away, calls, told, declined, asked, play, answer, order };
}

test("Q67 an audit that is away is asked for again until its answer is there, which is fetched once", async () => {
  const { away, calls, asked, play, answer } = gateway(() => "g2");
  away.send(copy);
  await play(3500);
  expect(asked.length).toBeGreaterThan(2);
  expect(new Set(asked).size).toBe(1);
  answer({ bytes: 9 });
  answer({ audit: asked[0] + 1 });
  expect(calls).toEqual([]);
  answer();
  answer();
  await turn();
  answer();
  expect(calls).toEqual(["fetch away.1", "answer e"]);
});

test("Q67 an answer that never comes counts as none: the audit is given up in time, or with its sum", async () => {
  for (const drawn of [() => "g2", () => undefined]) {
    const { away, calls, play } = gateway(drawn);
    away.send(copy);
    await play(AWAY_MOST_MS + 2000);
    expect(calls).toEqual(["over"]);
  }
  const { away, calls, play, answer } = gateway(() => "g2");
  away.send(copy);
  await play(10);
  away.ended();
  answer();
  await play(AWAY_MOST_MS + 2000);
  expect(calls).toEqual([]);
});

test(`Q67 where nobody else can decide it, or ${MOST_AWAY} are away, an audit stays at home`, async () => {
  const none = gateway(() => null);
  none.away.send(copy);
  await turn();
  expect(none.calls).toEqual(["home"]);
  const { away, calls } = gateway(() => "g2");
  for (let i = 0; i <= MOST_AWAY; i++) away.send(copy);
  expect(calls).toEqual(["home"]);
});

test(`Q67 a gateway computes what is ordered of the round at hand once, ${MOST_AWAY} copies at most, and keeps the answer until it is over`, () => {
  const { away, calls, told, declined, order } = gateway(() => null);
  order(1);
  // Nothing is collected yet, in which it could be computed.
  expect(calls).toEqual(["begin"]);
  expect(away.waits).toBe(true);
  away.begun();
  order(1);
  order(2, { key: "f".repeat(64) });
  order(3, { to: 0 });
  expect(calls).toEqual(["begin", "want 1"]);
  expect(declined).toEqual([2, 3]);
  const answer = { order: 1, account, own: false, device, voids: 0, bytes: new Uint8Array(8) };
  away.answered(answer);
  away.answered(answer);
  away.answered({ ...answer, order: 9 });
  expect(told.map(({ audit }) => audit)).toEqual([1]);
  // Asked again, the leader has not heard it.
  order(1);
  expect(told.map(({ audit }) => audit)).toEqual([1, 1]);
  expect(away.waits).toBe(false);
  away.ended();
  away.begun();
  expect(calls).toEqual(["begin", "want 1", "offer away.1"]);
  for (let audit = 10; audit <= 10 + MOST_AWAY; audit++) order(audit);
  expect(calls.filter((call) => call.startsWith("want")).length).toBe(1 + MOST_AWAY);
  expect(declined.slice(2)).toEqual([10 + MOST_AWAY]);
  away.opened({ key: "f".repeat(64), contributionBytes: 8 });
  expect(calls.at(-1)).toBe("withdraw away.1");
});

test("Q72 what nobody at a gateway can compute is declined at once, and with a sum that is given up all that is left", () => {
  const { away, calls, told, declined, order } = gateway(() => null);
  away.begun();
  for (const audit of [1, 2, 3]) order(audit);
  away.declined(1);
  away.declined(1);
  expect(declined).toEqual([1]);
  away.answered({ order: 2, account, own: false, device, voids: 0, bytes: new Uint8Array(8) });
  away.declined(2);
  // With a sum that is sealed it is computed in the next.
  away.ended();
  away.begun();
  expect(calls.filter((call) => call === "want 3").length).toBe(2);
  away.gaveUp();
  expect(declined).toEqual([1, 3]);
  expect(told.map(({ audit }) => audit)).toEqual([2]);
  // Whoever asks again has not heard it.
  order(1);
  away.begun();
  expect(calls.filter((call) => call === "want 1").length).toBe(2);
});

test("Q72 an audit that nobody elsewhere can decide comes home once, unless its answer is on the way", async () => {
  const { away, calls, asked, play, answer } = gateway(() => "g2");
  away.send(copy);
  await play(10);
  away.home(asked[0] + 1);
  expect(calls).toEqual([]);
  away.home(asked[0]);
  away.home(asked[0]);
  answer();
  expect(calls).toEqual(["home"]);
  away.send(copy);
  await turn();
  answer({ audit: asked.at(-1) ?? 0 });
  away.home(asked.at(-1) ?? 0);
  await turn();
  expect(calls).toEqual(["home", "fetch away.1", "answer e"]);
});

test("Q67 what is away names accounts and hashes as such, and no more accounts than 64", () => {
  const ask = asks(1, { answered: Array.from({ length: 64 }, () => account) });
  expect(decode("audit", encode("audit", ask))).toEqual(ask);
  expect(decode("audit", encode("audit", { ...ask, answered: [...ask.answered, account] }))).toBeUndefined();
  expect(decode("audit", encode("audit", { ...ask, answered: ["x"] }))).toBeUndefined();
});
