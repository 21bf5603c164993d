// Audits that another gateway's accounts decide: whole runs of a leader and its gateways, in virtual time over the
// memory bus.

import { expect, test } from "vitest";
import { decode, type Payload } from "../../../coordinator/cluster/messages.ts";
import { subjectsOf } from "../../../coordinator/cluster/subjects.ts";
import { contentHash } from "../../../coordinator/disk/content-hash.ts";
import { GATHER_MS } from "../../../coordinator/gateway/gateway-desk.ts";
import { aloneHashes, GatewayWorld, manyConfig, RUN } from "../../fixtures/gateway-world.ts";

const audited = manyConfig({ trust: { audits: "auto" } });
const alone = aloneHashes(manyConfig());
/** Two accounts at the first gateway, and no others are there. */
const accountOf = (worker: string) => contentHash(worker === "g1.w3" ? "g1.w2" : worker);
const subjects = subjectsOf(RUN);

/** Both are one liar's, who says the same everywhere. */
const liars = new Set(["g1.w1", "g1.w2", "g1.w3"]);

function strikesOf(world: GatewayWorld, workers: Iterable<string>): readonly number[] {
  return [...workers].map((worker) => world.leader?.engine.trust?.standingOf(accountOf(worker))?.strikes ?? 0);
}

function honestOf(world: GatewayWorld): readonly string[] {
  return [...world.gateways.values()].flatMap(({ workers }) => workers.filter((worker) => !liars.has(worker)));
}

test("Q60 who has a gateway to itself is found by the accounts of others, and rests; who is honest is never struck", async () => {
  const world = new GatewayWorld({ gateways: 3, config: audited, stranger: accountOf, liars });
  await world.play(() => strikesOf(world, liars).every((strikes) => strikes > 0), 60_000);
  expect(strikesOf(world, liars).every((strikes) => strikes > 0)).toBe(true);
  await world.toTheEnd();
  expect(strikesOf(world, honestOf(world))).toEqual([0, 0, 0, 0, 0, 0]);
  expect(new Set(world.resting)).toEqual(liars);
  world.close();
});

test("Q60 an account that an away audit finds lying rests at every gateway where it is", async () => {
  const stranger = (worker: string) => accountOf(worker === "g2.w3" ? "g1.w1" : worker);
  const world = new GatewayWorld({ gateways: 3, config: audited, stranger, liars: new Set([...liars, "g2.w3"]) });
  await world.play(() => world.resting.includes("g2.w3" as never) && world.resting.includes("g1.w1" as never), 60_000);
  expect(world.resting).toEqual(expect.arrayContaining(["g1.w1", "g2.w3"]));
  world.close();
});

test("Q62 messages of away audits that are lost, doubled or late cost audits, and blame nobody", async () => {
  const faults = { lose: 0.15, duplicate: 0.2, delayMs: [1, 60] as const };
  const world = new GatewayWorld({ gateways: 3, seed: 1, config: audited, stranger: accountOf, faults });
  await world.toTheEnd();
  expect(new Set(world.hashes)).toEqual(new Set(await alone));
  const verdicts = world.events.flatMap((event) => (event.type === "audited" ? [event] : []));
  const away = verdicts.filter(({ right }) => new Set(right.map((account) => gatewayOf(world, account))).size > 1);
  expect(away.length).toBeGreaterThan(0);
  expect(verdicts.flatMap(({ wrong }) => wrong)).toEqual([]);
  expect(world.resting).toEqual([]);
  world.close();
});

function gatewayOf(world: GatewayWorld, account: string): string | undefined {
  for (const [id, { workers }] of world.gateways)
    if (workers.some((worker) => accountOf(worker) === account)) return id;
  return undefined;
}

test("Q63 a leader that goes while audits are away costs no more than these: the next draws anew", async () => {
  const world = new GatewayWorld({ gateways: 3, config: audited, stranger: accountOf, liars });
  const asked: Payload<"audit">[] = [];
  const spy = world.hub.bus("spy");
  spy.subscribe(subjects.fromGateway("audit", "*"), ({ data }) => void asked.push(decode("audit", data) as never));
  await world.play(() => asked.length > 0, 60_000);
  expect(strikesOf(world, liars)).toEqual([0, 0, 0]);
  world.killLeader();
  world.startLeader();
  await world.play(() => strikesOf(world, liars).every((strikes) => strikes > 0), 60_000);
  expect(strikesOf(world, liars).every((strikes) => strikes > 0)).toBe(true);
  await world.toTheEnd();
  expect(strikesOf(world, honestOf(world)).every((strikes) => strikes === 0)).toBe(true);
  world.close();
});

