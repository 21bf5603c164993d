// What `worker doctor` says: its verdicts on what was seen, and what it sees of a real coordinator and of what may
// stand in its place.

import { createServer } from "node:http";
import { createServer as createTcpServer, type Server } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { PROTOCOL_VERSION } from "../../shared/wire/protocol.ts";
import {
  closingLine,
  exitCodeOf,
  type Finding,
  fail,
  findingLines,
  ok,
  skip,
  warn,
} from "../../worker/platform/node/doctor/finding.ts";
import {
  type AdapterFact,
  adapterFinding,
  driverFinding,
  programFinding,
  runtimeFinding,
  storageFinding,
} from "../../worker/platform/node/doctor/machine.ts";
import {
  bandwidthFinding,
  clockFinding,
  environmentFinding,
  linkFinding,
  nameFinding,
  portFinding,
  protocolFinding,
  roundTripFinding,
  serverFinding,
  socketFinding,
  tlsFinding,
  tokenFinding,
} from "../../worker/platform/node/doctor/network.ts";
import { examine } from "../../worker/platform/node/doctor-command.ts";
import { reverseProxy } from "../fixtures/reverse-proxy.ts";
import { startTestRun } from "../fixtures/test-run.ts";

/** What it says and what is to be done, in one. */
const saidBy = ({ verdict, found, advice = "" }: Finding) => `${verdict}: ${found} > ${advice}`;

describe("a finding", () => {
  test("has its advice under it, and lines of the terminal's width", () => {
    const lines = findingLines(fail("token", "it is not that of this run", `${"word ".repeat(20)}end`), 60);
    expect(lines[0]).toBe("fail  token           it is not that of this run");
    expect(lines.slice(1).every((line) => line.startsWith(" ".repeat(22)) && line.length <= 60)).toBe(true);
    expect(lines.length).toBeGreaterThan(3);
  });

  test.each([
    [[ok("a", "")], "all is well", 0],
    [[ok("a", ""), warn("b", "", "")], "a worker can work here; 1 thing is worth a look", 0],
    [[fail("a", "", ""), skip("b", "")], "1 thing keeps a worker from working", 1],
    [
      [fail("a", "", ""), fail("b", "", ""), warn("c", "", "")],
      "2 things keep a worker from working; 1 thing is worth a look",
      1,
    ],
  ])("of %j closes with %s and exit code %i", (findings, line, code) => {
    expect(closingLine(findings)).toBe(line);
    expect(exitCodeOf(findings)).toBe(code);
  });
});

