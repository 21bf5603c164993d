// Rules Z of SPEC.md, on real sockets: who is let in, and how much of a coordinator one of them may take up.

import { expect, test } from "vitest";
import { accountOf } from "../../../shared/base/identity.ts";
import { samplesOf } from "../../../shared/wire/lease-ranges.ts";
import { newIdentity } from "../../fixtures/scripted-identity.ts";
import type { ScriptedWorker } from "../../fixtures/scripted-worker.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

async function refusal(worker: ScriptedWorker) {
  const { code, message, retry } = await worker.next("error");
  return { code, message, retry, close: (await worker.closed).code };
}

test("Z1 a key that is proved is welcomed, and its fingerprint is the account", async () => {
  const { connect, coordination, events } = await startTestRun();
  const identity = newIdentity();
  await connect({ identity }).join();
  await connect().join();
  coordination.stop();
  await coordination.done;
  const joined = (await events()).filter(({ type }) => type === "joined").map(({ account }) => account);
  expect(joined[0]).toBe(accountOf(identity.publicKey));
  expect(joined[1]).not.toBe(joined[0]);
});

test("Z1 a proof by another key, over another nonce, run, protocol or token is IDENTITY_INVALID", async () => {
  const { connect } = await startTestRun();
  const attempts: ((worker: ScriptedWorker, challenge: Awaited<ReturnType<typeof challengeOf>>) => void)[] = [
    (worker, challenge) => worker.prove({ ...challenge, nonce: "0".repeat(64) }),
    (worker, challenge) => worker.prove({ ...challenge, run: "another" }),
    (worker, challenge) => worker.prove({ ...challenge, protocol: challenge.protocol + 1 }),
    (worker, challenge) => worker.prove(challenge, "the token of another run"),
    (worker) => worker.send({ type: "proof", signature: "0".repeat(128) }),
  ];
  const challengeOf = async (worker: ScriptedWorker, publicKey = worker.identity.publicKey) => {
    await worker.opened();
    worker.send(worker.hello({ publicKey }));
    return worker.next("challenge");
  };
  for (const attempt of attempts) {
    const worker = connect();
    attempt(worker, await challengeOf(worker));
    expect(await refusal(worker)).toMatchObject({ code: "IDENTITY_INVALID", close: 4015, retry: false });
  }
  const thief = connect();
  thief.prove(await challengeOf(thief, newIdentity().publicKey));
  expect(await refusal(thief)).toMatchObject({ code: "IDENTITY_INVALID" });
  const pointless = connect();
  pointless.prove(await challengeOf(pointless, `04${"00".repeat(64)}`));
  expect((await refusal(pointless)).message).toContain("no point of P-256");
});

test("Z1 two challenges never ask for the same signature", async () => {
  const { connect } = await startTestRun();
  const nonces = new Set<string>();
  for (let i = 0; i < 3; i++) {
    const worker = await connect().opened();
    worker.send(worker.hello());
    nonces.add((await worker.next("challenge")).nonce);
  }
  expect(nonces.size).toBe(3);
});

test("Z2 a hello without a proof is closed with HELLO_EXPECTED", async () => {
  const { connect } = await startTestRun({ limits: { helloMs: 100 } });
  const silent = await connect().opened();
  silent.send(silent.hello());
  await silent.next("challenge");
  expect(await refusal(silent)).toMatchObject({ code: "HELLO_EXPECTED", message: expect.stringContaining("proof") });
  const hasty = await connect().opened();
  hasty.send(hasty.hello());
  hasty.send({ type: "ready" });
  await hasty.next("challenge");
  expect(await refusal(hasty)).toMatchObject({ code: "HELLO_EXPECTED", close: 4014 });
});

