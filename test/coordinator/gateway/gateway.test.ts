// Whole runs of a leader and its gateways in virtual time: real rounds, sums and optimizer over the memory bus.

import { expect, test } from "vitest";
import { decode, encode } from "../../../coordinator/cluster/messages.ts";
import { subjectsOf } from "../../../coordinator/cluster/subjects.ts";
import { PARTING_MS } from "../../../coordinator/gateway/gateway.ts";
import { aloneHashes, GatewayWorld, manyConfig, RUN, type WorldOptions } from "../../fixtures/gateway-world.ts";

const alone = aloneHashes(manyConfig());

test("Q12 one, three and eight gateways come to the bits of one process, step by step", async () => {
  expect((await alone).length).toBe(6);
  for (const gateways of [1, 3, 8]) {
    const world = new GatewayWorld({ gateways });
    await world.toTheEnd();
    expect(world.hashes).toEqual(await alone);
    world.close();
  }
});

/** Steps that were committed, each with the hash that it must have, and none missing; a new leader may redo some. */
async function expectRight(world: GatewayWorld): Promise<void> {
  const right = await alone;
  expect(world.hashes.filter((line) => !right.includes(line))).toEqual([]);
  expect(new Set(world.hashes).size).toBe(right.length);
}

/** Does something to the world again and again, at moments that follow from the seed. */
function disturb(world: GatewayWorld, gateways: number): void {
  const { draws, timeline } = world;
  const someone = () => `g${1 + draws.below(gateways)}`;
  const again = () => {
    timeline.at(timeline.now + 300 + draws.below(2500), "world", () => {
      const id = someone();
      switch (draws.below(6)) {
        case 0:
          world.killLeader();
          world.startLeader(draws.below(3));
          break;
        case 1:
          world.killGateway(id);
          timeline.at(timeline.now + draws.below(3000), "world", () => {
            if (!world.gateways.has(id)) world.startGateway(id);
          });
          break;
        case 2: {
          // Stopped, or cut off: for longer and for shorter than it takes to be given up.
          world.hub.faults.cut.add(id);
          const life = world.gateways.get(id);
          timeline.at(timeline.now + draws.below(4000), "world", () => {
            if (world.gateways.get(id) === life) world.hub.faults.cut.delete(id);
          });
          break;
        }
        case 3:
          world.leave(id, draws.below(3));
          break;
        case 4:
          world.killLeader();
          world.killGateway(id);
          timeline.at(timeline.now + 1000, "world", () => {
            world.startLeader(draws.below(2));
            if (!world.gateways.has(id)) world.startGateway(id);
          });
          break;
        default:
          world.hub.faults.lose = draws.below(3) * 0.1;
          world.hub.faults.duplicate = draws.below(3) * 0.1;
          break;
      }
      if (!world.summary) again();
    });
  };
  again();
}

test("Q13 whatever is killed, stopped, cut off or lost on the way, every step has the bits of one process", async () => {
  for (let seed = 0; seed < 24; seed++) {
    const gateways = [1, 3, 8][seed % 3];
    const world = new GatewayWorld({ gateways, seed });
    disturb(world, gateways);
    try {
      await world.toTheEnd(120_000);
      await expectRight(world);
    } catch (error) {
      throw new Error(`seed ${seed}, ${gateways} gateways`, { cause: error });
    } finally {
      world.close();
    }
  }
});

/** Steps of some eight seconds at two gateways. */
const longConfig = () =>
  manyConfig({ data: { kind: "idx", trainSamples: 640, testSamples: 32 }, batch: 640, epochs: 1 });
const longAlone = () => aloneHashes(longConfig());

/** Names of the sums that gateways keep, by round. */
function keptIn(world: GatewayWorld): Map<string, Set<string>> {
  const sums = new Map<string, Set<string>>();
  const looker = world.hub.bus("looker");
  looker.subscribe(subjectsOf(RUN).fromGateway("beat", "*"), ({ data }) => {
    for (const { key, name } of decode("beat", data)?.kept ?? []) sums.set(key, (sums.get(key) ?? new Set()).add(name));
  });
  return sums;
}

