// Long bytes over HTTP: the contract of the port over real sockets, and what becomes of doors that cannot be reached,
// of strangers, of readers that do not read.

import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { systemClock } from "../../../coordinator/base/clock.ts";
import { BusBulk } from "../../../coordinator/cluster/bus-bulk.ts";
import { CHUNK_BYTES } from "../../../coordinator/cluster/chunk-message.ts";
import { MOST_ANSWERS, openDoor, pathOf } from "../../../coordinator/cluster/http/door.ts";
import { DoorTokens } from "../../../coordinator/cluster/http/door-token.ts";
import { HttpBulk, LEAST_BYTES } from "../../../coordinator/cluster/http/http-bulk.ts";
import { type OpenBulkOptions, openBulk } from "../../../coordinator/cluster/http/open.ts";
import { MemoryHub } from "../../../coordinator/cluster/memory-hub.ts";
import { subjectsOf } from "../../../coordinator/cluster/subjects.ts";
import { makeKeys } from "../../../deploy/cluster/make-keys.mjs";
import { longBytes, sha256 } from "../../fixtures/long-bytes.ts";
import { type Ports, portsContract } from "./ports-contract.ts";

const RUN = "r";
const subjects = subjectsOf(RUN);
const LOOPBACK = "127.0.0.1";

function newHub(): MemoryHub {
  return new MemoryHub({ clock: systemClock, draw: () => 0.5, run: RUN, timeoutMs: 50 });
}

/** Counts pieces of long bytes on the bus. */
function piecesOn(hub: MemoryHub): { count: number } {
  const pieces = { count: 0 };
  hub.bus("looker").subscribe(subjects.bulk("*", "*"), () => pieces.count++);
  return pieces;
}

describe("the ports' contract", () => {
  const hub = newHub();
  const pieces = piecesOn(hub);
  const nodes = new Map<string, Promise<Ports & { readonly bulk: HttpBulk }>>();
  const open = async (id: string) => {
    const bus = hub.bus(id);
    const overBus = new BusBulk({ bus, subjects, id, clock: systemClock });
    const tokens = new DoorTokens();
    const offered = (name: string) => overBus.offered(name);
    const { port, close } = await openDoor({ host: LOOPBACK, port: 0, tokens, offered });
    const door = { url: `http://${LOOPBACK}:${port}`, tokens, close };
    const common = { bus, subjects, id, clock: systemClock, onNotice: () => undefined };
    return { bus, store: hub.store(id), bulk: new HttpBulk({ ...common, overBus, door, leastBytes: 0 }) };
  };
  const node = (id: string) => {
    const known = nodes.get(id) ?? open(id);
    nodes.set(id, known);
    return known;
  };
  afterAll(async () => {
    for (const known of nodes.values()) await (await known).bulk.close();
  });

  portsContract("http", node, 10);

  test("U50 what a door can be read for travels over no bus", () => {
    expect(nodes.size).toBeGreaterThan(2);
    expect(pieces.count).toBe(0);
  });
});

/** A node with what `openBulk` makes of its options, and what it said. */
async function nodeOf(hub: MemoryHub, id: string, more: Partial<OpenBulkOptions> = {}) {
  const said: string[] = [];
  const onNotice = (message: string) => void said.push(message);
  const options = { bus: hub.bus(id), subjects, id, clock: systemClock, onNotice, ...more };
  const bulk = await openBulk(options);
  onTestFinished(() => bulk.close());
  return { bulk, said };
}

const bytes = longBytes(9 * CHUNK_BYTES + 1);
const wanted = { holder: "g-0", name: "long", bytes: bytes.length, sha256: sha256(bytes) };
const served = { serve: { listen: `${LOOPBACK}:0` } };