test("Z3 control messages above the rate close the session with RATE_LIMITED; its lease goes to another", async () => {
  const { connect } = await startTestRun({ limits: { messageRate: { perSecond: 1, burst: 20 } } });
  const [flood, other] = [await connect().join(), await connect().join()];
  const { ranges } = await flood.lease();
  // Hello, proof and ready are counted too.
  for (let nonce = 0; nonce < 17; nonce++) flood.send({ type: "pong", nonce });
  flood.send({ type: "ping", nonce: 1 });
  expect(await refusal(flood)).toMatchObject({ code: "RATE_LIMITED", close: 4016, retry: true });
  expect(await other.lease()).toMatchObject({ ranges });
});

test("Z4 an address has so many connections and no more, until one closes", async () => {
  const { connectStranger: connect, url } = await startTestRun({ config: { trust: { socketsPerAddress: 2 } } });
  const [first] = [await connect().join(), await connect().join()];
  await expect(connect().opened()).rejects.toThrow();
  const upgrade = { connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13" };
  const key = { "sec-websocket-key": Buffer.alloc(16).toString("base64") };
  const { get } = await import("node:http");
  const response = await new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
    const request = get(new URL("/ws", url), { headers: { ...upgrade, ...key } }, async (incoming) => {
      let body = "";
      for await (const chunk of incoming) body += chunk;
      resolve({ status: incoming.statusCode, body });
    });
    request.on("error", reject);
  });
  expect(response.status).toBe(429);
  expect(response.body).toContain("its limit is 2 (trust.socketsPerAddress)");
  first.close();
  await first.closed;
  await expect
    .poll(async () =>
      connect()
        .opened()
        .then(
          () => "opened",
          () => "refused",
        ),
    )
    .toBe("opened");
});

test("Z5 an address that joins too often is told RATE_LIMITED and when to come back", async () => {
  const { connectStranger: connect } = await startTestRun({ config: { trust: { joinsPerMinute: 2 } } });
  for (let i = 0; i < 2; i++) await connect().join();
  const third = await connect().opened();
  third.send(third.hello());
  expect(await refusal(third)).toMatchObject({
    code: "RATE_LIMITED",
    retry: true,
    message: expect.stringMatching(/more than 2 times in a minute .* try again in (29|30) s/),
  });
});

test("Z8 a newcomer is leased nothing until its canary is right", async () => {
  const { connect } = await startTestRun({ config: { trust: { calibration: "always" } } });
  const worker = await connect().opened();
  const answer = worker.onCanary;
  worker.onCanary = undefined;
  await worker.join();
  const { seed } = await worker.next("canary");
  worker.send({ type: "ready" });
  worker.send({ type: "ping", nonce: 1 });
  await worker.next("pong");
  answer?.(seed);
  await worker.answer(await worker.next("lease"));
});

test("Z8 another hash, another seed and no answer are CALIBRATION_FAILED or MESSAGE_INVALID", async () => {
  const { connect } = await startTestRun({
    config: { trust: { calibration: "always" } },
    limits: { calibrationMs: 300 },
  });
  const outcome = async (onCanary: (worker: ScriptedWorker, seed: number) => void) => {
    const worker = connect();
    worker.onCanary = (seed) => onCanary(worker, seed);
    await worker.join();
    return refusal(worker);
  };
  const wrong = await outcome((worker, seed) => worker.send({ type: "canary-answer", seed, hash: 1 }));
  expect(wrong).toMatchObject({ code: "CALIBRATION_FAILED", close: 4017, retry: false });
  const strange = await outcome((worker, seed) =>
    worker.send({ type: "canary-answer", seed: (seed + 1) % 2 ** 32, hash: 1 }),
  );
  expect(strange).toMatchObject({ code: "MESSAGE_INVALID" });
  expect(await outcome(() => undefined)).toMatchObject({
    code: "CALIBRATION_FAILED",
    message: expect.stringContaining("within 0.3 s"),
  });
});

