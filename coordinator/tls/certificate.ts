// Certificates of a local authority and of the servers that it signs for (RFC 5280).

import "reflect-metadata";
import { createPublicKey, type KeyObject, randomBytes, webcrypto } from "node:crypto";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  Extension,
  type JsonName,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { type Network, networkBytes } from "./address-scope.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const NAME_CONSTRAINTS = "2.5.29.30";
/** Kinds of a GeneralName. */
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;
const SEQUENCE = 0x30;
const PERMITTED = 0xa0;
/** Below a top level that nobody can have (RFC 2606): where this alone is permitted, no name is. */
const NO_NAME = "bitswarm.invalid";
const SERIAL_BYTES = 16;

export interface Lifetime {
  readonly from: Date;
  readonly until: Date;
}

/** A certificate's own name, which says whose it is and nothing that is verified. */
export interface CertificateName {
  readonly organization: string;
  readonly commonName: string;
}

const nameOf = ({ organization, commonName }: CertificateName): JsonName => [
  { O: [organization] },
  { CN: [commonName] },
];

/** A number that nobody foresees, positive and never 0. */
function serialNumber(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = (bytes[0] & 0x7f) | 0x40;
  return bytes.toString("hex");
}

function signingKey(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const bytes = key.export({ type: "pkcs8", format: "der" });
  return webcrypto.subtle.importKey("pkcs8", bytes, ALGORITHM, false, ["sign"]);
}

function publicKey(key: KeyObject): Promise<webcrypto.CryptoKey> {
  const bytes = createPublicKey(key).export({ type: "spki", format: "der" });
  return webcrypto.subtle.importKey("spki", bytes, ALGORITHM, true, ["verify"]);
}

/** A value of DER (ITU-T X.690). */
function tagged(tag: number, content: Uint8Array): Buffer {
  const { length } = content;
  const long = length < 0x80 ? [length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Uint8Array.of(tag, ...long), content]);
}

/** The extension that the library has no class for: what certificates below this one may be for, and nothing else. */
function nameConstraints(networks: readonly Network[]): Extension {
  const subtree = (kind: number, bytes: Uint8Array) => tagged(SEQUENCE, tagged(kind, bytes));
  const subtrees = [
    ...networks.map((network) => subtree(IP_ADDRESS, networkBytes(network))),
    // A kind of which nothing is permitted by name would be free.
    subtree(DNS_NAME, Buffer.from(NO_NAME, "latin1")),
  ];
  return new Extension(NAME_CONSTRAINTS, true, tagged(SEQUENCE, tagged(PERMITTED, Buffer.concat(subtrees))));
}

/**
 * An authority that signs itself, in PEM. Its certificates are for TLS servers at addresses of these networks alone,
 * and none of them is an authority.
 * @param key on the curve P-256, private
 */
export async function authorityCertificate(
  name: CertificateName,
  networks: readonly Network[],
  { from, until }: Lifetime,
  key: KeyObject,
): Promise<string> {
  const shown = await publicKey(key);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: nameOf(name),
    notBefore: from,
    notAfter: until,
    signingAlgorithm: ALGORITHM,
    keys: { publicKey: shown, privateKey: await signingKey(key) },
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      nameConstraints(networks),
      await SubjectKeyIdentifierExtension.create(shown),
    ],
  });
  return `${certificate.toString("pem")}\n`;
}

/**
 * A server's certificate, in PEM.
 * @param addresses where it answers
 * @param key the server's, private
 */
export async function serverCertificate(
  addresses: readonly string[],
  { from, until }: Lifetime,
  key: KeyObject,
  authority: { readonly name: CertificateName; readonly key: KeyObject },
): Promise<string> {
  const shown = await publicKey(key);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serialNumber(),
    issuer: nameOf(authority.name),
    // Some take a name that looks like a host's for one, and look for it among what is permitted: this has a space.
    subject: nameOf({ organization: authority.name.organization, commonName: "a coordinator" }),
    notBefore: from,
    notAfter: until,
    signingAlgorithm: ALGORITHM,
    publicKey: shown,
    signingKey: await signingKey(authority.key),
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(addresses.map((value) => ({ type: "ip", value }))),
      await SubjectKeyIdentifierExtension.create(shown),
      await AuthorityKeyIdentifierExtension.create(await publicKey(authority.key)),
    ],
  });
  return `${certificate.toString("pem")}\n`;
}