test("U51 where a door cannot be reached the bus brings long bytes, which is said once, and so is where they come from", async () => {
  const hub = newHub();
  const pieces = piecesOn(hub);
  const [holder, asker] = [await nodeOf(hub, "g-0", served), await nodeOf(hub, "c-0")];
  holder.bulk.offer("long", bytes);
  for (let i = 0; i < 2; i++) expect(sha256(await asker.bulk.fetch(wanted))).toBe(wanted.sha256);
  expect(pieces.count).toBe(0);
  expect(holder.said).toEqual([
    expect.stringMatching(/^long bytes of g-0 are to be had at http:\/\/127\.0\.0\.1:\d+$/),
  ]);
  expect(asker.said).toEqual([expect.stringMatching(/^long bytes of g-0 come from http:\/\/127\.0\.0\.1:\d+$/)]);

  const other = await nodeOf(hub, "g-1", { serve: { listen: `${LOOPBACK}:0`, url: `http://${LOOPBACK}:1` } });
  other.bulk.offer("long", bytes);
  for (let i = 0; i < 2; i++) expect(sha256(await asker.bulk.fetch({ ...wanted, holder: "g-1" }))).toBe(wanted.sha256);
  // The looker hears a piece after whoever asked for it.
  await expect.poll(() => pieces.count).toBe(20);
  expect(asker.said.slice(1)).toEqual([
    expect.stringMatching(/^http:\/\/127\.0\.0\.1:1 cannot be read \(.+\): long bytes of g-1 come over the bus$/),
  ]);
});

test("U51 a holder without a door, and what is short, is asked over the bus", async () => {
  const hub = newHub();
  const pieces = piecesOn(hub);
  const [holder, plain, asker] = [await nodeOf(hub, "g-0", served), await nodeOf(hub, "g-1"), await nodeOf(hub, "c-0")];
  const short = longBytes(LEAST_BYTES - 1);
  holder.bulk.offer("short", short);
  plain.bulk.offer("long", bytes);
  await asker.bulk.fetch({ holder: "g-0", name: "short", bytes: short.length, sha256: sha256(short) });
  await asker.bulk.fetch({ ...wanted, holder: "g-1" });
  await expect.poll(() => pieces.count).toBe(11);
  expect(asker.said).toEqual([]);
});

/** A way to a port that ends the first connections after so many bytes of an answer. */
async function breakingWay(to: number, after: readonly number[]): Promise<{ readonly port: number; count: number }> {
  const way = { port: 0, count: 0 };
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const left = after[way.count++] ?? Number.POSITIVE_INFINITY;
    const target = connect(to, LOOPBACK);
    let passed = 0;
    for (const socket of [client, target]) sockets.add(socket.on("error", () => undefined));
    client.pipe(target);
    target.on("data", (data) => {
      client.write(data.subarray(0, Math.max(0, left - passed)));
      passed += data.length;
      if (passed >= left) for (const socket of [client, target]) socket.destroy();
    });
    target.on("close", () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve));
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return Object.assign(way, { port: (server.address() as { readonly port: number }).port });
}

async function heldDoor(offer: Uint8Array, more: { readonly silenceMs?: number } = {}) {
  const tokens = new DoorTokens();
  const offered = (name: string) => (name === "long" ? offer : undefined);
  const door = await openDoor({ host: LOOPBACK, port: 0, tokens, offered, ...more });
  onTestFinished(() => door.close());
  /** Each over a connection of its own: one that is kept may have ended meanwhile. */
  const asked = async (headers: Record<string, string>, name = "long", method = "GET") => {
    const asking = request({ host: LOOPBACK, port: door.port, path: pathOf(name), method, headers, agent: false });
    onTestFinished(() => void asking.destroy());
    asking.on("error", () => undefined).end();
    const [answer] = (await once(asking, "response")) as [IncomingMessage];
    return { status: answer.statusCode, answer };
  };
  return { ...door, tokens, asked };
}

