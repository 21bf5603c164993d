// Which addresses an authority may speak for: those of private networks, which mean nothing elsewhere, or one address
// alone where a room's network has public ones.

import { BlockList, isIP } from "node:net";

/** An address and how many of its bits count. */
export interface Network {
  readonly address: string;
  readonly bits: number;
}

export interface Scope {
  /** In the name of its authority's file. */
  readonly name: string;
  readonly networks: readonly Network[];
}

/** RFC 1918 and RFC 4193: addresses that anybody uses and nobody owns. */
const privateScope: Scope = {
  name: "private",
  networks: [
    { address: "10.0.0.0", bits: 8 },
    { address: "172.16.0.0", bits: 12 },
    { address: "192.168.0.0", bits: 16 },
    { address: "fc00::", bits: 7 },
  ],
};

const family = (address: string) => (isIP(address) === 6 ? "ipv6" : "ipv4");

export function isWithin(address: string, networks: readonly Network[]): boolean {
  const list = new BlockList();
  for (const network of networks) list.addSubnet(network.address, network.bits, family(network.address));
  return list.check(address, family(address));
}

export function isPrivate(address: string): boolean {
  return isWithin(address, privateScope.networks);
}

/** The scope whose authority signs for an address. @param address IPv4 or IPv6, without a zone */
export function scopeOf(address: string): Scope {
  if (isPrivate(address)) return privateScope;
  const whole = isIP(address) === 6 ? 128 : 32;
  return { name: address.replaceAll(":", "-"), networks: [{ address, bits: whole }] };
}

/** The 4 or 16 bytes of an address, the highest first. */
export function addressBytes(address: string): Uint8Array<ArrayBuffer> {
  if (isIP(address) === 4) return Uint8Array.from(address.split(".").map(Number));
  // The URL parser writes an address in its shortest form, an IPv4 tail as two groups.
  const plain = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head, tail] = plain.split("::").map((part) => part.split(":").filter((group) => group !== ""));
  const groups = [...head, ...Array(8 - head.length - (tail?.length ?? 0)).fill("0"), ...(tail ?? [])];
  return Uint8Array.from(
    groups.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]),
  );
}

/** A network as name constraints have it (RFC 5280, 4.2.1.10): its address, then its mask. */
export function networkBytes({ address, bits }: Network): Uint8Array<ArrayBuffer> {
  const bytes = addressBytes(address);
  const mask = bytes.map((_, i) => 0xff << Math.max(0, 8 - Math.max(0, bits - 8 * i)));
  return Uint8Array.of(...bytes, ...mask);
}