test("Q63 what a new leader is asked while it hears what gateways hold it answers as soon as it has", async () => {
  const world = new GatewayWorld({ gateways: 3, config: audited, stranger: accountOf, faults: { overtake: 0 } });
  const [asked, ordered]: number[][] = [[], []];
  const spy = world.hub.bus("spy");
  spy.subscribe(subjects.fromGateway("audit", "*"), () => void asked.push(world.timeline.now));
  spy.subscribe(subjects.toGateway("away", "*"), () => void ordered.push(world.timeline.now));
  await world.play(() => asked.length > 0, 60_000);
  world.killLeader();
  // A request without an answer ends after a second, and is said again a second later.
  const begun = asked[0] + 1800;
  await world.play(() => world.timeline.now >= begun, 60_000);
  expect(ordered).toEqual([]);
  world.startLeader();
  await world.play(() => ordered.length > 0, 60_000);
  expect(asked.some((at) => at > begun && at < begun + GATHER_MS)).toBe(true);
  expect(ordered[0] - begun).toBeLessThan(1000);
  world.close();
});

test("Q64 one gateway alone decides its audits itself; volunteers at the leader's door may", async () => {
  const world = new GatewayWorld({ gateways: 1, config: audited, stranger: accountOf });
  await world.toTheEnd();
  const at = (worlds: GatewayWorld) => worlds.events.flatMap((event) => (event.type === "audited" ? event.right : []));
  expect(at(world).length).toBeGreaterThan(0);
  expect(new Set(at(world))).toEqual(new Set(["g1.w1", "g1.w2"].map(accountOf)));
  world.close();

  const options = { gateways: 1, volunteers: 1, atLeader: 3, config: audited, stranger: accountOf };
  const beside = new GatewayWorld({ ...options, liars: new Set(["g1.w1"]) });
  await beside.play(() => strikesOf(beside, ["g1.w1"])[0] > 0, 60_000);
  expect(strikesOf(beside, ["g1.w1"])[0]).toBeGreaterThan(0);
  beside.close();
});

/** Nothing is lost or late, in a run of strangers. */
const calm = { gateways: 3, config: audited, faults: { overtake: 0 } };

/** The longest time without a commit, of all but the first: who has just come has shown nothing. */
function longestGap({ committedAt }: GatewayWorld): number {
  return Math.max(...committedAt.slice(1).map((at, i) => at - committedAt[i]));
}

test("Q72 no step waits for audits that nobody elsewhere can decide: one account may be all that there is", async () => {
  const world = new GatewayWorld({ ...calm, volunteers: 2, stranger: () => contentHash("one") });
  const home: string[] = [];
  world.hub.bus("spy").subscribe(subjects.toGateway("home", "*"), ({ subject }) => void home.push(subject));
  await world.toTheEnd();
  expect(world.hashes).toEqual(await alone);
  expect(home.length).toBeGreaterThan(0);
  expect(longestGap(world)).toBeLessThan(1000);
  world.close();
});

test("Q72 nor for those that others decide, of whom some have shown more than others", async () => {
  for (const seed of [0, 10]) {
    const world = new GatewayWorld({ ...calm, seed, stranger: contentHash });
    await world.toTheEnd();
    expect(world.events.filter(({ type }) => type === "audited").length).toBeGreaterThan(0);
    expect(longestGap(world)).toBeLessThan(1000);
    expect(world.committedAt[0]).toBeLessThan(3000);
    world.close();
  }
});

test("Q73 audits are decided by accounts of gateways that hold nothing of the round, or have handed it over", async () => {
  // A step is one lease, at one gateway.
  const config = manyConfig({ microbatch: 64, trust: { audits: "auto" } });
  const world = new GatewayWorld({ gateways: 3, volunteers: 2, config, stranger: accountOf });
  await world.toTheEnd();
  expect(world.hashes).toEqual(await aloneHashes(config));
  const verdicts = world.events.flatMap((event) => (event.type === "audited" ? [event] : []));
  expect(verdicts.length).toBeGreaterThan(0);
  for (const { right, wrong } of verdicts) {
    expect(new Set(right.map((account) => gatewayOf(world, account))).size).toBe(2);
    expect(wrong).toEqual([]);
  }
  world.close();
});
