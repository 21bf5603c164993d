// The authority of a class room: what it may vouch for, and who can read its key.

import "reflect-metadata";
import { createPrivateKey, createPublicKey, KeyObject, webcrypto, X509Certificate } from "node:crypto";
import { chmod, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { join } from "node:path";
import { connect, createServer, type TLSSocket } from "node:tls";
import {
  BasicConstraintsExtension,
  X509Certificate as Certificate,
  type Extension,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { describe, expect, onTestFinished, test } from "vitest";
import { addressBytes, networkBytes, scopeOf } from "../../../coordinator/tls/address-scope.ts";
import { makeAuthority, newKey, openAuthority } from "../../../coordinator/tls/authority.ts";
import { serverCertificate } from "../../../coordinator/tls/certificate.ts";
import { configFolder } from "../../../coordinator/tls/config-folder.ts";
import { authorityIdentity, isDue } from "../../../coordinator/tls/identity.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

const now = new Date();
const DAY_MS = 86_400_000;
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

test("addresses and networks are written as bytes and masks", async () => {
  expect(hex(addressBytes("192.168.1.20"))).toBe("c0a80114");
  expect(hex(addressBytes("2001:db8::7:1"))).toBe("20010db8000000000000000000070001");
  expect(hex(addressBytes("::1"))).toBe("00000000000000000000000000000001");
  expect(hex(networkBytes({ address: "172.16.0.0", bits: 12 }))).toBe("ac100000fff00000");
  expect(hex(networkBytes({ address: "fc00::", bits: 7 }))).toBe(`fc${"00".repeat(15)}fe${"00".repeat(15)}`);
});

test("private addresses share an authority, any other has one of its own", async () => {
  expect(["10.1.2.3", "192.168.0.9", "172.31.0.1", "fd12::1"].map((at) => scopeOf(at).name)).toEqual(
    Array(4).fill("private"),
  );
  expect(scopeOf("203.0.113.9")).toEqual({
    name: "203.0.113.9",
    networks: [{ address: "203.0.113.9", bits: 32 }],
  });
  expect(scopeOf("172.32.0.1").name).toBe("172.32.0.1");
  expect(scopeOf("2001:db8::9").name).toBe("2001-db8--9");
});

interface Shown {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** How a handshake over TLS ends for a client that trusts an authority and is shown this. */
async function shakenHands({ ca, cert, key }: Shown): Promise<string> {
  const server = createServer({ cert, key }).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as { port: number };
  return await new Promise((resolve) => {
    // Which name or address is asked for is another question than whether it is permitted.
    const socket: TLSSocket = connect({ port, host: "127.0.0.1", ca, checkServerIdentity: () => undefined });
    socket.once("secureConnect", () => {
      resolve("trusted");
      socket.destroy();
    });
    socket.once("error", (error: Error) => resolve(error.message));
  });
}

/** @param scopeAddress of the authority @param address of the server */
async function handshake(scopeAddress: string, address: string): Promise<string> {
  const authority = await makeAuthority(scopeOf(scopeAddress), now);
  const { credentials } = await authorityIdentity(authority, () => address, now);
  return shakenHands({ ...credentials, ca: authority.certificate });
}

const ecdsa = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const pkcs8 = (key: KeyObject) => key.export({ type: "pkcs8", format: "der" });

/** What a thief of an authority's key would sign beside servers: a certificate with extensions of their choice. */
async function forged(name: string, extensions: Extension[], by: { certificate: string; key: KeyObject }) {
  const keys = (await webcrypto.subtle.generateKey(ecdsa, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair;
  const signingKey = await webcrypto.subtle.importKey("pkcs8", pkcs8(by.key), ecdsa, false, ["sign"]);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: "01",
    issuer: new Certificate(by.certificate).subject,
    subject: `CN=${name}`,
    notBefore: new Date(now.getTime() - DAY_MS),
    notAfter: new Date(now.getTime() + DAY_MS),
    signingAlgorithm: ecdsa,
    publicKey: keys.publicKey,
    signingKey,
    extensions,
  });
  const key = KeyObject.from(keys.privateKey);
  return { certificate: `${certificate.toString("pem")}\n`, key };
}

describe("whoever trusts the authority trusts", () => {
  test.each(["192.168.1.20", "10.0.0.7", "fd00::20"])("a coordinator at %s", async (address) => {
    expect(await handshake("192.168.1.20", address)).toBe("trusted");
  });

  // What a thief of its key would sign.
  test.each(["203.0.113.9", "127.0.0.1", "2001:db8::1", "192.169.0.1"])("nobody at %s", async (address) => {
    expect(await handshake("192.168.1.20", address)).toBe("permitted subtree violation");
  });

  test("no name at all", async () => {
    const authority = await makeAuthority(scopeOf("10.0.0.1"), now);
    const names = new SubjectAlternativeNameExtension([{ type: "dns", value: "www.example.org" }]);
    const { certificate, key } = await forged("a thief", [names], authority);
    const shown = { cert: certificate, key: String(key.export({ type: "pkcs8", format: "pem" })) };
    expect(await shakenHands({ ...shown, ca: authority.certificate })).toBe("permitted subtree violation");
  });

  test("no authority that it signed", async () => {
    const authority = await makeAuthority(scopeOf("10.0.0.1"), now);
    const between = await forged("in between", [new BasicConstraintsExtension(true, undefined, true)], authority);
    const names = new SubjectAlternativeNameExtension([{ type: "ip", value: "10.0.0.9" }]);
    const leaf = await forged("a thief", [names], between);
    const cert = `${leaf.certificate}${between.certificate}`;
    const key = String(leaf.key.export({ type: "pkcs8", format: "pem" }));
    expect(await shakenHands({ cert, key, ca: authority.certificate })).toBe("path length constraint exceeded");
  });

  test("of one public address no other", async () => {
    expect(await handshake("203.0.113.9", "203.0.113.9")).toBe("trusted");
    expect(await handshake("203.0.113.9", "203.0.113.10")).toBe("permitted subtree violation");
  });
});

test("an authority signs TLS servers alone, for a year, and signs itself", async () => {
  const { certificate, fingerprint } = await makeAuthority(scopeOf("10.0.0.1"), now);
  const parsed = new X509Certificate(certificate);
  expect(parsed.ca).toBe(true);
  expect(parsed.verify(createPublicKey(certificate))).toBe(true);
  expect(parsed.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
  expect(parsed.fingerprint256).toBe(fingerprint);
  const days = (Date.parse(parsed.validTo) - now.getTime()) / DAY_MS;
  expect(Math.round(days)).toBe(365);
});

test("a server's certificate is for its address, a week long, begins a day ago, and is no authority", async () => {
  const authority = await makeAuthority(scopeOf("10.0.0.1"), now);
  const { credentials } = await authorityIdentity(authority, () => "10.0.0.1", now);
  const leaf = new X509Certificate(credentials.cert);
  expect(leaf.ca).toBe(false);
  expect(leaf.subjectAltName).toBe("IP Address:10.0.0.1");
  expect(leaf.checkIssued(new X509Certificate(authority.certificate))).toBe(true);
  expect(leaf.checkPrivateKey(createPrivateKey(credentials.key))).toBe(true);
  expect(Math.round((Date.parse(leaf.validTo) - now.getTime()) / DAY_MS)).toBe(7);
  expect(Math.round((now.getTime() - Date.parse(leaf.validFrom)) / DAY_MS)).toBe(1);
  // A name that looks like a host's would be held against what is permitted.
  expect(isIP(leaf.subject)).toBe(0);
  expect(leaf.subject).toMatch(/CN=.* /);
});

test("a server's certificate ends no later than its authority", async () => {
  const authority = await makeAuthority(scopeOf("10.0.0.1"), new Date(now.getTime() - 363 * DAY_MS));
  const { credentials } = await authorityIdentity(authority, () => "10.0.0.1", now);
  expect(new Date(new X509Certificate(credentials.cert).validTo)).toEqual(authority.until);
});

test("a server's certificate is made anew for another address and halfway to its end, with another key", async () => {
  const made = { address: "10.0.0.1", at: 0 };
  expect(isDue(made, { address: "10.0.0.1", now: 3 * DAY_MS })).toBe(false);
  expect(isDue(made, { address: "10.0.0.1", now: 4 * DAY_MS })).toBe(true);
  expect(isDue(made, { address: "10.0.0.2", now: 0 })).toBe(true);
  let address = "10.0.0.1";
  const identity = await authorityIdentity(await makeAuthority(scopeOf("10.0.0.1"), now), () => address, now);
  const before = identity.credentials;
  expect(await identity.renew(now)).toBe(false);
  expect(identity.credentials).toBe(before);
  address = "10.0.0.2";
  expect(await identity.renew(now)).toBe(true);
  expect(new X509Certificate(identity.credentials.cert).subjectAltName).toBe("IP Address:10.0.0.2");
  expect(identity.credentials.key).not.toBe(before.key);
});

test("the authority is made once, for its user alone, and taken again", async () => {
  const folder = join(await scratchFolder(), "settings");
  const first = await openAuthority(folder, scopeOf("10.0.0.1"), now);
  expect(first.made).toBe("first");
  expect((await stat(first.path)).mode & 0o777).toBe(0o600);
  expect((await stat(join(folder, "tls"))).mode & 0o777).toBe(0o700);
  const again = await openAuthority(folder, scopeOf("192.168.7.7"), now);
  expect(again.made).toBeUndefined();
  expect(again.authority.certificate).toBe(first.authority.certificate);
  expect(again.authority.name).toEqual(first.authority.name);
  const signedAgain = new X509Certificate(
    await serverCertificate(["10.0.0.9"], { from: now, until: again.authority.until }, newKey(), again.authority),
  );
  expect(signedAgain.verify(createPublicKey(first.authority.certificate))).toBe(true);
  expect(await readdir(join(folder, "tls"))).toEqual(["authority-private.pem"]);
});

test("two starts at once make one authority", async () => {
  const folder = await scratchFolder();
  const opened = await Promise.all(Array.from({ length: 6 }, () => openAuthority(folder, scopeOf("10.0.0.1"), now)));
  expect(new Set(opened.map(({ authority }) => authority.fingerprint)).size).toBe(1);
  expect(opened.filter(({ made }) => made === "first")).toHaveLength(1);
});

test("an authority that ends soon gives way to another", async () => {
  const folder = await scratchFolder();
  const first = await openAuthority(folder, scopeOf("10.0.0.1"), new Date(now.getTime() - 352 * DAY_MS));
  const next = await openAuthority(folder, scopeOf("10.0.0.1"), now);
  expect(next.made).toBe("ended");
  expect(next.authority.fingerprint).not.toBe(first.authority.fingerprint);
});

test("an authority that others could read, or that is damaged, is refused with what to do", async () => {
  const folder = await scratchFolder();
  const { path } = await openAuthority(folder, scopeOf("10.0.0.1"), now);
  const open = () => openAuthority(folder, scopeOf("10.0.0.1"), now);
  await chmod(path, 0o640);
  await expect(open()).rejects.toMatchObject({
    code: "CERTIFICATE_INVALID",
    message: expect.stringMatching(/mode 640.*chmod 600/s),
  });
  await chmod(path, 0o600);
  const text = await readFile(path, "utf8");
  const { certificate } = await makeAuthority(scopeOf("10.0.0.1"), now);
  for (const damaged of [text.slice(0, 300), text.replace(/[\s\S]*END CERTIFICATE-----\n/, certificate)]) {
    await writeFile(path, damaged);
    await expect(open()).rejects.toMatchObject({
      code: "CERTIFICATE_INVALID",
      message: expect.stringMatching(/damaged.*Delete it/s),
    });
  }
});

test("settings lie where the system has them", async () => {
  expect(configFolder({ XDG_CONFIG_HOME: "/home/a/.settings" }, "linux")).toBe("/home/a/.settings/bitswarm");
  expect(configFolder({ XDG_CONFIG_HOME: "relative" }, "linux")).toMatch(/\.config\/bitswarm$/);
  expect(configFolder({ APPDATA: "/Users/a/AppData" }, "win32")).toMatch(/AppData.bitswarm$/);
});

test("a signature is of the whole certificate", async () => {
  const authority = await makeAuthority(scopeOf("10.0.0.1"), now);
  const { raw } = new X509Certificate(authority.certificate);
  const changed = Buffer.from(raw);
  changed[raw.indexOf(Buffer.from("bitswarm class room"))] ^= 1;
  expect(new X509Certificate(changed).verify(createPublicKey(authority.certificate))).toBe(false);
});
