// Which of this machine's addresses a room full of people can reach: a pure choice among its interfaces, with its
// reason.

import { createSocket } from "node:dgram";
import { isIP } from "node:net";
import type { NetworkInterfaceInfo } from "node:os";
import { BitswarmError } from "../../shared/base/errors.ts";
import { isPrivate, isWithin, scopeOf } from "./address-scope.ts";

/** As Node lists them. */
export type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

/** One of this machine's addresses. */
export interface LocalAddress {
  readonly address: string;
  /** The interface's name: `wlan0`, `Wi-Fi`. */
  readonly on: string;
}

export interface LanChoice extends LocalAddress {
  readonly reason: string;
  /** What else `--lan` might have named, the likeliest first. */
  readonly others: readonly LocalAddress[];
}

/** Of containers, virtual machines and tunnels: nobody in the room is there. */
const VIRTUAL =
  /^(docker|br-|veth|virbr|vmnet|vmenet|vboxnet|lxc|lxd|cni|flannel|cali|podman|tun|tap|utun|ppp|wg|tailscale|zt|ipsec|gif|stf|awdl|llw|anpi|bridge\d)|vethernet|virtualbox|vmware|hyper-v|loopback|wsl|vpn|tap-windows|bluetooth/i;
const LINK_LOCAL = [{ address: "169.254.0.0", bits: 16 }];

interface Candidate extends LocalAddress {
  readonly internal: boolean;
}

function candidatesOf(interfaces: Interfaces): Candidate[] {
  return (
    Object.entries(interfaces)
      .flatMap(([on, all]) => (all ?? []).map(({ address, internal }) => ({ address, on, internal })))
      // A browser's address has no place for the zone that these need.
      .filter(({ address }) => isIP(address) !== 0 && !address.includes("%") && !/^fe[89ab]/i.test(address))
  );
}

/** The lower the better. */
function rankOf({ address, on, internal }: Candidate, routed: string | undefined): number {
  if (internal) return 6;
  if (VIRTUAL.test(on)) return 5;
  if (isIP(address) === 6) return 4;
  if (isWithin(address, LINK_LOCAL)) return 3;
  if (address === routed) return 0;
  return isPrivate(address) ? 1 : 2;
}

const shown = ({ address, on }: LocalAddress) => `${address} (${on})`;

function listed(candidates: readonly LocalAddress[]): string {
  return candidates.length === 0 ? "it has none" : `it has ${candidates.map(shown).join(", ")}`;
}

function reasonOf(taken: Candidate, routed: string | undefined, rest: readonly Candidate[]): string {
  if (taken.address === routed) return "this machine reaches other networks by it";
  if (rest.some((other) => !other.internal && !VIRTUAL.test(other.on))) return "the likeliest of several";
  return "the only one of a network with others in it";
}

/**
 * @param wanted an address or an interface's name, as `--lan` has it; true where it has nothing
 * @param routed the address that this machine sends from to other networks, where there is one
 * @throws CONFIG_INVALID where it is none of this machine's, or there is none to choose
 */
export function chooseLanAddress(interfaces: Interfaces, wanted: string | true, routed?: string): LanChoice {
  const all = candidatesOf(interfaces);
  const ranked = all
    .map((candidate) => ({ candidate, rank: rankOf(candidate, routed) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ candidate }) => candidate);
  const outward = ranked.filter(({ internal }) => !internal);
  if (wanted === true) {
    const [taken, ...rest] = outward;
    if (taken && !VIRTUAL.test(taken.on)) {
      const { address, on } = taken;
      return { address, on, reason: reasonOf(taken, routed, rest), others: rest };
    }
    throw new BitswarmError(
      "CONFIG_INVALID",
      `--lan finds no network that others are in; ${listed(outward)}. Connect this machine to the room's network, or name one of its addresses: --lan=ADDRESS`,
    );
  }
  const named = ranked.find(({ address, on }) => address === wanted || on === wanted);
  if (named) {
    const others = outward.filter(({ address }) => address !== named.address);
    return { address: named.address, on: named.on, reason: "it was named", others };
  }
  const file = /\.ya?ml$/.test(wanted) ? ". A run's file comes before --lan, or write --lan=ADDRESS" : "";
  throw new BitswarmError(
    "CONFIG_INVALID",
    `--lan takes an address or an interface of this machine: ${listed(ranked)}; got ${JSON.stringify(wanted)}${file}`,
  );
}

/**
 * Where a coordinator listens from now on: where it did, as long as that is an address of this machine; else where it
 * would begin now, if one certificate can be for both.
 * @param wanted as for `chooseLanAddress`
 */
export function addressNow(interfaces: Interfaces, before: string, wanted: string | true, routed?: string): string {
  const there = candidatesOf(interfaces);
  if (there.some(({ address }) => address === before)) return before;
  // A machine between two networks has none for a while, and an address that was named may come back.
  const next = wanted !== true && isIP(wanted) !== 0 ? undefined : likeliest(interfaces, wanted, routed);
  return next !== undefined && scopeOf(next).name === scopeOf(before).name ? next : before;
}

function likeliest(interfaces: Interfaces, wanted: string | true, routed?: string): string | undefined {
  try {
    return chooseLanAddress(interfaces, wanted, routed).address;
  } catch {
    return undefined;
  }
}

/** Of a network that the documentation of addresses has for itself (RFC 5737): nobody is there. */
const ELSEWHERE = "192.0.2.1";

/** The address that this machine would send from to other networks; nothing is sent. */
export function routedAddress(): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket("udp4");
    const done = (address?: string) => {
      socket.close();
      resolve(address);
    };
    socket.once("error", () => done());
    socket.connect(9, ELSEWHERE, () => done(socket.address().address));
  });
}
