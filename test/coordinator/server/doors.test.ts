// Rules J of SPEC.md that are about the port: TLS for others, plain HTTP for this machine, and nothing of the run for
// who comes without TLS.

import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { request } from "node:https";
import { connect as connectTcp } from "node:net";
import { connect as connectTls, type PeerCertificate } from "node:tls";
import { expect, onTestFinished, test } from "vitest";
import { SecureDoor } from "../../../coordinator/server/doors.ts";
import { OpenSockets, openSocketLimits } from "../../../coordinator/server/open-sockets.ts";
import { Origins } from "../../../coordinator/server/origins.ts";
import { scopeOf } from "../../../coordinator/tls/address-scope.ts";
import { makeAuthority } from "../../../coordinator/tls/authority.ts";
import { authorityIdentity } from "../../../coordinator/tls/identity.ts";
import { systemClock } from "../../../worker/clock.ts";
import { readJoinLink } from "../../../worker/session/join-link.ts";
import { refusalOf } from "../../../worker/session/refused-socket.ts";
import { startTestRun, workToTheEnd } from "../../fixtures/test-run.ts";
import { requestUpgrade } from "../../fixtures/upgrade-request.ts";
import { Looker } from "../dashboard/looker.ts";

const authority = await makeAuthority(scopeOf("127.0.0.1"), new Date());
const ca = authority.certificate;

async function startSecureRun(options: Parameters<typeof startTestRun>[0] = {}) {
  const identity = await authorityIdentity(authority, () => "127.0.0.1", new Date());
  return startTestRun({ ...options, tls: { identity } });
}

/** GET by a client that trusts the authority. */
function get(url: string | URL): Promise<{ readonly status: number | undefined; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { ca }, async (incoming) => {
      let text = "";
      for await (const chunk of incoming) text += chunk;
      resolve({ status: incoming.statusCode, text });
    });
    asked.on("error", reject);
    asked.end();
  });
}

test("J1 the port speaks TLS, HTTP and the WebSocket alike, and a run is trained over it", async () => {
  const started = await startSecureRun({ maxSteps: 2 });
  const { url, run, coordination } = started;
  expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+\/\?token=/);
  expect((await get(url)).status).toBe(200);
  const [{ sha256, bytes }] = run.data.dataset.train.shards;
  const shard = await get(new URL(`/shards/${sha256}${new URL(url).search}`, url));
  expect(shard.status).toBe(200);
  expect(bytes).toBeGreaterThan(0);
  const worker = await started.connect({ via: url, ca, origin: new URL(url).origin }).join();
  await worker.work();
  expect((await coordination.done).step).toBe(2);
});

test("J2 this machine's own workers come in without TLS, at an address of this machine alone", async () => {
  const started = await startSecureRun({ maxSteps: 2 });
  const { localUrl, url, localPort, port } = started.coordination.server;
  expect(localUrl).toMatch(new RegExp(`^http://127\\.0\\.0\\.1:${localPort}/`));
  expect(localPort).not.toBe(port);
  expect((await fetch(new URL(`/status${new URL(url).search}`, localUrl))).status).toBe(200);
  expect((await workToTheEnd(started, 1)).step).toBe(2);
});

test("J3 who comes to the port without TLS learns how to trust it, and nothing of the run", async () => {
  const { url, run } = await startSecureRun();
  const plain = url.replace("https:", "http:");
  const [{ sha256 }] = run.data.dataset.train.shards;
  const { search } = new URL(url);
  for (const path of ["/", "/status", "/join", `/shards/${sha256}`, "/metrics"]) {
    const answer = await fetch(new URL(`${path}${search}`, plain));
    const text = await answer.text();
    expect(text).toContain("Let this device trust the room");
    expect(text.replaceAll("<wbr>", "")).toContain(authority.fingerprint);
    expect(text).not.toContain(run.directory.token);
    expect(text).not.toContain(run.state.config.name);
  }
  const upgraded = await requestUpgrade(plain);
  expect(upgraded.status).toBe(403);
  const certificate = await fetch(new URL("/trust/bitswarm-class-room.crt", plain));
  expect([certificate.headers.get("content-type"), await certificate.text()]).toEqual([
    "application/x-x509-ca-cert",
    ca,
  ]);
  expect((await fetch(plain, { method: "POST" })).status).toBe(405);
});

