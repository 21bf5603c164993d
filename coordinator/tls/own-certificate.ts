// A certificate that the operator brings: read, and judged before anybody is let down by it.

import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { BitswarmError } from "../../shared/base/errors.ts";
import { readPlainText } from "../disk/plain-file.ts";

/** Of a file with a chain of certificates or a key. */
export const MOST_PEM_BYTES = 2 ** 20;

export interface CertificatePaths {
  readonly cert: string;
  readonly key: string;
}

/** Both in PEM, the chain from the server's own certificate upwards. */
export interface Credentials {
  readonly cert: string;
  readonly key: string;
}

export interface OwnCertificate extends Credentials {
  readonly leaf: X509Certificate;
}

function invalid(message: string): BitswarmError {
  return new BitswarmError("CERTIFICATE_INVALID", message);
}

async function pem(path: string, option: string): Promise<string> {
  let text: string | undefined;
  try {
    text = await readPlainText(path, { code: "CERTIFICATE_INVALID", mostBytes: MOST_PEM_BYTES });
  } catch (cause) {
    if (cause instanceof BitswarmError && cause.code === "CERTIFICATE_INVALID") throw cause;
    const why = (cause as Error).message;
    throw new BitswarmError("CERTIFICATE_MISSING", `the file of ${option} cannot be read: ${why}`, { cause });
  }
  if (text !== undefined) return text;
  throw new BitswarmError(
    "CERTIFICATE_MISSING",
    `there is no file ${path}, which ${option} names; --lan makes a certificate by itself`,
  );
}

function certificateIn(text: string, path: string): X509Certificate {
  try {
    if (text.includes("-----BEGIN CERTIFICATE-----")) return new X509Certificate(text);
  } catch {}
  throw invalid(
    `${path} (--tls-cert) holds no certificate in PEM: it begins with -----BEGIN CERTIFICATE-----, the server's own first, then those that signed it`,
  );
}

function keyIn(text: string, path: string): KeyObject {
  if (/ENCRYPTED/.test(text)) {
    throw invalid(
      `the key in ${path} (--tls-key) is locked with a password, which nobody is there to type; write it without one: openssl pkey -in ${path} -out FILE`,
    );
  }
  try {
    return createPrivateKey(text);
  } catch {}
  throw invalid(`${path} (--tls-key) holds no private key in PEM: it begins with -----BEGIN PRIVATE KEY-----`);
}

/** @throws CERTIFICATE_INVALID for one that is over, or has not begun */
export function requireValid({ validFrom, validTo }: Pick<X509Certificate, "validFrom" | "validTo">, now: Date): void {
  if (now > new Date(validTo)) {
    throw invalid(
      `the certificate of --tls-cert ended on ${validTo}, and it is ${now.toUTCString()}: browsers refuse it. Renew it, or set this machine's clock`,
    );
  }
  if (now < new Date(validFrom)) {
    throw invalid(
      `the certificate of --tls-cert begins on ${validFrom}, and it is ${now.toUTCString()}: set this machine's clock, or wait`,
    );
  }
}

/** @throws CERTIFICATE_MISSING, CERTIFICATE_INVALID */
export async function readOwnCertificate(paths: CertificatePaths, now: Date): Promise<OwnCertificate> {
  const [cert, key] = [await pem(paths.cert, "--tls-cert"), await pem(paths.key, "--tls-key")];
  const leaf = certificateIn(cert, paths.cert);
  if (!leaf.checkPrivateKey(keyIn(key, paths.key))) {
    throw invalid(
      `the key in ${paths.key} (--tls-key) is not that of the first certificate in ${paths.cert} (--tls-cert), ${leaf.subject.replaceAll("\n", ", ")}: they belong together as they were issued`,
    );
  }
  requireValid(leaf, now);
  return { cert, key, leaf };
}

/** What to tell whoever brings a certificate that some workers refuse; nothing where all take it. */
export function notesOn({ ca }: Pick<X509Certificate, "ca">): readonly string[] {
  if (!ca) return [];
  return [
    'the certificate of --tls-cert is an authority\'s, as "openssl req -x509" makes it: browsers may take it, Deno workers do not. Make it with -addext basicConstraints=critical,CA:FALSE for them',
  ];
}

/** Whether browsers take a certificate for a host. @param host a name or an address, without brackets */
export function covers(leaf: X509Certificate, host: string): boolean {
  return isIP(host) === 0 ? leaf.checkHost(host, { subject: "never" }) !== undefined : leaf.checkIP(host) !== undefined;
}

/** The names and addresses that a certificate is for. */
export function namesIn({ subjectAltName = "" }: Pick<X509Certificate, "subjectAltName">): string[] {
  return [...subjectAltName.matchAll(/(?:DNS|IP Address):([^,"\s]+)/g)].map(([, name]) => name);
}

/**
 * The host of the volunteers' link: the first of these that a certificate is for, else the first name that it is for.
 * @param hosts that this coordinator answers at
 * @throws CERTIFICATE_INVALID where there is none
 */
export function linkHost(leaf: X509Certificate, hosts: readonly string[]): string {
  const known = hosts.find((host) => covers(leaf, host));
  if (known !== undefined) return known;
  const names = namesIn(leaf);
  const name = names.find((each) => isIP(each) === 0 && !each.includes("*"));
  if (name !== undefined) return name;
  throw invalid(
    `the certificate of --tls-cert is for ${names.join(", ") || "no host at all"}, not for ${hosts.join(" or ")}: say what volunteers open with --public-url https://NAME:PORT/, or have one issued for this host`,
  );
}

/** @throws CERTIFICATE_INVALID where browsers would refuse it for what volunteers open */
export function requireCovers(leaf: X509Certificate, { hostname, href }: URL): void {
  if (covers(leaf, hostname.replace(/^\[(.*)\]$/, "$1"))) return;
  throw invalid(
    `the certificate of --tls-cert is for ${namesIn(leaf).join(", ") || "no host at all"}, not for ${hostname} of --public-url ${href}: have one issued for that name, or correct the address`,
  );
}
