// What a server shows of itself over TLS, and when it needs another: a week's certificate of the local authority, or
// the files that the operator brought, which may be renewed under a run of weeks.

import { type Authority, BACKDATED_MS, newKey } from "./authority.ts";
import { serverCertificate } from "./certificate.ts";
import { type CertificatePaths, type Credentials, type OwnCertificate, readOwnCertificate } from "./own-certificate.ts";

export interface Identity {
  readonly credentials: Credentials;
  /** What devices are told to trust; none for a certificate of the operator's. */
  readonly authority?: Authority;
  /**
   * Looks whether it has to be another, and makes or reads it.
   * @returns whether it is another now
   * @throws CERTIFICATE_MISSING, CERTIFICATE_INVALID for files that do not go together
   */
  renew(now: Date): Promise<boolean>;
}

const WEEK_MS = 7 * 86_400_000;

/** Whether a server's certificate has to be made anew: for another address, or half its life before its end. */
export function isDue(
  made: { readonly address: string; readonly at: number },
  { address, now }: { readonly address: string; readonly now: number },
): boolean {
  return made.address !== address || now - made.at > WEEK_MS / 2;
}

/** A server's certificate of the authority, with a key that is in memory alone. */
async function signedFor(authority: Authority, address: string, now: Date): Promise<Credentials> {
  const until = Math.min(now.getTime() + WEEK_MS, authority.until.getTime());
  const lifetime = { from: new Date(now.getTime() - BACKDATED_MS), until: new Date(until) };
  const key = newKey();
  const certificate = await serverCertificate([address], lifetime, key, authority);
  return {
    cert: `${certificate}${authority.certificate}`,
    key: String(key.export({ type: "pkcs8", format: "pem" })),
  };
}

/** @param address at which it answers now */
export async function authorityIdentity(authority: Authority, address: () => string, now: Date): Promise<Identity> {
  let made = { address: address(), at: now.getTime() };
  let credentials = await signedFor(authority, made.address, now);
  return {
    authority,
    get credentials() {
      return credentials;
    },
    renew: async (at) => {
      const here = address();
      if (!isDue(made, { address: here, now: at.getTime() })) return false;
      credentials = await signedFor(authority, here, at);
      made = { address: here, at: at.getTime() };
      return true;
    },
  };
}

/** @param own as it was read first */
export function ownIdentity(paths: CertificatePaths, own: OwnCertificate): Identity {
  let credentials: Credentials = own;
  return {
    get credentials() {
      return credentials;
    },
    renew: async (now) => {
      const { cert, key } = await readOwnCertificate(paths, now);
      const same = cert === credentials.cert && key === credentials.key;
      credentials = { cert, key };
      return !same;
    },
  };
}