describe("of this machine", () => {
  const adapter: Extract<AdapterFact, { kind: "adapter" }> = {
    kind: "adapter",
    description: "a GPU",
    software: false,
    right: true,
    limits: {
      maxStorageBufferBindingSize: 2 ** 27,
      maxStorageBuffersPerShaderStage: 8,
      maxComputeInvocationsPerWorkgroup: 256,
      maxComputeWorkgroupStorageSize: 2 ** 14,
    },
    features: ["subgroups"],
  };

  test.each([
    [adapter, true, /^ok: a GPU, with subgroups, computes right/],
    [{ ...adapter, software: true }, false, /^warn: .* on the processor > it works/],
    [{ ...adapter, software: true }, true, /^warn: .* > a GPU and its driver are there and this runtime does not take/],
    [{ ...adapter, right: false }, true, /^fail: .*other sums.* > its driver is broken: .*CALIBRATION_FAILED/],
    [
      { ...adapter, limits: { ...adapter.limits, maxStorageBufferBindingSize: 2 ** 26 } },
      true,
      /^fail: .*less than WebGPU promises: maxStorageBufferBindingSize is 67108864, not 134217728/,
    ],
    [
      { kind: "failed", code: "WEBGPU_MISSING", message: "no adapter" } as const,
      false,
      /^fail: WEBGPU_MISSING: no adapter/,
    ],
    [{ kind: "silent", ms: 120_000 } as const, true, /^fail: it gives no answer in 120 s > the driver may hang/],
  ])("the adapter %j is told of", (fact, hardware, said) => {
    expect(saidBy(adapterFinding("deno", fact, hardware))).toMatch(said);
  });

  const amd = { path: "/dev/dri/renderD128", vendor: "AMD", open: true };
  const linux = { platform: "linux", hardware: false, nodes: [], software: undefined };
  test.each([
    [{ ...linux, platform: "darwin" }, /^ok: the system's own/],
    [{ ...linux, hardware: true, nodes: [amd] }, /^ok: a Vulkan driver for AMD/],
    [{ ...linux, hardware: true }, /^ok: a Vulkan driver for an NVIDIA GPU/],
    [
      { ...linux, hardware: true, nodes: [{ ...amd, open: false }] },
      /^warn: .*may not open \/dev\/dri\/renderD128 > .*usermod -aG render/,
    ],
    [
      { ...linux, nodes: [amd], software: "/lvp.json" },
      /^warn: .*AMD without its Vulkan driver; \/lvp.json .* > install mesa-vulkan-drivers/,
    ],
    [{ ...linux, nodes: [{ ...amd, vendor: "NVIDIA" }] }, /> install NVIDIA's driver/],
    [{ ...linux, software: "/lvp.json" }, /^warn: no GPU is seen; \/lvp.json computes on the processor > that works/],
    [linux, /^warn: no GPU is seen, and no Vulkan driver .* > install/],
  ])("the driver %j is told of", (fact, said) => {
    expect(saidBy(driverFinding(fact))).toMatch(said);
  });

  test.each([
    ["20.19.0", "ok"],
    ["26.0.0", "ok"],
    ["20.18.3", "fail"],
    ["18.20.0", "fail"],
  ])("Node %s is %s", (node, verdict) => {
    expect(programFinding("0.1.0", node).verdict).toBe(verdict);
  });

  test("one missing runtime is worth a look where the other is there, and a failure where it is not", () => {
    const missing = { kind: "missing", message: "no Deno" } as const;
    expect(saidBy(runtimeFinding("deno", missing, true))).toBe("warn: no Deno > --runtime browser does without");
    expect(runtimeFinding("deno", missing, false).verdict).toBe("fail");
    expect(runtimeFinding("browser", { kind: "found", version: "Chromium 156" }, false).verdict).toBe("ok");
  });

  test.each([
    [2 ** 32, undefined, /^ok: \/cache and \/tmp: writable, 4.0 GiB free/],
    [2 ** 29, undefined, /^warn: \/cache has room for 0.5 GiB only/],
    [2 ** 32, "EACCES", /^warn: \/tmp cannot be written to \(EACCES\)/],
  ])("folders with %i bytes free and the error %s are told of", (freeBytes, why, said) => {
    const cache = { kind: "writable", folder: "/cache", freeBytes } as const;
    const tmp =
      why === undefined
        ? ({ kind: "writable", folder: "/tmp", freeBytes: 2 ** 33 } as const)
        : ({ kind: "refused", folder: "/tmp", why } as const);
    expect(saidBy(storageFinding([cache, tmp]))).toMatch(said);
  });
});

describe("of the way to a coordinator", () => {
  const now = Date.parse("2026-06-01T12:00:00Z");
  const day = 86_400_000;
  const answered = (answer: object, status = 200) => ({ status, answer: answer as never, text: "" });
  const joinable = { joinable: true, protocol: PROTOCOL_VERSION } as const;
  test.each<[string, Finding, RegExp]>([
    ["an address", nameFinding("127.0.0.1", { kind: "address" }), /^ok/],
    [
      "a name",
      nameFinding("a.example", { kind: "found", addresses: ["::1"], ms: 1 }),
      /^ok: a.example is ::1, in 1.0 ms/,
    ],
    ["no such name", nameFinding("a.example", { kind: "failed", code: "ENOTFOUND" }), /^fail: nobody knows the name/],
    [
      "no name server",
      nameFinding("a.example", { kind: "failed", code: "EAI_AGAIN" }),
      /^fail: .*> see whether this machine is online/,
    ],
    ["an open port", portFinding("a:1", { kind: "open", address: "::1", ms: 12 }), /^ok: a:1 answers at ::1, in 12 ms/],
    [
      "a shut port",
      portFinding("a:1", { kind: "failed", code: "ECONNREFUSED" }),
      /^fail: nothing listens at a:1 > .*--host 0.0.0.0/,
    ],
    [
      "no route",
      portFinding("a:1", { kind: "failed", code: "EHOSTUNREACH" }),
      /^fail: .*cannot be reached \(EHOSTUNREACH\)/,
    ],
    ["a firewall", portFinding("a:1", { kind: "silent", ms: 8000 }), /^fail: a:1 says nothing in 8 s > a firewall/],
    [
      "a certificate",
      tlsFinding(
        "a:1",
        { kind: "trusted", version: "TLSv1.3", validFromMs: now - 30 * day, validToMs: now + 60 * day },
        now,
      ),
      /^ok: TLSv1.3, .*60 days/,
    ],
    [
      "a certificate of hours",
      tlsFinding(
        "a:1",
        { kind: "trusted", version: "TLSv1.3", validFromMs: now - day / 8, validToMs: now + day / 2 },
        now,
      ),
      /^ok: TLSv1.3, a trusted certificate for 12 hours more/,
    ],
    [
      "a certificate soon over",
      tlsFinding(
        "a:1",
        { kind: "trusted", version: "TLSv1.3", validFromMs: now - 87 * day, validToMs: now + 3 * day },
        now,
      ),
      /^warn: .*over in 3 days/,
    ],
    [
      "a certificate that is over",
      tlsFinding("a:1", { kind: "untrusted", code: "CERT_HAS_EXPIRED", issuer: "", names: "" }, now),
      /^fail: .*is over > set this machine's clock, which says 2026-06-01T12/,
    ],
    [
      "another's certificate",
      tlsFinding(
        "a:1",
        { kind: "untrusted", code: "ERR_TLS_CERT_ALTNAME_INVALID", issuer: "", names: "b.example" },
        now,
      ),
      /^fail: the certificate is for b.example, not for a:1/,
    ],
    [
      "an unknown authority",
      tlsFinding("a:1", { kind: "untrusted", code: "SELF_SIGNED_CERT_IN_CHAIN", issuer: "Caddy", names: "" }, now),
      /^fail: .*Caddy.*> .*start Deno workers, and this, with DENO_CERT=FILE/,
    ],
    [
      "no TLS",
      tlsFinding("a:1", { kind: "failed", message: "wrong version number" }, now),
      /^fail: a:1 speaks no TLS .*> .*http: may be meant/,
    ],
    ["a coordinator", serverFinding("http://a", answered(joinable)), /^ok: a bitswarm coordinator/],
    [
      "a redirection",
      serverFinding("http://a", { status: 301, location: "https://a/", text: "" }),
      /^fail: http:\/\/a sends on to https:\/\/a\//,
    ],
    [
      "a proxy alone",
      serverFinding("http://a", { status: 502, text: "" }),
      /^fail: a proxy answers, but not the coordinator/,
    ],
    [
      "https asked by http",
      serverFinding("http://a", { status: 400, text: "Client sent an HTTP request to an HTTPS server." }),
      /^fail: http:\/\/a wants https/,
    ],
    [
      "something else",
      serverFinding("http://a", { status: 404, text: "no" }),
      /^fail: http:\/\/a is no bitswarm coordinator/,
    ],
    [
      "a room's door beside https",
      serverFinding("http://a", { status: 200, text: "<html>" }, true),
      /^fail: http:\/\/a wants https \(HTTP 200\) > write https:/,
    ],
    ["the token", tokenFinding(joinable, true), /^ok/],
    ["no token", tokenFinding(undefined, false), /^fail: the link has no \?token=… > .*in quotes/],
    ["another token", tokenFinding({ code: "TOKEN_INVALID", message: "" }, true), /^fail: it is not that of this run/],
    [
      "too many",
      tokenFinding({ code: "RATE_LIMITED", message: "slow down" }, true),
      /^fail: slow down > wait a minute/,
    ],
    ["the same protocol", protocolFinding(joinable), /^ok: both speak protocol/],
    [
      "a newer protocol",
      protocolFinding({ joinable: true, protocol: PROTOCOL_VERSION + 1 }),
      /^fail: .*> update this checkout: git pull/,
    ],
    [
      "an older protocol",
      protocolFinding({ joinable: true, protocol: PROTOCOL_VERSION - 1 }),
      /^fail: .*> take the build that the coordinator has/,
    ],
    ["a protocol that is not said", protocolFinding({ joinable: true }), /^warn: .*does not say/],
    ["the same time", clockFinding(400, 520), /^ok: as the coordinator's, within 1 s/],
    ["a little late", clockFinding(-90_000, 520), /^warn: this machine's is 90 s behind/],
    ["an hour ahead", clockFinding(3_600_000, 520), /^fail: this machine's is 60 min ahead of/],
    ["a slow answer, which hides a little", clockFinding(61_000, 4000), /^ok/],
    ["no time", clockFinding(undefined, 0), /^skip/],
    ["a socket", socketFinding({ kind: "opened", roundTripsMs: [1] }), /^ok/],
    ["a socket without pongs", socketFinding({ kind: "opened", roundTripsMs: [] }), /^warn/],
    [
      "no Upgrade",
      socketFinding({ kind: "answered", status: 404, text: "nothing is at /ws" }),
      /^fail: .*HTTP 404: its Upgrade was taken off > .*deploy\/proxy.md/,
    ],
    [
      "too many sockets",
      socketFinding({ kind: "answered", status: 429, text: "RATE_LIMITED: 256" }),
      /^fail: RATE_LIMITED: 256 > close/,
    ],
    ["a proxy's password", socketFinding({ kind: "answered", status: 407, text: "" }), /^fail: a proxy wants to know/],
    ["a cut", socketFinding({ kind: "failed", message: "socket hang up" }), /^fail: it is cut while it opens/],
    ["silence", socketFinding({ kind: "silent", ms: 8000 }), /^fail: it does not open in 8 s/],
    ["a short way", roundTripFinding([30, 3.25]), /^ok: 3.3 ms|^ok: 3.2 ms/],
    ["a long way", roundTripFinding([700, 650]), /^warn: 650 ms/],
    [
      "a broad line",
      bandwidthFinding({ bytes: 2 ** 20, ms: 100, joinBytes: 2 ** 20 }),
      /^ok: 84 Mbit\/s down at least, by 1024 KiB; on joining 1.0 MiB, in 0.1 s/,
    ],
    ["a narrow line", bandwidthFinding({ bytes: 2 ** 17, ms: 1000 }), /^warn: 1.0 Mbit\/s/],
    ["a far one", bandwidthFinding({ bytes: 2 ** 16, ms: 900 }, 200), /^ok: 0.6 Mbit\/s down at least/],
    ["nothing fetched", bandwidthFinding(undefined), /^skip/],
    ["no proxy", environmentFinding([]), /^ok/],
    ["a proxy of the environment", environmentFinding(["HTTPS_PROXY"]), /^warn: HTTPS_PROXY is set/],
    ["plain http from elsewhere", linkFinding("http://a/", false), /^warn: .*plain http/],
  ])("%s is told of", (_what, finding, said) => {
    expect(saidBy(finding)).toMatch(said);
  });
});

describe("of a real way", () => {
  const network = async (link: string) => {
    const findings = await examine(link, [], () => undefined);
    return { findings, at: Object.fromEntries(findings.map((finding) => [finding.check, saidBy(finding)])) };
  };
  const listening = async (server: Server) => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close());
    return (server.address() as { readonly port: number }).port;
  };

  test("H26 a coordinator is found well from its name to its WebSocket, and the token stays unsaid", async () => {
    const { straightUrl, coordination } = await startTestRun();
    const { findings, at } = await network(straightUrl);
    expect(findings.filter(({ verdict }) => verdict === "fail")).toEqual([]);
    for (const check of ["link", "name", "port", "server", "token", "version", "clock", "websocket", "round trip"]) {
      expect(at[check], check).toMatch(/^ok/);
    }
    expect(JSON.stringify(findings)).not.toContain(new URL(straightUrl).searchParams.get("token"));
    expect(at.version).toBe(`ok: both speak protocol ${PROTOCOL_VERSION} > `);
    await expect.poll(() => coordination.server.connections).toBe(0);
  });

  test("without a link this machine alone is looked at", async () => {
    const findings = await examine(undefined, [], () => undefined);
    expect(findings.map(({ check }) => check)).toEqual(["program", "driver", "storage"]);
  });

  test("a wrong token, none, and a path of its own are told apart", async () => {
    const { straightUrl } = await startTestRun();
    const wrong = await network(new URL("/?token=guess", straightUrl).href);
    expect(wrong.at.token).toMatch(/^fail: it is not that of this run/);
    expect(wrong.at.websocket).toMatch(/^ok/);
    expect(exitCodeOf(wrong.findings)).toBe(1);
    expect((await network(new URL("/", straightUrl).href)).at.token).toMatch(/^fail: the link has no \?token=/);
    const { origin, host } = new URL(straightUrl);
    for (const path of ["/join", "/k7q-m4t", "/bitswarm/", "/bitswarm/join?token=guess"]) {
      const { pathname } = new URL(path, origin);
      expect((await network(`${origin}${path}`)).at.server).toContain(
        `fail: a bitswarm coordinator answers at ${origin}/, not at ${origin}${pathname} > the link for workers is ${origin}/?token=TOKEN`,
      );
    }
    expect((await network(`https://${host}/?token=guess`)).at.tls).toBe(
      `fail: a bitswarm coordinator answers at ${host}, by plain http > write http: in place of https: in the link`,
    );
  });

  test("a proxy that takes Upgrade off is named where pages pass and the WebSocket does not", async () => {
    const { straightUrl } = await startTestRun();
    const proxy = await reverseProxy(() => straightUrl, { noUpgrade: true });
    const { at } = await network(new URL(new URL(straightUrl).search, proxy.origin).href);
    expect(at.server).toMatch(/^ok/);
    expect(at.token).toMatch(/^ok/);
    expect(at.websocket).toMatch(/^fail: .*its Upgrade was taken off > .*deploy\/proxy.md/);
    expect(at["round trip"]).toMatch(/^skip/);
  });

  test("a shut port, another site and what is no HTTP each end there", async () => {
    const site = createServer((_request, response) => response.end("a site")) as unknown as Server;
    const port = await listening(site);
    const other = await network(`http://127.0.0.1:${port}/?token=t`);
    expect(other.at.server).toMatch(/^fail: http:\/\/127.0.0.1:\d+ is no bitswarm coordinator/);
    expect(other.at.websocket).toMatch(/^skip/);
    const secured = await network(`https://localhost:${port}/?token=t`);
    expect(secured.at.tls).toMatch(/^fail: localhost:\d+ speaks no TLS \([a-z ]+\) >/);
    const rude = await listening(createTcpServer((socket) => socket.on("error", () => undefined).end("go away\r\n")));
    expect((await network(`http://127.0.0.1:${rude}/?token=t`)).at.server).toMatch(/^fail: no answer that is HTTP/);
    const closed = createTcpServer();
    const shut = await listening(closed);
    await new Promise((resolve) => closed.close(resolve));
    const nobody = await network(`http://127.0.0.1:${shut}/?token=t`);
    expect(nobody.at.port).toMatch(/^fail: nothing listens/);
    expect(nobody.at.bandwidth).toMatch(/^skip: not tried: the port does not answer/);
    expect((await network("nonsense")).at.link).toMatch(/^fail: "nonsense" is no link/);
  });
});
