// A certificate that the operator brings: what is wrong with it is said before a volunteer meets it.

import { generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { makeAuthority, newKey } from "../../../coordinator/tls/authority.ts";
import { serverCertificate } from "../../../coordinator/tls/certificate.ts";
import { ownIdentity } from "../../../coordinator/tls/identity.ts";
import {
  linkHost,
  MOST_PEM_BYTES,
  namesIn,
  notesOn,
  readOwnCertificate,
  requireCovers,
} from "../../../coordinator/tls/own-certificate.ts";
import { scratchFolder } from "../../fixtures/test-run.ts";

const now = new Date();
const DAY_MS = 86_400_000;
const days = (count: number) => new Date(now.getTime() + count * DAY_MS);
const authority = await makeAuthority({ name: "test", networks: [{ address: "192.168.0.0", bits: 16 }] }, now);

const pemOf = (key: KeyObject) => String(key.export({ type: "pkcs8", format: "pem" }));

/** Files as an operator has them. */
async function files(cert: string, key: string) {
  const folder = await scratchFolder();
  const paths = { cert: join(folder, "chain.pem"), key: join(folder, "key.pem") };
  await writeFile(paths.cert, cert);
  await writeFile(paths.key, key);
  return paths;
}

async function issued(from = days(-1), until = days(10)) {
  const key = newKey();
  return { key: pemOf(key), cert: await serverCertificate(["192.168.1.20"], { from, until }, key, authority) };
}

test("a certificate with its key and its chain is taken as it is", async () => {
  const { cert, key } = await issued();
  const chain = `${cert}${authority.certificate}`;
  const own = await readOwnCertificate(await files(chain, key), now);
  expect([own.cert, own.key]).toEqual([chain, key]);
  expect(namesIn(own.leaf)).toEqual(["192.168.1.20"]);
});

test("of an authority's own certificate, which openssl makes unless told otherwise, it is said that Deno refuses it", async () => {
  expect(notesOn(new X509Certificate((await issued()).cert))).toEqual([]);
  expect(notesOn(new X509Certificate(authority.certificate))).toEqual([expect.stringContaining("CA:FALSE")]);
});

const good = await issued();
const locked = generateKeyPairSync("ec", {
  namedCurve: "P-256",
  privateKeyEncoding: { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "secret" },
  publicKeyEncoding: { type: "spki", format: "pem" },
}).privateKey;
const over = await issued(days(-20), days(-1));
const early = await issued(days(2), days(20));

test.each([
  [
    "a key that does not fit",
    good.cert,
    (await issued()).key,
    /the key in .*key\.pem .*is not that of the first certificate/,
  ],
  ["no certificate", "hello", good.key, /chain\.pem \(--tls-cert\) holds no certificate in PEM/],
  ["no key", good.cert, "hello", /key\.pem \(--tls-key\) holds no private key in PEM/],
  ["a locked key", good.cert, locked, /locked with a password.*openssl pkey/],
  ["one that is over", over.cert, over.key, /ended on .*: browsers refuse it\. Renew it/],
  ["one that has not begun", early.cert, early.key, /begins on .*set this machine's clock/],
  ["a file without an end", "x".repeat(MOST_PEM_BYTES + 1), good.key, /has 1048577 bytes; at most 1048576/],
])("%s is CERTIFICATE_INVALID and says what to do", async (_, cert, key, message) => {
  const error = await readOwnCertificate(await files(cert, key), now).catch((cause) => cause);
  expect(error).toMatchObject({ code: "CERTIFICATE_INVALID", message: expect.stringMatching(message) });
});

test("a file that is not there is CERTIFICATE_MISSING, with its option", async () => {
  const paths = await files(good.cert, good.key);
  await expect(readOwnCertificate({ ...paths, key: `${paths.key}.not` }, now)).rejects.toMatchObject({
    code: "CERTIFICATE_MISSING",
    message: expect.stringMatching(/key\.pem\.not, which --tls-key names/),
  });
});

/** As `openssl req -x509 -subj /CN=old.example.org -addext subjectAltName=DNS:*.example.org,DNS:swarm.example.org`. */
const named = new X509Certificate(`-----BEGIN CERTIFICATE-----
MIIBuTCCAV+gAwIBAgIUSQcwHi3sFfVPSVdeHQ1FZZPfo4EwCgYIKoZIzj0EAwIw
GjEYMBYGA1UEAwwPb2xkLmV4YW1wbGUub3JnMCAXDTI2MTEzMDIwMjQzOVoYDzIx
MjYxMTA2MjAyNDM5WjAaMRgwFgYDVQQDDA9vbGQuZXhhbXBsZS5vcmcwWTATBgcq
hkjOPQIBBggqhkjOPQMBBwNCAAQR/UlKeX/I5iDWZOqXA/wFHgyZ5uBfJpSQAKca
b4KNLHxPxGJ5z4wVqwSfM06wPv5bHea4HDhqSVIrW3GkTP9Ho4GAMH4wHQYDVR0O
BBYEFA+M61gl3Ma9Sgd0fnjOOOzOnpcPMB8GA1UdIwQYMBaAFA+M61gl3Ma9Sgd0
fnjOOOzOnpcPMA8GA1UdEwEB/wQFMAMBAf8wKwYDVR0RBCQwIoINKi5leGFtcGxl
Lm9yZ4IRc3dhcm0uZXhhbXBsZS5vcmcwCgYIKoZIzj0EAwIDSAAwRQIgKPoz0RcD
FYtfbBoKEGONc5iZWFev9Cut68gRwX+zKXYCIQDtep8g1I8cf+SiAfOuJGfD6peT
8UFbhK9PcM8qoxWrLw==
-----END CERTIFICATE-----`);
const bare = new X509Certificate(good.cert);

test("the link has the first host that the certificate is for, else the first name in it", () => {
  expect(linkHost(bare, ["127.0.0.1", "192.168.1.20"])).toBe("192.168.1.20");
  expect(linkHost(named, ["127.0.0.1", "localhost"])).toBe("swarm.example.org");
  expect(linkHost(named, ["one.example.org"])).toBe("one.example.org");
  expect(() => linkHost(bare, ["127.0.0.1"])).toThrow(
    expect.objectContaining({
      code: "CERTIFICATE_INVALID",
      message: expect.stringMatching(/is for 192\.168\.1\.20, not for 127\.0\.0\.1: say what volunteers open/),
    }),
  );
});

test("a certificate for another host than volunteers open is refused", () => {
  requireCovers(named, new URL("https://two.example.org:8443/run/"));
  requireCovers(bare, new URL("https://192.168.1.20:8443/"));
  for (const url of ["https://example.org/", "https://a.b.example.org/", "https://old.example.org.evil/"]) {
    expect(() => requireCovers(named, new URL(url))).toThrow(
      expect.objectContaining({ code: "CERTIFICATE_INVALID", message: expect.stringContaining("swarm.example.org") }),
    );
  }
});

test("files that were renewed are read anew, and left alone where they do not fit", async () => {
  const paths = await files(good.cert, good.key);
  const identity = ownIdentity(paths, await readOwnCertificate(paths, now));
  expect(await identity.renew(now)).toBe(false);
  const next = await issued();
  await writeFile(paths.cert, next.cert);
  await expect(identity.renew(now)).rejects.toMatchObject({ code: "CERTIFICATE_INVALID" });
  expect(identity.credentials.cert).toBe(good.cert);
  await writeFile(paths.key, next.key);
  expect(await identity.renew(now)).toBe(true);
  expect(identity.credentials).toEqual(next);
});
