// Rules J of SPEC.md that are about the room: the short address, the slide, the page on trust, what a terminal shows.

import { correction, generate } from "lean-qr";
import { describe, expect, test } from "vitest";
import { scannedAddress, shortAddress } from "../../../coordinator/classroom/class-room.ts";
import { joinPage } from "../../../coordinator/classroom/join-page.ts";
import { plainDoor } from "../../../coordinator/classroom/plain-door.ts";
import { qrColumns, qrLines, qrShape, terminalQr } from "../../../coordinator/classroom/qr.ts";
import { CODE_PATTERN, isCode, shortCode } from "../../../coordinator/classroom/short-code.ts";
import { systemNames, systemOf, systemsFor } from "../../../coordinator/classroom/systems.ts";
import { trustPage } from "../../../coordinator/classroom/trust-page.ts";
import { TrustRoom } from "../../../coordinator/classroom/trust-room.ts";
import { classRoomLines } from "../../../coordinator/program/class-room-text.ts";
import { scopeOf } from "../../../coordinator/tls/address-scope.ts";
import { makeAuthority } from "../../../coordinator/tls/authority.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

const authority = await makeAuthority(scopeOf("192.168.1.20"), new Date());
const link = new URL("https://192.168.1.20:8080/");
const ESCAPE = "\x1b";
const BLACK_ON_WHITE = `${ESCAPE}[30;107m`;
const AS_BEFORE = `${ESCAPE}[0m`;
const token = "T3BmKf7OFHQM9HtSJ6vTug";

test("a code is the same for a token, another for another, and has no two letters alike on a board", () => {
  expect(shortCode(token)).toBe(shortCode(token));
  const codes = Array.from({ length: 200 }, (_, i) => shortCode(`token ${i}`));
  expect(new Set(codes).size).toBe(200);
  for (const code of codes) expect(code).toMatch(/^[2-9a-hj-km-np-tv-z]{3}-[2-9a-hj-km-np-tv-z]{3}$/);
  expect(isCode(token, shortCode(token).toUpperCase())).toBe(true);
  expect(isCode(token, shortCode("another"))).toBe(false);
  expect("status healthz join trust metrics k7-qm4t k7q--m4t").not.toMatch(new RegExp(`\\b${CODE_PATTERN}\\b`));
});

test("the short address has the host, the path that a proxy takes off, and the code; what is scanned begins without TLS", () => {
  expect(shortAddress(link, token)).toBe(`192.168.1.20:8080/${shortCode(token)}`);
  expect(scannedAddress(link, token, true)).toBe(`http://192.168.1.20:8080/${shortCode(token)}`);
  const proxied = new URL("https://example.org/swarm/");
  expect(scannedAddress(proxied, token, false)).toBe(`https://example.org/swarm/${shortCode(token)}`);
});

test("J9 a code leads to the link, under any path, typed in any way; a wrong one is counted as a wrong token", async () => {
  const { url, run } = await startTestRun();
  const follow = (code: string) => fetch(new URL(`/${code}`, url), { redirect: "manual" });
  const right = await follow(shortCode(run.directory.token));
  expect([right.status, right.headers.get("location")]).toEqual([302, `./?token=${run.directory.token}`]);
  expect(right.headers.get("cache-control")).toBe("no-store");
  const bare = shortCode(run.directory.token).replace("-", "");
  for (const code of [bare, bare.toUpperCase()]) expect((await follow(code)).status).toBe(302);
  // A word of a code's letters that the house has an answer for.
  expect(await (await follow("readyz")).text()).toBe("ready\n");
  const wrong = shortCode("another").replace("-", "");
  expect((await follow(wrong)).status).toBe(403);
  // As many as a minute may have, and those that it gives back while this goes on.
  let status = 403;
  for (let guess = 0; guess < 600 && status === 403; guess++) status = (await follow(wrong)).status;
  expect(status).toBe(429);
});

test("J10 the slide is for those with the link, and holds no secret but that", async () => {
  const { url, run } = await startTestRun();
  const refused = await fetch(new URL("/join", url));
  expect(refused.status).toBe(403);
  const slide = await fetch(new URL(`/join${new URL(url).search}`, url));
  const html = await slide.text();
  expect(slide.headers.get("content-security-policy")).toContain("default-src 'none'");
  expect(html).toContain(shortAddress(new URL("./", url), run.directory.token));
  expect(html).not.toContain(run.directory.operatorToken);
  for (const [, file] of html.matchAll(/(?:src|href)="\.\/(class-room\/[^"]+)"/g)) {
    expect((await fetch(new URL(`/${file}`, url))).status).toBe(200);
  }
});

test("the slide shows text of the configuration as text", () => {
  const html = joinPage({ name: `<img src=x onerror="1">`, shortAddress: "a&b", qr: qrShape("x"), workers: 1 });
  expect(html).toContain("&lt;img src=x onerror=&quot;1&quot;&gt;");
  expect(html).toContain("a&amp;b");
  expect(html).toContain("GPU is");
});

