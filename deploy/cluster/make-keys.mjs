#!/usr/bin/env node
// Makes what the machines of a run know each other by: an authority with a certificate for each NATS server,
// coordinator and gateway, and a key for each of these two. Run again with more names it adds theirs and leaves what is
// there.
//   node deploy/cluster/make-keys.mjs [--out deploy/cluster/keys] [--nodes nats-0,nats-1,nats-2]
//     [--hosts nats-0=10.0.0.1,…] [--coordinators c-0,c-1] [--gateways g-0,g-1,g-2]

import "reflect-metadata";
import { createPrivateKey, generateKeyPairSync, randomBytes, webcrypto } from "node:crypto";
import fs from "node:fs";
import { isIP } from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { createUser, fromSeed } from "@nats-io/nkeys";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { clusterName, usersConf } from "./users.mjs";

/** @typedef {import("./make-keys.d.mts").ClusterNames} ClusterNames */

const here = path.dirname(fileURLToPath(import.meta.url));
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const DAY_MS = 86_400_000;
/** Nobody notices in time that a cluster's certificates end: as long as a run may last, and machines stand. */
const DAYS = 3650;
/** Clocks of machines differ. */
const EARLIER_MS = DAY_MS;

/** For its owner's eyes. @param {string} file @param {string | Uint8Array} content */
function writeSecret(file, content) {
  fs.writeFileSync(file, content, { mode: 0o600, flag: "wx" });
}

/** @param {string} file */
function newKey(file) {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  writeSecret(file, privateKey.export({ type: "pkcs8", format: "pem" }));
}

/** @param {string} file */
async function keyPair(file) {
  const key = createPrivateKey(fs.readFileSync(file));
  const secret = key.export({ type: "pkcs8", format: "der" });
  const jwk = key.export({ format: "jwk" });
  const { subtle } = webcrypto;
  return {
    privateKey: await subtle.importKey("pkcs8", secret, ALGORITHM, false, ["sign"]),
    publicKey: await subtle.importKey("jwk", { kty: jwk.kty, crv: jwk.crv, x: jwk.x, y: jwk.y }, ALGORITHM, true, [
      "verify",
    ]),
  };
}

function lifetime() {
  const now = Date.now();
  return {
    notBefore: new Date(now - EARLIER_MS),
    notAfter: new Date(now + DAYS * DAY_MS),
    // Positive, and never 0.
    serialNumber: `40${randomBytes(15).toString("hex")}`,
  };
}

/** The authority of this folder, made where there is none. @param {string} out */
async function authority(out) {
  const folder = path.join(out, "authority");
  const [keyFile, file] = [path.join(folder, "ca.key"), path.join(out, "ca.pem")];
  fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  if (!fs.existsSync(keyFile)) newKey(keyFile);
  const keys = await keyPair(keyFile);
  if (!fs.existsSync(file)) {
    const certificate = await X509CertificateGenerator.createSelfSigned({
      ...lifetime(),
      name: "CN=bitswarm cluster",
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [
        new BasicConstraintsExtension(true, 0, true),
        new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      ],
    });
    fs.writeFileSync(file, `${certificate.toString("pem")}\n`);
  }
  return { keys, certificate: new X509Certificate(fs.readFileSync(file, "utf8")) };
}

/**
 * @param {string} out @param {string} node @param {string} service in Kubernetes, of which it is a pod
 * @param {string | undefined} host @param {Awaited<ReturnType<typeof authority>>} signer
 */
async function nodeCertificate(out, node, service, host, signer) {
  const [keyFile, file] = [path.join(out, `${node}.key`), path.join(out, `${node}.pem`)];
  if (fs.existsSync(file)) return;
  newKey(keyFile);
  const names = [node, `${node}.${service}`, "localhost", "127.0.0.1", ...(host === undefined ? [] : [host])];
  const certificate = await X509CertificateGenerator.create({
    ...lifetime(),
    subject: `CN=${node}`,
    issuer: signer.certificate.subject,
    signingKey: signer.keys.privateKey,
    publicKey: (await keyPair(keyFile)).publicKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      // A server to clients, and a client to the other servers.
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension(names.map((value) => ({ type: isIP(value) ? "ip" : "dns", value }))),
    ],
  });
  fs.writeFileSync(file, `${certificate.toString("pem")}\n`);
}

/** The public key of who has this name. @param {string} out @param {string} id */
function userKey(out, id) {
  const file = path.join(out, `${id}.nk`);
  if (!fs.existsSync(file)) writeSecret(file, createUser().getSeed());
  return fromSeed(new TextEncoder().encode(fs.readFileSync(file, "utf8").trim())).getPublicKey();
}

/** @param {string} out @param {ClusterNames} names */
export async function makeKeys(out, { nodes, hosts = {}, coordinators, gateways }) {
  const all = [...nodes, ...coordinators, ...gateways];
  const wrong = all.find((name, index) => !clusterName.test(name) || all.indexOf(name) !== index);
  if (wrong !== undefined) {
    throw new Error(
      `${JSON.stringify(wrong)} is no name, or one that two have: take up to 32 of a-z, 0-9 and -, each name once`,
    );
  }
  fs.mkdirSync(out, { recursive: true, mode: 0o700 });
  const signer = await authority(out);
  for (const node of nodes) await nodeCertificate(out, node, "nats", hosts[node], signer);
  // With these long bytes go over HTTPS.
  for (const node of coordinators) await nodeCertificate(out, node, "c", hosts[node], signer);
  for (const node of gateways) await nodeCertificate(out, node, "g", hosts[node], signer);
  const users = [
    ...coordinators.map((id) => ({ role: /** @type {const} */ ("coordinator"), id, publicKey: userKey(out, id) })),
    ...gateways.map((id) => ({ role: /** @type {const} */ ("gateway"), id, publicKey: userKey(out, id) })),
  ];
  fs.writeFileSync(path.join(out, "users.conf"), usersConf(users));
  // A server's configuration includes it by name alone: no variable may stand there.
  fs.copyFileSync(path.join(here, "nats.conf"), path.join(out, "nats.conf"));
}

async function main() {
  const { values } = parseArgs({
    options: {
      out: { type: "string", default: path.join(here, "keys") },
      nodes: { type: "string", default: "nats-0,nats-1,nats-2" },
      hosts: { type: "string", default: "" },
      coordinators: { type: "string", default: "c-0,c-1" },
      gateways: { type: "string", default: "g-0,g-1,g-2" },
    },
  });
  /** @param {string} text */
  const names = (text) => text.split(",").filter((name) => name !== "");
  const hosts = Object.fromEntries(names(values.hosts).map((pair) => pair.split("=")));
  const { nodes, coordinators, gateways } = values;
  await makeKeys(values.out, {
    nodes: names(nodes),
    hosts,
    coordinators: names(coordinators),
    gateways: names(gateways),
  });
  console.log(`keys and certificates are in ${values.out}; keep ${path.join(values.out, "authority")} off the servers`);
}

if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) await main();
