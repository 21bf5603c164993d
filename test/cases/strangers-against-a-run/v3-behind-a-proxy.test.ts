// Behind a proxy everybody has its address: with --behind-proxy the coordinator counts whom the proxy had at its other
// end, and without it says what is missing. The proxy here is this process.

import { expect, test } from "vitest";
import { TrustedProxies } from "../../../coordinator/server/client-address.ts";
import { readReach } from "../../../coordinator/server/reach.ts";
import { WRONG_TOKENS_PER_MINUTE } from "../../../coordinator/trust/address-limits.ts";
import { startTestRun } from "../../fixtures/test-run.ts";
import { requestUpgrade } from "../../fixtures/upgrade-request.ts";

const notices = async (run: Awaited<ReturnType<typeof startTestRun>>) =>
  (await run.events()).filter(({ type }) => type === "notice").map(({ message }) => String(message));

test.each([
  ["127.0.0.1", undefined, "127.0.0.1"],
  ["127.0.0.1", "198.51.100.7", "198.51.100.7"],
  ["::ffff:127.0.0.1", "198.51.100.7", "198.51.100.7"],
  // What a client wrote itself stands on the left.
  ["127.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"],
  ["127.0.0.1", "203.0.113.9, 198.51.100.7, 10.1.2.3", "198.51.100.7"],
  ["127.0.0.1", "10.1.2.3", "10.1.2.3"],
  ["127.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"],
  ["127.0.0.1", "198.51.100.7:4711", "198.51.100.7"],
  ["127.0.0.1", "::ffff:198.51.100.7", "198.51.100.7"],
  // What is no address is counted as the proxy that wrote it.
  ["127.0.0.1", "unknown", "127.0.0.1"],
  ["127.0.0.1", "198.51.100.7, unknown, 10.1.2.3", "10.1.2.3"],
  ["127.0.0.1", ", ,", "127.0.0.1"],
  // Who is no proxy may write what it likes.
  ["198.51.100.8", "203.0.113.9", "198.51.100.8"],
])("H17 of a connection from %s with X-Forwarded-For %s the client is %s", (peer, header, client) => {
  expect(new TrustedProxies(["127.0.0.1", "10.0.0.0/8"]).clientOf(peer, header)).toBe(client);
});

test("H17 without trusted proxies the header counts for nothing", () => {
  expect(new TrustedProxies([]).clientOf("127.0.0.1", "203.0.113.9")).toBe("127.0.0.1");
});

test.each(["run.yaml", "10.0.0.0/33", "", "10.0.0.1,,10.0.0.2", "::1/129"])(
  "--behind-proxy %j is refused with what it takes",
  (behindProxy) => {
    expect(() => readReach({ behindProxy })).toThrow(/--behind-proxy takes addresses and networks/);
  },
);

test("H17 each client behind a trusted proxy has limits of its own", async () => {
  const config = { trust: { socketsPerAddress: 1 } };
  const { connectStranger, url } = await startTestRun({ config, reach: readReach({ behindProxy: true }) });
  const from = (address: string) => ({ headers: { "x-forwarded-for": `192.0.2.1, ${address}` } });
  const first = await connectStranger(from("198.51.100.1")).join();
  await connectStranger(from("198.51.100.2")).join();
  const again = await requestUpgrade(url, from("198.51.100.1").headers);
  expect([again.status, again.body]).toEqual([
    429,
    expect.stringContaining("its limit is 1 (trust.socketsPerAddress)"),
  ]);
  first.close();
  await first.closed;
  await expect.poll(async () => (await requestUpgrade(url, from("198.51.100.1").headers)).status).toBe(101);
});

test("H17 a header without a trusted proxy is told of once, with the option that is missing", async () => {
  const started = await startTestRun({ config: { trust: { socketsPerAddress: 1 } } });
  const from = (address: string) => ({ headers: { "x-forwarded-for": address } });
  await started.connectStranger(from("198.51.100.1")).join();
  // Who could say of itself who it is would have no limits.
  expect((await requestUpgrade(started.url, from("198.51.100.2").headers)).status).toBe(429);
  started.coordination.stop();
  await started.coordination.done;
  const told = (await notices(started)).filter((message) => message.includes("X-Forwarded-For"));
  expect(told).toEqual([expect.stringMatching(/127\.0\.0\.1 carry X-Forwarded-For.*--behind-proxy is not given/)]);
});

test("H18 wrong tokens cost the joins of their address nothing, and too many are RATE_LIMITED", async () => {
  const { connectStranger, straightUrl } = await startTestRun({ config: { trust: { joinsPerMinute: 2 } } });
  const guess = async () => {
    const guesser = await connectStranger().opened();
    guesser.send(guesser.hello({ token: "guess" }));
    return (await guesser.next("error")).code;
  };
  const codes: string[] = [];
  for (let i = 0; i < WRONG_TOKENS_PER_MINUTE; i++) codes.push(await guess());
  expect(new Set(codes)).toEqual(new Set(["TOKEN_INVALID"]));
  expect(await guess()).toBe("RATE_LIMITED");
  // The same over HTTP, of one count; whoever has the token is let in all the while.
  const status = (token: string) => fetch(straightUrl.replace(/\?.*/, `status?token=${token}`));
  const refused = await status("guess");
  expect([refused.status, (await refused.json()).code]).toEqual([429, "RATE_LIMITED"]);
  expect((await fetch(straightUrl.replace("/?", "/status?"))).status).toBe(200);
  for (let i = 0; i < 2; i++) await connectStranger().join();
});

test("H19 sockets that have not joined make room for who comes", async () => {
  const config = { trust: { socketsPerAddress: 3 } };
  const { connectStranger } = await startTestRun({ config });
  const member = await connectStranger().join();
  const idle = [await connectStranger().opened(), await connectStranger().opened()];
  const newcomer = await connectStranger().join();
  expect((await idle[0].closed).code).toBe(1006);
  expect(idle[1].socket.readyState).toBe(1);
  for (const worker of [member, newcomer]) {
    worker.send({ type: "ping", nonce: 1 });
    expect(await worker.next("pong")).toMatchObject({ nonce: 1 });
  }
});
