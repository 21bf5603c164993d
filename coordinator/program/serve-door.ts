// Where a coordinator answers and what it shows there of itself over TLS, as options say it: `--lan` with a certificate
// of the class room's own authority, `--tls-cert` with the operator's, or plain HTTP.

import { hostname, networkInterfaces } from "node:os";
import { BitswarmError } from "../../shared/base/errors.ts";
import { isLoopback, isWildcard } from "../server/origins.ts";
import type { Reach } from "../server/reach.ts";
import { scopeOf } from "../tls/address-scope.ts";
import { configFolder } from "../tls/config-folder.ts";
import type { Identity } from "../tls/identity.ts";
import { addressNow, chooseLanAddress, type LanChoice, routedAddress } from "../tls/lan-address.ts";
import { linkHost, notesOn, readOwnCertificate, requireCovers } from "../tls/own-certificate.ts";

export interface DoorRequest {
  readonly host: string;
  /** An address or an interface of this machine; true for the likeliest. */
  readonly lan?: string | true;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

export interface DoorTls {
  readonly identity: Identity;
  /** In the link, where it is not the host. */
  readonly linkHost?: string;
  /** Where to listen now, as this machine's addresses change. */
  readonly where?: () => Promise<string>;
}

export interface Door {
  readonly host: string;
  readonly tls?: DoorTls;
  /** What whoever starts it should know of what was chosen and made. */
  readonly notes: readonly string[];
}

export const USUAL_HOST = "127.0.0.1";

function lanNote({ address, on, reason, others }: LanChoice): string {
  const rest = others.map((other) => `${other.address} (${other.on})`).join(", ");
  return `--lan takes ${address} (${on}): ${reason}${rest === "" ? "" : `; there are also ${rest}, by --lan=ADDRESS`}`;
}

/** Whom a certificate may be for: every name that this coordinator answers by. */
function hostsOf(host: string): string[] {
  if (isLoopback(host)) return [host, "localhost"];
  if (!isWildcard(host)) return [host];
  const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
  return [...addresses.filter(({ internal }) => !internal).map(({ address }) => address), hostname()];
}

async function ownDoor(
  host: string,
  cert: string,
  key: string,
  { proxies, publicUrl }: Reach,
): Promise<Required<Pick<Door, "tls" | "notes">>> {
  const { ownIdentity } = await import("../tls/identity.ts");
  const paths = { cert, key };
  const own = await readOwnCertificate(paths, new Date());
  const identity = ownIdentity(paths, own);
  // What a proxy shows to volunteers is its own.
  if (publicUrl && proxies.any) return { tls: { identity }, notes: [] };
  const notes = notesOn(own.leaf);
  if (!publicUrl) return { tls: { identity, linkHost: linkHost(own.leaf, hostsOf(host)) }, notes };
  if (publicUrl.protocol !== "https:") {
    throw new BitswarmError(
      "CONFIG_INVALID",
      `--public-url ${publicUrl.href} is http, and with --tls-cert this coordinator speaks https: write https, or --behind-proxy where a proxy is in front`,
    );
  }
  requireCovers(own.leaf, publicUrl);
  return { tls: { identity }, notes };
}

async function roomDoor(begun: string, lan: string | true): Promise<{ readonly tls: DoorTls; readonly note?: string }> {
  // What makes certificates is loaded by those who want one.
  const { openAuthority } = await import("../tls/authority.ts");
  const { authorityIdentity } = await import("../tls/identity.ts");
  const now = new Date();
  let address = begun;
  const { authority, path, made } = await openAuthority(configFolder(), scopeOf(address), now);
  const identity = await authorityIdentity(authority, () => address, now);
  const where = async () => {
    address = addressNow(networkInterfaces(), address, lan, await routedAddress());
    return address;
  };
  const tls = { identity, where };
  if (made === undefined) return { tls };
  const why = made === "first" ? "" : " The one before has ended, or soon does: devices are told to trust this one.";
  return {
    tls,
    note: `a certificate authority for your class rooms was made, "${authority.name.commonName}"; keep its file to yourself: ${path}.${why}`,
  };
}

/** @throws CONFIG_INVALID, CERTIFICATE_MISSING, CERTIFICATE_INVALID, STORAGE_FAILED */
export async function readDoor({ host: named, lan, tlsCert, tlsKey }: DoorRequest, reach: Reach): Promise<Door> {
  if ((tlsCert === undefined) !== (tlsKey === undefined)) {
    const [given, missing] = tlsCert === undefined ? ["--tls-key", "--tls-cert"] : ["--tls-cert", "--tls-key"];
    throw new BitswarmError("CONFIG_INVALID", `${given} needs ${missing}: a certificate and its key go together`);
  }
  if (lan !== undefined && named !== USUAL_HOST) {
    throw new BitswarmError(
      "CONFIG_INVALID",
      `--lan and --host ${named} both say where to listen: leave one out; --lan=${isWildcard(named) ? "ADDRESS" : named} takes an address of this machine`,
    );
  }
  const choice = lan === undefined ? undefined : chooseLanAddress(networkInterfaces(), lan, await routedAddress());
  const host = choice?.address ?? named;
  const notes = choice ? [lanNote(choice)] : [];
  if (tlsCert !== undefined && tlsKey !== undefined) {
    const own = await ownDoor(host, tlsCert, tlsKey, reach);
    return { host, tls: own.tls, notes: [...notes, ...own.notes] };
  }
  if (!choice) return { host, notes };
  const { tls, note } = await roomDoor(host, lan ?? host);
  return { host, tls, notes: note === undefined ? notes : [...notes, note] };
}
