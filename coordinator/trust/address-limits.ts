// What one network address may do: so many sockets at a time, so many hellos and wrong tokens a minute. A class room
// behind one router fits; a flood does not.

import { isIPv6 } from "node:net";
import { BitswarmError } from "../../shared/base/errors.ts";
import { fullBucket, isFull, type Rate, type TokenBucket, takeToken } from "../base/token-bucket.ts";

export interface AddressLimits {
  /** Open sockets of one address. */
  readonly sockets: number;
  /** Hellos of one address, as many at once as in a minute. */
  readonly joinsPerMinute: number;
}

interface Visitor {
  readonly sockets: number;
  readonly joins: TokenBucket;
  /** Apart from the joins: whoever guesses must not keep out those who know. */
  readonly wrongTokens: TokenBucket;
}

/** Wrong tokens of one address that are told so, as many at once as in a minute. */
export const WRONG_TOKENS_PER_MINUTE = 60;
const wrongTokenRate: Rate = { perSecond: WRONG_TOKENS_PER_MINUTE / 60, burst: WRONG_TOKENS_PER_MINUTE };

/** Addresses remembered beyond those that are connected; the oldest are forgotten. */
export const REMEMBERED_ADDRESSES = 10_000;
/** Groups of an IPv6 address that one customer of a network is commonly given (RFC 6177): /64. */
const IPV6_GROUPS = 4;

/** The name under which an address is counted: IPv4 as it is, IPv6 by its /64, IPv4 in IPv6 as IPv4. */
export function addressKey(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped) return mapped[1];
  const [plain] = address.split("%");
  if (!isIPv6(plain)) return address;
  const [head, tail] = plain.split("::");
  const groups = head.split(":").filter((group) => group !== "");
  if (tail !== undefined) {
    const after = tail.split(":").filter((group) => group !== "");
    while (groups.length + after.length < 8) groups.push("0");
    groups.push(...after);
  }
  return `${groups
    .slice(0, IPV6_GROUPS)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(":")}::/64`;
}

/** Counts the sockets and hellos of each address. */
export class AddressBook {
  readonly #limits: AddressLimits;
  readonly #joins: Rate;
  readonly #visitors = new Map<string, Visitor>();

  constructor(limits: AddressLimits) {
    this.#limits = limits;
    this.#joins = { perSecond: limits.joinsPerMinute / 60, burst: limits.joinsPerMinute };
  }

  /** Addresses that are counted now. */
  get size(): number {
    return this.#visitors.size;
  }

  /** Counts a socket, unless the address has as many as it may have: then says so. */
  open(
    now: number,
    address: string,
  ): { readonly kind: "opened" } | { readonly kind: "full"; readonly message: string } {
    const visitor = this.#visitor(now, address);
    const limit = this.#limits.sockets;
    if (visitor.sockets >= limit) {
      return {
        kind: "full",
        message: `this address has ${visitor.sockets} connections to the run, its limit is ${limit} (trust.socketsPerAddress); close others or try again later`,
      };
    }
    this.#set(now, address, { ...visitor, sockets: visitor.sockets + 1 });
    return { kind: "opened" };
  }

  close(now: number, address: string): void {
    const visitor = this.#visitor(now, address);
    this.#set(now, address, { ...visitor, sockets: Math.max(0, visitor.sockets - 1) });
  }

  /** Counts a hello. @throws RATE_LIMITED with the time after which another is welcome */
  join(now: number, address: string): void {
    const visitor = this.#visitor(now, address);
    const taken = takeToken(visitor.joins, now, this.#joins);
    this.#set(now, address, { ...visitor, joins: taken.bucket });
    if (taken.kind === "taken") return;
    throw new BitswarmError(
      "RATE_LIMITED",
      `this address joined more than ${this.#limits.joinsPerMinute} times in a minute (trust.joinsPerMinute); try again in ${Math.ceil(taken.retryMs / 1000)} s`,
    );
  }

  /** Counts a wrong token. @throws RATE_LIMITED with the time after which the next is looked at */
  wrongToken(now: number, address: string): void {
    const visitor = this.#visitor(now, address);
    const taken = takeToken(visitor.wrongTokens, now, wrongTokenRate);
    this.#set(now, address, { ...visitor, wrongTokens: taken.bucket });
    if (taken.kind === "taken") return;
    throw new BitswarmError(
      "RATE_LIMITED",
      `this address showed more than ${WRONG_TOKENS_PER_MINUTE} wrong tokens in a minute; copy the whole link that the coordinator printed, and try again in ${Math.ceil(taken.retryMs / 1000)} s`,
    );
  }

  #visitor(now: number, address: string): Visitor {
    const nobody = { joins: fullBucket(now, this.#joins), wrongTokens: fullBucket(now, wrongTokenRate) };
    return this.#visitors.get(addressKey(address)) ?? { sockets: 0, ...nobody };
  }

  #forgivable(now: number, { joins, wrongTokens }: Visitor): boolean {
    return isFull(joins, now, this.#joins) && isFull(wrongTokens, now, wrongTokenRate);
  }

  #set(now: number, address: string, visitor: Visitor): void {
    const key = addressKey(address);
    // Set anew, so that the order of the map is that of the last visit.
    this.#visitors.delete(key);
    if (visitor.sockets > 0 || !this.#forgivable(now, visitor)) this.#visitors.set(key, visitor);
    if (this.#visitors.size <= REMEMBERED_ADDRESSES) return;
    for (const [oldest, { sockets, ...spent }] of this.#visitors) {
      if (sockets === 0) {
        this.#visitors.delete(oldest);
        if (!this.#forgivable(now, { sockets, ...spent })) return;
      }
      if (this.#visitors.size <= REMEMBERED_ADDRESSES) return;
    }
  }
}
