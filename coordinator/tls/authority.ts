// The authority of one user's class rooms: made at first use, kept for their eyes alone, taken again at every start so
// that a device has to be told once.

import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, X509Certificate } from "node:crypto";
import { chmod, link, mkdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { BitswarmError } from "../../shared/base/errors.ts";
import { readPlainText } from "../disk/plain-file.ts";
import { storageError } from "../disk/storage-error.ts";
import type { Scope } from "./address-scope.ts";
import { authorityCertificate, type CertificateName, type Lifetime } from "./certificate.ts";

const SECRET_FILE = 0o600;
const SECRET_FOLDER = 0o700;
const OF_OTHERS = 0o077;
const MOST_BYTES = 2 ** 16;
const DAY_MS = 86_400_000;
/** A school year, a little more; Apple's systems take a server's of up to 825 days. */
const AUTHORITY_DAYS = 365;
/** With less than this left another one is made: a lesson must not be its end. */
const LEAST_DAYS = 14;
/** For clocks of laptops that are late. */
export const BACKDATED_MS = DAY_MS;

const ORGANIZATION = "bitswarm";

export interface Authority {
  readonly name: CertificateName;
  /** PEM. */
  readonly certificate: string;
  readonly key: KeyObject;
  readonly until: Date;
  /** SHA-256, pairs of hexadecimal digits with colons between. */
  readonly fingerprint: string;
  /** The only address that it speaks for; none where it does for those of private networks. */
  readonly onlyAddress?: string;
}

export interface FoundAuthority {
  readonly authority: Authority;
  readonly path: string;
  /** Why it was made now; undefined where it was there. */
  readonly made?: "first" | "ended";
}

/** On the curve P-256, which every system knows. */
export function newKey(): KeyObject {
  return generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
}

export async function makeAuthority(scope: Scope, now: Date): Promise<Authority> {
  const key = newKey();
  const lifetime: Lifetime = {
    from: new Date(now.getTime() - BACKDATED_MS),
    until: new Date(now.getTime() + AUTHORITY_DAYS * DAY_MS),
  };
  // By which people find it again among others, to take it off.
  const name = {
    organization: ORGANIZATION,
    commonName: `bitswarm class room ${randomBytes(2).toString("hex")}`,
  };
  return authorityOf(await authorityCertificate(name, scope.networks, lifetime, key), key, scope);
}

function authorityOf(certificate: string, key: KeyObject, { networks }: Scope): Authority {
  const { subject, validTo, fingerprint256 } = new X509Certificate(certificate);
  const [, commonName = ""] = /^CN=(.*)$/m.exec(subject) ?? [];
  return {
    name: { organization: ORGANIZATION, commonName },
    certificate,
    key,
    until: new Date(validTo),
    fingerprint: fingerprint256,
    ...(networks.length === 1 ? { onlyAddress: networks[0].address } : {}),
  };
}

/** The authority in a file's text. @throws CERTIFICATE_INVALID */
function parsed(text: string, path: string, scope: Scope): Authority {
  const [certificate] = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/.exec(text) ?? [];
  try {
    const key = createPrivateKey(text);
    if (certificate !== undefined && new X509Certificate(certificate).checkPrivateKey(key)) {
      return authorityOf(certificate, key, scope);
    }
  } catch {}
  throw new BitswarmError(
    "CERTIFICATE_INVALID",
    `${path} is damaged: it should hold the certificate and the key of this user's class room. Delete it to have a new one made; devices are told to trust that again`,
  );
}

/** @throws CERTIFICATE_INVALID where others could have read the key */
async function requireSecret(path: string): Promise<void> {
  const { mode } = await stat(path);
  if (process.platform === "win32" || (mode & OF_OTHERS) === 0) return;
  const is = (mode & 0o777).toString(8);
  throw new BitswarmError(
    "CERTIFICATE_INVALID",
    `${path} holds a key and may be read by others of this machine (mode ${is}, it must be 600). If nobody did, \`chmod 600\` it; else delete it to have a new one made, and take the old one off the devices that trust it`,
  );
}

async function read(path: string, scope: Scope): Promise<Authority | undefined> {
  const text = await readPlainText(path, { code: "CERTIFICATE_INVALID", mostBytes: MOST_BYTES });
  if (text === undefined) return undefined;
  await requireSecret(path);
  return parsed(text, path, scope);
}

/** Writes a file that only this user may read, in one step. @returns false where another start was first */
async function writeSecret(path: string, text: string): Promise<boolean> {
  const beside = `${path}.writing-${randomBytes(6).toString("hex")}`;
  try {
    await writeFile(beside, text, { mode: SECRET_FILE, flag: "wx" });
    await link(beside, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  } finally {
    await rm(beside, { force: true });
  }
}

/**
 * The user's authority for a scope; made where there is none, or where it ends soon.
 * @param folder of the user's settings
 * @throws CERTIFICATE_INVALID, STORAGE_FAILED
 */
export async function openAuthority(folder: string, scope: Scope, now: Date): Promise<FoundAuthority> {
  const home = join(folder, "tls");
  const path = join(home, `authority-${scope.name}.pem`);
  const found = await read(path, scope);
  if (found && found.until.getTime() - now.getTime() > LEAST_DAYS * DAY_MS) return { authority: found, path };
  const authority = await makeAuthority(scope, now);
  const secret = authority.key.export({ type: "pkcs8", format: "pem" });
  try {
    await mkdir(home, { recursive: true, mode: SECRET_FOLDER });
    if (process.platform !== "win32") await chmod(home, SECRET_FOLDER);
    if (found) await rm(path);
    if (await writeSecret(path, `${authority.certificate}${secret}`)) {
      return { authority, path, made: found ? "ended" : "first" };
    }
  } catch (error) {
    throw storageError(error, path);
  }
  const others = await read(path, scope);
  if (others) return { authority: others, path };
  throw new BitswarmError("STORAGE_FAILED", `${path} was there and is gone again; start anew`);
}