/** Resolves when the other end is done with it. */
function ended(socket: ReturnType<typeof connectTcp>): Promise<void> {
  socket.on("error", () => undefined);
  socket.resume();
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

test("J4 who does not say what it speaks, or never ends its handshake, is let go in the time of a head", async () => {
  const { coordination } = await startSecureRun({ openSockets: { ...openSocketLimits, headersMs: 200 } });
  const { port } = coordination.server;
  const silent = connectTcp(port, "127.0.0.1");
  const halfway = connectTcp(port, "127.0.0.1");
  halfway.write(Uint8Array.of(0x16, 3, 1));
  const nonsense = connectTcp(port, "127.0.0.1");
  nonsense.write(Buffer.concat([Uint8Array.of(0x16, 3, 1, 0, 4), Buffer.from("not a handshake")]));
  await Promise.all([silent, halfway, nonsense].map(ended));
  await expect.poll(() => coordination.server.connections).toBe(0);
});

test("J5 connections count from their first moment, whatever they speak, and once", async () => {
  const { coordination } = await startSecureRun({ openSockets: { ...openSocketLimits, perAddress: 3 } });
  const { port, url } = coordination.server;
  const silent = Array.from({ length: 6 }, () => connectTcp(port, "127.0.0.1").on("error", () => undefined));
  await Promise.all(silent.slice(0, 3).map(ended));
  expect(coordination.server.connections).toBeLessThanOrEqual(3);
  for (const socket of silent) socket.destroy();
  await expect.poll(() => coordination.server.connections).toBe(0);
  const [one, two] = [1, 2].map(() => connectTls({ port, host: "127.0.0.1", ca }));
  await Promise.all([once(one, "secureConnect"), once(two, "secureConnect")]);
  for (const socket of [one, two]) {
    socket.write("GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
    await once(socket, "data");
  }
  expect(coordination.server.connections).toBeLessThanOrEqual(2);
  expect((await get(url)).status).toBe(200);
  one.destroy();
  two.destroy();
});

test("J6 with TLS pages of the port's own https addresses may join, of http only this machine's", () => {
  const origins = new Origins({ host: "192.168.1.20", port: 8080, secure: true, allowed: [] });
  expect(origins.allows("https://192.168.1.20:8080", "192.168.1.20:8080")).toBe(true);
  expect(origins.allows("http://192.168.1.20:8080", "192.168.1.20:8080")).toBe(false);
  expect(origins.allows("http://127.0.0.1:8081", "127.0.0.1:8081")).toBe(true);
  expect(origins.allows("https://192.168.1.21:8080", "192.168.1.20:8080")).toBe(false);
  const everywhere = new Origins({ host: "0.0.0.0", port: 8080, secure: true, allowed: [] });
  expect(everywhere.allows("https://localhost:8080", "x")).toBe(true);
});

test("J7 a certificate that was made anew is shown to whoever comes from then on, and the old one stays where it fails", async () => {
  const http = createHttpServer((_, response) => response.end("here"));
  const openSockets = new OpenSockets(
    http,
    openSocketLimits,
    () => undefined,
    () => false,
  );
  const made = await Promise.all([1, 2].map(() => authorityIdentity(authority, () => "127.0.0.1", new Date())));
  let which = 0;
  let broken = false;
  const notices: string[] = [];
  const door = new SecureDoor({
    http,
    openSockets,
    handshakeMs: 10_000,
    onNotice: (message) => notices.push(message),
    identity: {
      get credentials() {
        return made[which].credentials;
      },
      renew: async () => {
        if (broken) throw new Error("the key does not fit");
        which = 1;
        return true;
      },
    },
  });
  onTestFinished(() => door.close());
  const port = await door.open("127.0.0.1", 0);
  const shown = () =>
    new Promise<PeerCertificate>((resolve) => {
      const socket = connectTls({ port, host: "127.0.0.1", ca }, () => {
        resolve(socket.getPeerCertificate());
        socket.destroy();
      });
    });
  const first = await shown();
  broken = true;
  await door.renew();
  await door.renew();
  expect(notices).toEqual(["the port and its certificate stay as they were: the key does not fit"]);
  expect((await shown()).fingerprint256).toBe(first.fingerprint256);
  broken = false;
  await door.renew();
  expect((await shown()).fingerprint256).not.toBe(first.fingerprint256);
});

test("J8 who works or looks on over TLS is told that the run is over; who does not listen is not waited for long", async () => {
  const started = await startSecureRun({ maxSteps: 2 });
  const { url, coordination, run } = started;
  const looker = new Looker(coordination.server.linkTo("dashboard", run.directory.dashboardToken), ca);
  await looker.whole();
  const [worker, other, silent] = await Promise.all([1, 2, 3].map(() => started.connect({ via: url, ca }).join()));
  silent.socket.pause();
  await worker.work();
  await coordination.done;
  expect((await Promise.all([worker.closed, other.closed])).map(({ code }) => code)).toEqual([4013, 4013]);
  expect(looker.board?.status.state).toBe("done");
  expect((await looker.closed).code).toBe(1001);
});

test("J8 a run ends with connections open over TLS", async () => {
  // Long enough that nothing but the end of the run lets go of them.
  const { coordination } = await startSecureRun({ openSockets: { ...openSocketLimits, headersMs: 600_000 } });
  const { port } = coordination.server;
  const socket = connectTls({ port, host: "127.0.0.1", ca });
  await once(socket, "secureConnect");
  const silent = connectTcp(port, "127.0.0.1");
  await once(silent, "connect");
  coordination.stop();
  await Promise.all([ended(socket), ended(silent), coordination.done]);
});

/** Linux answers at all of 127.0.0.0/8; elsewhere there is one such address, and no other to move to. */
const oneLoopback = process.platform !== "linux";

test.skipIf(oneLoopback)(
  "J17 where this machine's address is another the port moves there, with a certificate for it",
  async () => {
    const scope = { name: "test", networks: [{ address: "127.0.0.0", bits: 8 }] };
    const both = await makeAuthority(scope, new Date());
    let address = "127.0.0.1";
    const identity = await authorityIdentity(both, () => address, new Date());
    const moved: string[] = [];
    const http = createHttpServer((_, response) => response.end("here"));
    const door = new SecureDoor({
      http,
      identity,
      openSockets: new OpenSockets(
        http,
        openSocketLimits,
        (_, response) => void response.end("here"),
        () => false,
      ),
      handshakeMs: 10_000,
      onNotice: (message) => moved.push(message),
      where: async () => address,
      onMoved: (host) => moved.push(host),
    });
    onTestFinished(() => door.close());
    const port = await door.open("127.0.0.1", 0);
    await door.renew();
    expect(moved).toEqual([]);
    address = "127.0.0.2";
    await door.renew();
    expect(moved).toEqual(["127.0.0.2"]);
    const shown = await new Promise<PeerCertificate>((resolve, reject) => {
      const socket = connectTls({ port, host: "127.0.0.2", ca: both.certificate }, () => {
        resolve(socket.getPeerCertificate());
        socket.destroy();
      });
      socket.once("error", reject);
    });
    expect(shown.subjectaltname).toBe("IP Address:127.0.0.2");
    const gone = connectTcp(port, "127.0.0.1");
    const [error] = await once(gone, "error");
    expect(error).toMatchObject({ code: "ECONNREFUSED" });
  },
);

test("J18 with a certificate of the operator's the link has its host, and who comes without TLS is sent there", async () => {
  const { credentials } = await authorityIdentity(authority, () => "127.0.0.1", new Date());
  const identity = { credentials, renew: async () => false };
  const { url, coordination } = await startTestRun({ tls: { identity, linkHost: "localhost" } });
  const { port } = coordination.server;
  expect(new URL(url).origin).toBe(`https://localhost:${port}`);
  const sent = await fetch(`http://127.0.0.1:${port}/x?token=y`, { redirect: "manual" });
  expect([sent.status, sent.headers.get("location")]).toEqual([307, `https://127.0.0.1:${port}/x?token=y`]);
});

test("J19 a worker that does not trust the certificate is told so, where it is, and nothing of the token", async () => {
  const { url } = await startSecureRun();
  const link = readJoinLink(url);
  const refusal = await refusalOf(link, { origin: null, clock: systemClock, fetch: (...asked) => fetch(...asked) });
  expect(refusal?.code).toBe("CERTIFICATE_INVALID");
  expect(refusal?.message).toMatch(/not trusted here \(self-signed certificate in certificate chain\)/);
  expect(refusal?.message).toMatch(/http:\/\/127\.0\.0\.1:\d+\/trust .* DENO_CERT=FILE; `doctor LINK`/);
  expect(refusal?.message).not.toContain(link.token);
  const [base, fetchFails] = [
    link.base,
    (cause: string) => () => Promise.reject(new TypeError("", { cause: new Error(cause) })),
  ];
  const deno = `error sending request for url (${base}/joinable?token=${link.token}): client error (Connect)`;
  const ask = (cause: string) => refusalOf(link, { origin: null, clock: systemClock, fetch: fetchFails(cause) });
  expect((await ask(`${deno}: invalid peer certificate: UnknownIssuer`))?.message).toMatch(
    /\(invalid peer certificate: UnknownIssuer\)/,
  );
  expect(await ask(`${deno}: connection refused`)).toBeUndefined();
});