test("U52 a connection that breaks is resumed where it broke off", async () => {
  const hub = newHub();
  const pieces = piecesOn(hub);
  const asker = await nodeOf(hub, "c-0");
  const overBus = new BusBulk({ bus: hub.bus("g-0"), subjects, id: "g-0", clock: systemClock });
  const { port, tokens } = await heldDoor(bytes);
  const through = await breakingWay(port, [300_000, 1_000_000]);
  const door = { url: `http://${LOOPBACK}:${through.port}`, tokens, close: async () => undefined };
  const common = { bus: hub.bus("g-0"), subjects, id: "g-0", clock: systemClock, onNotice: () => undefined };
  const holder = new HttpBulk({ ...common, overBus, door });
  onTestFinished(() => holder.close());
  expect(sha256(await asker.bulk.fetch(wanted))).toBe(wanted.sha256);
  expect([through.count, pieces.count]).toEqual([3, 0]);
});

test("U53 a door is opened for whoever has a token that it made, and shows strangers nothing", async () => {
  const { asked, tokens } = await heldDoor(bytes);
  const mine = tokens.of("c-0");
  const { status, answer } = await asked({ Authorization: `Bearer ${mine}` });
  expect([status, sha256(await buffer(answer))]).toEqual([206, wanted.sha256]);
  const others = [
    "",
    "x",
    `c-1.${mine.slice(4)}`,
    mine.slice(0, -2),
    `${mine}aa`,
    "c-0.",
    new DoorTokens().of("c-0"),
    "y".repeat(2000),
  ];
  const strangers = [{}, ...others.map((token) => ({ Authorization: `Bearer ${token}` })), { Authorization: mine }];
  for (const headers of strangers) {
    const refused = await asked(headers as Record<string, string>);
    expect([refused.status, (await buffer(refused.answer)).length]).toEqual([401, 0]);
  }
  // Nor what is there.
  expect((await asked({}, "never offered")).status).toBe(401);
});

test.each([
  ["another method", {}, "long", "POST", 405],
  ["a name that is not offered", {}, "other", "GET", 404],
  ["a longer name than any", {}, "x".repeat(201), "GET", 404],
  ["a range behind the end", { Range: `bytes=${bytes.length}-` }, "long", "GET", 416],
  ["a range that does not go to the end", { Range: "bytes=0-9" }, "long", "GET", 416],
  ["several ranges", { Range: "bytes=0-,5-" }, "long", "GET", 416],
  ["a head of more than 4 KiB", { "X-More": "x".repeat(4096) }, "long", "GET", 431],
])("U53 a door refuses %s", async (_what, headers, name, method, status) => {
  const { asked, tokens } = await heldDoor(bytes);
  const refused = await asked({ Authorization: `Bearer ${tokens.of("c-0")}`, ...headers }, name, method);
  expect([refused.status, (await buffer(refused.answer)).length]).toEqual([status, 0]);
});

/** Eight readers of one asker that read nothing, and another request of it. */
async function unread(silenceMs: number) {
  const { port, tokens, asked } = await heldDoor(longBytes(2 ** 25), { silenceMs });
  const token = tokens.of("c-0");
  const head = `GET ${pathOf("long")} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`;
  const opened = Array.from({ length: MOST_ANSWERS }, async () => {
    const socket = connect({ port, host: LOOPBACK }).on("error", () => undefined);
    onTestFinished(() => void socket.destroy());
    socket.write(head);
    await once(socket, "readable");
  });
  await Promise.all(opened);
  const ask = async (asker: string) => {
    const { status, answer } = await asked({ Authorization: `Bearer ${tokens.of(asker)}` });
    answer.destroy();
    return status;
  };
  return ask;
}

test("U54 an asker has 8 answers on their way at once, and another asker others", async () => {
  const ask = await unread(600_000);
  expect([await ask("c-0"), await ask("c-1")]).toEqual([429, 206]);
});

test("U54 a reader that takes nothing is cut off", async () => {
  const ask = await unread(100);
  await expect.poll(() => ask("c-0")).toBe(206);
});

