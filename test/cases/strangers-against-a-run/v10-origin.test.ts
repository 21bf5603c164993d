// Whose pages may open the WebSocket is said by the coordinator's own addresses and its operator, not by what a request
// calls its host; and whoever is refused is told what is missing.

import { hostname, networkInterfaces } from "node:os";
import { expect, test } from "vitest";
import { Origins } from "../../../coordinator/server/origins.ts";
import { readReach } from "../../../coordinator/server/reach.ts";
import { startTestRun } from "../../fixtures/test-run.ts";
import { requestUpgrade } from "../../fixtures/upgrade-request.ts";

test("H14 a name that somebody points at the coordinator is not its own, whatever Host says", async () => {
  const { url } = await startTestRun();
  for (const rebind of [
    "rebind.example",
    "rebind.example:80",
    new URL(url).host.replace("127.0.0.1", "rebind.example"),
  ]) {
    const answer = await requestUpgrade(url, { host: rebind, origin: `http://${rebind}` });
    expect(answer).toMatchObject({ status: 403, body: expect.stringContaining("ORIGIN_REFUSED") });
  }
});

test("H14 pages of its own address and of localhost may, at its port; programs send no origin and may", async () => {
  const { url } = await startTestRun();
  const { origin, port } = new URL(url);
  for (const own of [origin, `http://localhost:${port}`, `http://[::1]:${port}`]) {
    expect(await requestUpgrade(url, { origin: own })).toMatchObject({ status: 101 });
  }
  expect(await requestUpgrade(url)).toMatchObject({ status: 101 });
  for (const other of [`http://localhost:${Number(port) ^ 1}`, `https://localhost:${port}`, "null", ""]) {
    expect(await requestUpgrade(url, { origin: other }), other).toMatchObject({ status: 403 });
  }
});

test("H14 a page that came from a bare address came from here, whatever carried it: no name can be pointed there", async () => {
  const { url } = await startTestRun();
  for (const host of ["192.0.2.7:9000", "[2001:db8::7]:9000", "localhost:9000", "192.0.2.7"]) {
    expect(await requestUpgrade(url, { host, origin: `http://${host}` }), host).toMatchObject({ status: 101 });
    expect(await requestUpgrade(url, { host, origin: `https://${host}` }), host).toMatchObject({ status: 101 });
    expect(await requestUpgrade(url, { host, origin: `http://${host}0` }), host).toMatchObject({ status: 403 });
  }
});

test("H14 a coordinator on all addresses knows those that its machine has", () => {
  const origins = new Origins({ host: "0.0.0.0", port: 8080, allowed: [] });
  const [address] = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  const own = address.family === "IPv6" ? `[${address.address}]` : address.address;
  expect(origins.allows(`http://${own}:8080`)).toBe(true);
  expect(origins.allows(`http://${hostname().toLowerCase()}:8080`)).toBe(true);
  expect(origins.allows("http://rebind.example:8080")).toBe(false);
});

test("H15 behind a proxy that sends its own Host, pages of the public address and of allowed origins may", async () => {
  const reach = readReach({ publicUrl: "https://example.org/bitswarm", allowOrigin: ["https://lab.example:8443/"] });
  const { url, straightUrl } = await startTestRun({ reach });
  expect(url).toMatch(/^https:\/\/example\.org\/bitswarm\/\?token=./);
  const host = new URL(straightUrl).host;
  const statusOf = async (origin: string) => (await requestUpgrade(straightUrl, { host, origin })).status;
  expect(await statusOf("https://example.org")).toBe(101);
  expect(await statusOf("https://lab.example:8443")).toBe(101);
  expect(await statusOf("http://example.org")).toBe(403);
  expect(await statusOf("https://example.org.evil.example")).toBe(403);
});

test("H16 a refusal says which origin came, which are allowed and what to do, to the page, the terminal and the log", async () => {
  const started = await startTestRun();
  const { straightUrl, events, coordination } = started;
  const words =
    /https:\/\/example\.org.*may not join.*allowed are http:\/\/127\.0\.0\.1:\d+.*--public-url.*--allow-origin/;
  expect((await requestUpgrade(straightUrl, { origin: "https://example.org" })).body).toMatch(words);
  await requestUpgrade(straightUrl, { origin: "https://example.org" });
  // A browser shows its page nothing of that: the page asks.
  const ask = (origin: string) => fetch(straightUrl.replace("/?", `/joinable?origin=${encodeURIComponent(origin)}&`));
  expect((await ask("https://example.org")).status).toBe(403);
  const answer = await ask("https://example.net");
  expect(answer.status).toBe(403);
  expect(await answer.json()).toMatchObject({
    code: "ORIGIN_REFUSED",
    message: expect.stringContaining("--public-url"),
  });
  expect((await ask(new URL(straightUrl).origin)).status).toBe(200);
  // Which addresses the coordinator has is for those with a token.
  expect((await fetch(new URL("/joinable?origin=https://example.net", straightUrl))).status).toBe(403);
  coordination.stop();
  await coordination.done;
  const notices = (await events()).filter(({ type }) => type === "notice").map(({ message }) => String(message));
  expect(notices.filter((message) => words.test(message))).toHaveLength(1);
  expect(notices.filter((message) => message.includes("https://example.net"))).toHaveLength(1);
});

test("H16 origins that strangers make up are told of eight times at most, in what a terminal can show", async () => {
  const { straightUrl, events, coordination } = await startTestRun();
  for (let i = 0; i < 20; i++) {
    await requestUpgrade(straightUrl, { origin: `http://made-up-${i}.example/\u0080${"x".repeat(4000)}` });
  }
  coordination.stop();
  await coordination.done;
  const notices = (await events()).filter(({ type }) => type === "notice").map(({ message }) => String(message));
  expect(notices).toHaveLength(8);
  for (const message of notices) {
    expect(message).toMatch(/^[\x20-\x7e]*$/);
    expect(message.length).toBeLessThan(1000);
  }
});

test.each(["example.org", "ftp://example.org/", "https://"])(
  "--public-url %s is refused with what it takes",
  (text) => {
    expect(() => readReach({ publicUrl: text })).toThrow(/--public-url takes an address like/);
    expect(() => readReach({ allowOrigin: [text] })).toThrow(/--allow-origin takes an address like/);
  },
);
