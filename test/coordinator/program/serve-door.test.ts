// What `--lan`, `--tls-cert` and `--host` say together: who listens where, and what is refused before anything starts.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { readDoor } from "../../../coordinator/program/serve-door.ts";
import { readReach, straight } from "../../../coordinator/server/reach.ts";
import { makeAuthority, newKey } from "../../../coordinator/tls/authority.ts";
import { serverCertificate } from "../../../coordinator/tls/certificate.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

const host = "127.0.0.1";

/** Settings of a user who has none yet. */
async function newSettings(): Promise<void> {
  const before = process.env.XDG_CONFIG_HOME;
  process.env.XDG_CONFIG_HOME = await scratchFolder();
  onTestFinished(() => {
    if (before === undefined) delete process.env.XDG_CONFIG_HOME;
    else process.env.XDG_CONFIG_HOME = before;
  });
}

/** Files of a certificate for 127.0.0.1 and its key. */
async function ownFiles() {
  const folder = await scratchFolder();
  const now = new Date();
  const authority = await makeAuthority({ name: "test", networks: [{ address: host, bits: 32 }] }, now);
  const key = newKey();
  const lifetime = { from: new Date(now.getTime() - 1000), until: authority.until };
  const [tlsCert, tlsKey] = [join(folder, "cert.pem"), join(folder, "key.pem")];
  await writeFile(tlsCert, await serverCertificate([host], lifetime, key, authority));
  await writeFile(tlsKey, String(key.export({ type: "pkcs8", format: "pem" })));
  return { tlsCert, tlsKey };
}

test("without either it is plain HTTP at its host", async () => {
  expect(await readDoor({ host: "0.0.0.0" }, straight)).toEqual({ host: "0.0.0.0", notes: [] });
});

test("--lan says which address it takes and, the first time, where its authority lies", async () => {
  await newSettings();
  const first = await readDoor({ host, lan: host }, straight);
  expect(first.host).toBe(host);
  expect(first.tls?.identity.authority?.onlyAddress).toBe(host);
  expect(first.notes).toEqual([
    expect.stringContaining("--lan takes 127.0.0.1"),
    expect.stringMatching(/keep its file to yourself: .*authority-127\.0\.0\.1\.pem/),
  ]);
  const again = await readDoor({ host, lan: host }, straight);
  expect(again.notes).toHaveLength(1);
  expect(again.tls?.identity.authority?.fingerprint).toBe(first.tls?.identity.authority?.fingerprint);
  expect(again.tls?.identity.credentials.key).not.toBe(first.tls?.identity.credentials.key);
});

test("a certificate of one's own is taken with --lan too, and the link has a host that it is for", async () => {
  const own = await ownFiles();
  const door = await readDoor({ host, lan: host, ...own }, straight);
  expect(door.notes).toEqual([expect.stringContaining("--lan takes")]);
  expect(door.tls?.identity.authority).toBeUndefined();
  expect(door.tls?.linkHost).toBe(host);
});

test.each([
  ["--tls-cert alone", { host, tlsCert: "a.pem" }, {}, "CONFIG_INVALID", /--tls-cert needs --tls-key/],
  ["--tls-key alone", { host, tlsKey: "a.pem" }, {}, "CONFIG_INVALID", /--tls-key needs --tls-cert/],
  ["--lan beside --host", { host: "0.0.0.0", lan: true as const }, {}, "CONFIG_INVALID", /both say where to listen/],
  [
    "a file that is not there",
    { host, tlsCert: "/no/a.pem", tlsKey: "/no/k" },
    {},
    "CERTIFICATE_MISSING",
    /--tls-cert/,
  ],
  ["a public http", "own", { publicUrl: "http://127.0.0.1:8080/" }, "CONFIG_INVALID", /write https, or --behind-proxy/],
  ["a public name", "own", { publicUrl: "https://example.org/" }, "CERTIFICATE_INVALID", /not for example\.org/],
] as const)("%s is refused with a code and what to do", async (_, request, reach, code, message) => {
  const asked = request === "own" ? { host, ...(await ownFiles()) } : request;
  await expect(readDoor(asked, readReach(reach))).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message),
  });
});

test("what a proxy shows is its own: its name need not be in the certificate behind it", async () => {
  const reach = readReach({ publicUrl: "https://example.org/", behindProxy: true });
  expect((await readDoor({ host, ...(await ownFiles()) }, reach)).tls?.identity).toBeDefined();
});