describe("a QR code", () => {
  const text = scannedAddress(link, token, true);

  test("of the slide has the modules of the code, four empty ones around them", () => {
    const { size, path } = qrShape(text);
    const dark = new Set<string>();
    for (const [, x, y, wide] of path.matchAll(/M(\d+) (\d+)h(\d+)v1h-\d+z/g)) {
      for (let i = 0; i < Number(wide); i++) dark.add(`${Number(x) + i} ${y}`);
    }
    const code = generate(text, { minCorrectionLevel: correction.Q });
    expect(size).toBe(code.size + 8);
    for (let y = 0; y < size; y++) {
      for (let x = 0; x < size; x++) expect(dark.has(`${x} ${y}`)).toBe(code.get(x - 4, y - 4));
    }
  });

  test.each([true, false])("of the terminal has them too, coloured: %s", (coloured) => {
    const code = generate(text);
    const lines = qrLines(text, coloured);
    const [ink, none] = coloured ? [true, false] : [false, true];
    lines.forEach((line, row) => {
      expect(line.startsWith(BLACK_ON_WHITE)).toBe(coloured);
      const blocks = [...line.replace(BLACK_ON_WHITE, "").replace(AS_BEFORE, "")];
      expect(blocks).toHaveLength(qrColumns(text));
      blocks.forEach((block, x) => {
        const upper = "█▀".includes(block) ? ink : none;
        expect(upper).toBe(code.get(x - 4, row * 2 - 4));
        const lower = "█▄".includes(block) ? ink : none;
        expect(lower).toBe(code.get(x - 4, row * 2 - 3));
      });
    });
  });

  test("is drawn for people at a terminal that is wide enough, and for nobody else", () => {
    const wide = { isTTY: true, columns: 80, coloured: true, term: "xterm" };
    expect(terminalQr(text, wide).length).toBeGreaterThan(10);
    expect(qrColumns(text)).toBeLessThan(60);
    expect(terminalQr(text, { ...wide, isTTY: false })).toEqual([]);
    expect(terminalQr(text, { ...wide, term: "dumb" })).toEqual([]);
    expect(terminalQr(text, { ...wide, columns: 30 })).toEqual([]);
  });
});

const server = {
  url: `${link}?token=${token}`,
  localLinkTo: (path: string, shown: string) => `http://127.0.0.1:8080/${path}?token=${shown}`,
};

test("a terminal shows the short address, the slide, the code and the fingerprint in 80 columns", () => {
  const terminal = { isTTY: true, columns: 80, write: () => true };
  const lines = classRoomLines(server, token, authority, terminal, { TERM: "xterm", NO_COLOR: "1" });
  for (const line of lines) expect([...line].length).toBeLessThanOrEqual(79);
  const text = lines.join("\n");
  expect(text).toContain(`192.168.1.20:8080/${shortCode(token)}`);
  expect(text).toContain(`http://127.0.0.1:8080/join?token=${token}`);
  expect(text.replaceAll(/\n +/g, ":")).toContain(authority.fingerprint);
  expect(text).toContain("▀");
  expect(text).not.toContain(ESCAPE);
  const coloured = classRoomLines(server, token, authority, terminal, { TERM: "xterm" }).join("\n");
  expect(coloured).toContain(BLACK_ON_WHITE);
  const piped = classRoomLines(server, token, undefined, { write: () => true }, {}).join("\n");
  expect(piped).not.toMatch(/[▀▄█]|certificate/);
  expect(piped).not.toContain(ESCAPE);
});

describe("the page on trust", () => {
  const facts = { authority, system: "macos", goal: `https://a/"><script>`, probe: "https://a/", root: "./" } as const;

  test("has the fingerprint, what is agreed to, and every system, the visitor's own open", () => {
    const html = trustPage(facts);
    expect(html.replaceAll("<wbr>", "")).toContain(authority.fingerprint);
    expect(html).toContain("for no site of the internet");
    for (const name of systemNames) {
      const { title } = systemsFor("x", "y")[name];
      expect(html).toContain(`<details name="system"${name === "macos" ? " open" : ""}><summary>${title}`);
    }
    expect(html).not.toContain("<script>");
  });

  test("of a public address says which", async () => {
    const one = await makeAuthority(scopeOf("203.0.113.9"), new Date());
    expect(trustPage({ ...facts, authority: one })).toContain("a web server at 203.0.113.9 alone");
  });

  test.each([
    ["Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36", "chromeos"],
    ["Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0", "windows"],
    ["Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/26.0 Safari/605.1.15", "macos"],
    ["Mozilla/5.0 (Linux; Android 16) AppleWebKit/537.36 Chrome/142.0.0.0 Mobile Safari/537.36", "android"],
    ["Mozilla/5.0 (Android 16; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0", "firefox"],
    ["Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1", "ios"],
    ["Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36", "linux"],
    ["Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "firefox"],
    ["curl/8.5.0", undefined],
  ])("%s is %s", (agent, name) => expect(systemOf(agent)).toBe(name));
});

describe("who comes without TLS", () => {
  const door = plainDoor(new TrustRoom(authority, new Map()));
  const ask = (path: string, host = "192.168.1.20:8080") =>
    door(new Request(`http://${host}${path}`, { headers: { host } }));

  test("by a code is led to it over https once the device trusts, and a token is not repeated", async () => {
    const code = shortCode(token);
    expect(await ask(`/${code}`).text()).toContain(`data-goal="https://192.168.1.20:8080/${code}"`);
    const text = await ask(`/?token=${token}`).text();
    expect(text).not.toContain("data-goal");
    expect(text).toContain(`data-probe="https://192.168.1.20:8080/trust/seen"`);
    expect(text).toContain("Type the address on the board again");
    expect(text).not.toContain(token);
  });

  test("with a Host that is none gets nothing back of it", async () => {
    const odd = door(new Request("http://a/", { headers: { host: `a"><b` } }));
    expect([odd.status, await odd.text()]).toEqual([400, "this port speaks https\n"]);
  });

  test("where browsers know the certificate is sent on with what was asked", () => {
    const sent = plainDoor(undefined)(new Request(`http://a/x?token=${token}`, { headers: { host: "a:8443" } }));
    expect([sent.status, sent.headers.get("location")]).toEqual([307, `https://a:8443/x?token=${token}`]);
  });
});
