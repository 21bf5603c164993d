// Trust of a run with gateways: who writes standings, and who hears of them. Over the memory bus, in virtual time.

import { expect, test } from "vitest";
import { decode, encode, type Payload } from "../../../coordinator/cluster/messages.ts";
import { subjectsOf } from "../../../coordinator/cluster/subjects.ts";
import { contentHash } from "../../../coordinator/disk/content-hash.ts";
import { workerId } from "../../../shared/base/ids.ts";
import { GatewayWorld, RUN } from "../../fixtures/gateway-world.ts";

test("Q16 verdicts of gateways' audits are counted once by the leader, who alone writes standings; a rest holds at every gateway", async () => {
  const world = new GatewayWorld({ gateways: 2 });
  const [liar, honest] = ["a".repeat(64), "b".repeat(64)];
  const subjects = subjectsOf(RUN);
  const told: Payload<"trust">[] = [];
  const bus = world.hub.bus("test");
  bus.subscribe(subjects.toAll("trust"), ({ data }) => void told.push(decode("trust", data) as Payload<"trust">));
  const adapter = { vendor: "test", architecture: "", description: "staged", software: true };
  for (const id of ["g1", "g2"]) {
    const facts = { account: liar, name: id, runtime: "node", adapter, address: id, own: false } as const;
    world.gateways.get(id)?.gateway.inbox.join(workerId(`${id}.liar`), facts);
  }
  await world.play(() => told.some(({ standings }) => standings[0].gateways === 2), 5000);
  expect(told.at(-1)?.standings).toMatchObject([{ account: liar, gateways: 2, strikes: 0 }]);
  const verdict = { epoch: 1, life: 0, audit: 7, right: [honest], wrong: [liar], ranges: [], voids: [] };
  let answers = 0;
  const tell = () => {
    const asked = bus.request(subjects.fromGateway("verdict", "g1"), encode("verdict", verdict), 1000);
    asked.then(
      () => answers++,
      () => undefined,
    );
  };
  tell();
  tell();
  const hasHeard = () => told.some((one) => one.standings.some(({ account }) => account === honest));
  await world.play(() => answers === 2 && world.resting.length === 2 && hasHeard(), 5000);
  expect(answers).toBe(2);
  expect([...world.resting].sort()).toEqual(["g1.liar", "g2.liar"]);
  const standings = told.flatMap((one) => one.standings);
  expect(standings.find(({ account }) => account === honest)).toMatchObject({ consecutiveValid: 1, strikes: 0 });
  const last = standings.filter(({ account }) => account === liar).at(-1);
  expect(last).toMatchObject({ strikes: 1, consecutiveValid: 0 });
  expect(last?.restMs).toBeGreaterThan(0);
  expect(world.leader?.engine.trust?.standingOf(liar)?.strikes).toBe(1);
  world.close();
});

test("Q69 the leader counts what is unusual at all gateways together, and says to each whether the training made a jump", async () => {
  const world = new GatewayWorld({ gateways: 3, stranger: (worker) => contentHash(worker) });
  const subjects = subjectsOf(RUN);
  const bus = world.hub.bus("test");
  const heard: Payload<"open">[] = [];
  bus.subscribe(subjects.toAll("open"), ({ data }) => void heard.push(decode("open", data) as Payload<"open">));
  await world.play(() => (heard.at(-1)?.accounts ?? 0) === 9, 20_000);
  const key = heard.at(-1)?.key ?? "";
  const tell = async (id: string, names: readonly string[], of = key) => {
    const body = { epoch: 1, life: 0, key: of, accounts: names.map((name) => contentHash(name)) };
    let judged: Payload<"judged"> | "silence" | undefined;
    bus.request(subjects.fromGateway("unusual", id), encode("unusual", body), 100).then(
      (data) => {
        judged = decode("judged", data);
      },
      () => {
        judged = "silence";
      },
    );
    await world.play(() => judged !== undefined, 1000);
    return judged;
  };
  const said = { key, accounts: 9 };
  // One gateway's accounts are no half of nine, whatever they say.
  expect(await tell("g1", ["g1.w1", "g1.w2", "g1.w3"])).toMatchObject({ ...said, jump: false });
  expect(await tell("g1", ["g1.w1", "g1.w2", "g1.w3"])).toMatchObject({ ...said, jump: false });
  expect(await tell("g2", ["g2.w1"], "0".repeat(64))).toBe("silence");
  expect(await tell("g2", ["g2.w1"])).toMatchObject({ ...said, jump: false });
  expect(await tell("g3", ["g3.w1"])).toMatchObject({ ...said, jump: true });
  expect(await tell("g1", [])).toMatchObject({ ...said, jump: true });
  world.close();
});