test("Q52 a long step comes up in instalments, each of other samples, to the bits of one process", async () => {
  const world = new GatewayWorld({ gateways: 2, config: longConfig(), instalmentMs: 600 });
  const sums = keptIn(world);
  await world.toTheEnd();
  // Of each round both gateways keep the last sum, and instalments before it.
  expect([...sums.values()].filter(({ size }) => size >= 4).length).toBeGreaterThan(0);
  expect(world.hashes).toEqual(await longAlone());
  world.close();
});

/** One of two gateways dies after an instalment, and the other ends the step. */
async function playDeath(options: Pick<WorldOptions, "told" | "seed">): Promise<void> {
  const world = new GatewayWorld({ gateways: 2, config: longConfig(), instalmentMs: 600, ...options });
  const progress = () => world.leader?.engine.gateways.progress ?? { collected: 0, wanted: 0 };
  await world.play(() => progress().collected > 0 && progress().collected < progress().wanted / 2, 60_000);
  const before = progress();
  expect(before.collected).toBeGreaterThan(0);
  world.killGateway("g1");
  const lost = () => world.events.some((event) => event.type === "notice" && /g1 is given up/.test(event.message));
  await world.play(lost, 60_000);
  expect(progress().collected).toBeGreaterThanOrEqual(before.collected);
  await world.toTheEnd();
  expect(world.hashes).toEqual(await longAlone());
  world.close();
}

test.for([{}, { told: true }])("Q53 what an instalment brought stays where its gateway dies: %o", (options) =>
  playDeath(options),
);

test("Q59 what a gateway gives back may be leased to it anew, beside what it holds on under another number", async () => {
  // Of one lease it gives back the end, of the next all, and is the only one who could be leased that.
  await playDeath({ told: true, seed: 10 });
});

test("Q54 with instalments, too, every step has the bits of one process whatever happens", async () => {
  const right = await longAlone();
  for (let seed = 100; seed < 103; seed++) {
    const gateways = [2, 3, 8][seed % 3];
    const world = new GatewayWorld({ gateways, seed, config: longConfig(), instalmentMs: 300 });
    disturb(world, gateways);
    try {
      await world.toTheEnd(240_000);
      expect(world.hashes.filter((line) => !right.includes(line))).toEqual([]);
      expect(new Set(world.hashes).size).toBe(right.length);
    } catch (error) {
      throw new Error(`seed ${seed}, ${gateways} gateways`, { cause: error });
    } finally {
      world.close();
    }
  }
});

test("Q18 a gateway that is stopped gives back what is not begun, hands over the rest, and is gone; the run goes on", async () => {
  const world = new GatewayWorld({ gateways: 3 });
  await world.play(() => world.hashes.length === 2, 60_000);
  const stopped = world.gateways.get("g1");
  expect(stopped).toBeDefined();
  stopped?.gateway.stop();
  const at = world.timeline.now;
  await world.play(() => stopped?.gateway.ended === true, 60_000);
  // It need not wait until the leader gives it up.
  expect(world.timeline.now - at).toBeLessThan(PARTING_MS);
  await world.toTheEnd();
  expect(world.hashes).toEqual(await alone);
  expect(world.events.filter((event) => event.type === "notice" && event.message.includes("sum"))).toEqual([]);
  world.close();
});

test("Q40 a gateway has the tokens of whoever leads, whatever it hears first of one that is new", async () => {
  const world = new GatewayWorld({ gateways: 2, told: true });
  await world.play(() => world.hashes.length === 2, 60_000);
  const all = () => new Set(world.tokens.values());
  expect(all()).toEqual(new Set([`operator of ${world.leader?.id}`]));
  const status = world.leader?.engine.status();
  if (!status) throw new RangeError("nobody leads");
  world.killLeader();
  // Its status comes before the round that it opens.
  const told = encode("status", { epoch: 2, life: 0, leader: "c9", status });
  world.hub.bus("c9").publish(subjectsOf(RUN).toAll("status"), told);
  await world.play(
    () => world.events.filter((event) => event.type === "leads" && event.epoch === 2).length === 2,
    60_000,
  );
  world.startLeader();
  await world.play(() => world.hashes.length === 4, 60_000);
  expect(all()).toEqual(new Set([`operator of ${world.leader?.id}`]));
  world.close();
});