test("U55 a holder that begins anew makes other tokens, and is asked for them", async () => {
  const hub = newHub();
  const pieces = piecesOn(hub);
  const first = await nodeOf(hub, "g-0", served);
  first.bulk.offer("long", bytes);
  const asker = await nodeOf(hub, "c-0");
  await asker.bulk.fetch(wanted);
  const [, port] = /:(\d+)$/.exec(first.said[0]) ?? [];
  await first.bulk.close();
  const second = await nodeOf(hub, "g-0", { serve: { listen: `${LOOPBACK}:${port}` } });
  second.bulk.offer("long", bytes);
  await asker.bulk.fetch(wanted);
  expect(pieces.count).toBe(0);
});

describe("with certificates", () => {
  let keys: string;
  let others: string;
  beforeAll(async () => {
    [keys, others] = await Promise.all([1, 2].map(() => mkdtemp(join(tmpdir(), "bitswarm-"))));
    const names = { nodes: [], coordinators: ["c-0"], gateways: ["g-0"] };
    for (const folder of [keys, others]) await makeKeys(folder, names);
  });
  afterAll(async () => {
    for (const folder of [keys, others]) await rm(folder, { recursive: true, force: true });
  });
  const own = (folder: string) => {
    return { cert: join(folder, "g-0.pem"), key: join(folder, "g-0.key") };
  };

  test("U56 a cluster that has an authority reads over HTTPS alone, of whoever it has signed", async () => {
    const hub = newHub();
    const pieces = piecesOn(hub);
    const caFile = join(keys, "ca.pem");
    const holder = await nodeOf(hub, "g-0", { caFile, serve: { listen: `${LOOPBACK}:0`, ...own(keys) } });
    const plain = await nodeOf(hub, "g-1", served);
    const forger = await nodeOf(hub, "g-2", { serve: { listen: `${LOOPBACK}:0`, ...own(others) } });
    for (const { bulk } of [holder, plain, forger]) bulk.offer("long", bytes);
    const asker = await nodeOf(hub, "c-0", { caFile });
    await asker.bulk.fetch(wanted);
    expect(pieces.count).toBe(0);
    await asker.bulk.fetch({ ...wanted, holder: "g-1" });
    await expect.poll(() => pieces.count).toBe(10);
    await asker.bulk.fetch({ ...wanted, holder: "g-2" });
    await expect.poll(() => pieces.count).toBe(20);
    expect(asker.said).toEqual([
      expect.stringMatching(/^long bytes of g-0 come from https:/),
      expect.stringMatching(/^https:.*cannot be read \(.*certificate.*long bytes of g-2 come over the bus$/),
    ]);
  });

  test("U56 a door without a certificate is refused there", async () => {
    const opened = nodeOf(newHub(), "g-0", { caFile: join(keys, "ca.pem"), ...served });
    await expect(opened).rejects.toMatchObject({
      code: "CONFIG_INVALID",
      message: expect.stringContaining("plain HTTP"),
    });
  });
});

test.each([
  [{ listen: "8090" }, "host:port is due"],
  [{ listen: "127.0.0.1:99999" }, "host:port is due"],
  [{ listen: "0.0.0.0:0" }, "--bulk-url http://NAME:PORT"],
  [{ listen: "127.0.0.1:0", url: "ftp://x" }, "is due"],
  [{ listen: "127.0.0.1:0", url: "http://x/path" }, "is due"],
  [{ listen: "127.0.0.1:0", url: "http://u:p@x" }, "is due"],
  [{ listen: "127.0.0.1:0", cert: "x.pem" }, "go together"],
  [{ listen: "127.0.0.1:0", cert: "/nowhere.pem", key: "/nowhere.key" }, "cannot be read"],
  [{ listen: "192.0.2.1:1" }, "Take another address"],
])("U57 a door that cannot be, as %j, is CONFIG_INVALID", async (serve, message) => {
  const opened = nodeOf(newHub(), "g-0", { serve });
  await expect(opened).rejects.toMatchObject({ code: "CONFIG_INVALID", message: expect.stringContaining(message) });
});