test("Z8 the operator's own workers are not asked unless the run says so, and each newcomer is asked another sum", async () => {
  const auto = await startTestRun();
  const local = auto.connect();
  local.onCanary = undefined;
  await (await local.join()).answer(await local.lease());
  const always = await startTestRun({ config: { trust: { calibration: "always" } } });
  const seeds = new Set<number>();
  for (let i = 0; i < 3; i++) {
    const worker = always.connect();
    worker.onCanary = undefined;
    await worker.join();
    seeds.add((await worker.next("canary")).seed);
  }
  expect(seeds.size).toBe(3);
});

test("Z18 a worker whose work is audited is asked for another sum, and is gone where it is wrong", async () => {
  const config = { trust: { calibration: "always" } };
  const run = await startTestRun({ config, limits: { canaryMs: 0 }, drawAudit: () => 0 });
  const crew = await Promise.all(Array.from({ length: 3 }, () => run.connect({ identity: newIdentity() }).join()));
  const [broken] = crew;
  // Its first answer was right.
  const [lease] = await Promise.all(crew.map((worker) => worker.lease()));
  broken.onCanary = (seed) => broken.send({ type: "canary-answer", seed, hash: 1 });
  await broken.answer(lease);
  expect(await refusal(broken)).toMatchObject({ code: "CALIBRATION_FAILED", retry: false });
  const rare = await startTestRun({ config, drawAudit: () => 0 });
  const others = await Promise.all(Array.from({ length: 3 }, () => rare.connect({ identity: newIdentity() }).join()));
  const [first] = await Promise.all(others.map((worker) => worker.lease()));
  // Not so soon after the one before.
  others[0].onCanary = () => others[0].close();
  await others[0].answer(first);
  others[0].send({ type: "ping", nonce: 1 });
  expect(await others[0].next("pong")).toBeDefined();
});

/**
 * Accounts of which the first was leased a whole step of 160, which it gave back once all had asked; and what the
 * others got.
 */
async function askedBy(accounts: number) {
  const lease = { minDeadlineMs: 60_000 };
  const { connect } = await startTestRun({ config: { batch: 160, lease, trust: { audits: "off" } } });
  const crew = await Promise.all(Array.from({ length: accounts }, () => connect({ identity: newIdentity() }).join()));
  const [first, ...others] = crew;
  const whole = await first.lease();
  expect(whole.ranges[0].to - whole.ranges[0].from).toBe(160);
  for (const worker of others) await nothingFor(worker);
  first.send({ type: "return", lease: whole.lease, reason: "pause", detail: "" });
  const parts = await Promise.all(others.map((worker) => worker.next("lease")));
  return { connect, first, others, parts, sizes: parts.map(({ ranges }) => samplesOf(ranges)) };
}

/** Asks for a lease and sees that it has to wait. */
async function nothingFor(worker: ScriptedWorker): Promise<void> {
  worker.send({ type: "ready" });
  worker.send({ type: "ping", nonce: 1 });
  expect(await worker.next("pong")).toBeDefined();
}

test("Z14 with ten accounts, none is leased more than a tenth of a step; with nine it may be", async () => {
  const nine = await askedBy(9);
  await nine.first.answer(await nine.first.lease());
  // Of the tenth that nobody has been leased.
  expect((await nine.first.lease()).ranges[0].to).toBe(160);
  const { connect, first, others, parts, sizes } = await askedBy(10);
  expect(sizes).toEqual(others.map(() => 16));
  const last = await first.lease();
  expect(last.ranges[0].to - last.ranges[0].from).toBe(16);
  await first.answer(last);
  // A range that comes back is not for who has had its tenth, over whichever socket.
  others[3].send({ type: "return", lease: parts[3].lease, reason: "pause", detail: "" });
  await nothingFor(first);
  await nothingFor(await connect({ identity: first.identity }).join());
  expect((await others[3].lease()).ranges[0].from).toBe(parts[3].ranges[0].from);
});

test("a machine's own addresses are not limited unless the run says so", async () => {
  const { connect } = await startTestRun({ config: { trust: { socketsPerAddress: 1, joinsPerMinute: 1 } } });
  for (let i = 0; i < 3; i++) await connect().join();
});
