// Which addresses are one neighbour, and that a book of them stays bounded.

import { expect, test } from "vitest";
import { AddressBook, addressKey, REMEMBERED_ADDRESSES } from "../../../coordinator/trust/address-limits.ts";

const limits = { sockets: 2, joinsPerMinute: 60 };

test.each([
  ["192.0.2.7", "192.0.2.7"],
  ["::ffff:192.0.2.7", "192.0.2.7"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:db8:1:2::9", "2001:db8:1:2::/64"],
  ["2001:DB8:0001:2::9", "2001:db8:1:2::/64"],
  ["2001:db8::1", "2001:db8:0:0::/64"],
  ["::1", "0:0:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
])("%s is counted as %s", (address, key) => {
  expect(addressKey(address)).toBe(key);
});

test("neighbours of one /64 share their sockets; another has its own", () => {
  const book = new AddressBook(limits);
  const open = (address: string) => book.open(0, address).kind;
  expect([open("2001:db8::1"), open("2001:db8::2"), open("2001:db8::3")]).toEqual(["opened", "opened", "full"]);
  expect(open("2001:db8:0:1::1")).toBe("opened");
  book.close(0, "2001:db8::2");
  expect(open("2001:db8::9")).toBe("opened");
});

test("an address is forgotten once it has no socket and its joins are forgiven", () => {
  const book = new AddressBook(limits);
  book.open(0, "192.0.2.1");
  book.join(0, "192.0.2.1");
  book.close(500, "192.0.2.1");
  expect(book.size).toBe(1);
  book.open(2000, "192.0.2.1");
  book.close(2000, "192.0.2.1");
  expect(book.size).toBe(0);
});

test("however many addresses come and go, so many are remembered and no more, and none that is connected is forgotten", () => {
  const book = new AddressBook(limits);
  const address = (i: number) => `10.${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
  for (let i = 0; i < 2; i++) book.open(0, "192.0.2.1");
  for (let i = 0; i < REMEMBERED_ADDRESSES + 500; i++) book.join(0, address(i));
  expect(book.size).toBeLessThanOrEqual(REMEMBERED_ADDRESSES);
  expect(book.open(0, "192.0.2.1").kind).toBe("full");
});
