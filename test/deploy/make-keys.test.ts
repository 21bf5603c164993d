// Keys and certificates of a run on many machines, as make-keys.mjs writes them.

import { X509Certificate } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { FromGateway, ToGateway } from "../../coordinator/cluster/messages.ts";
import { subjectsOf } from "../../coordinator/cluster/subjects.ts";
import { makeKeys } from "../../deploy/cluster/make-keys.mjs";
import { usersConf } from "../../deploy/cluster/users.mjs";
import { scratchFolder } from "../fixtures/test-run.ts";

const names = { nodes: ["nats-0"], coordinators: ["c-0"], gateways: ["g-0"] };

test("makeKeys writes an authority, a certificate a server and a key a name, secrets for their owner alone", async () => {
  const folder = join(await scratchFolder(), "keys");
  await makeKeys(folder, { ...names, hosts: { "nats-0": "10.1.2.3" } });
  const secret = (file: string) => (statSync(join(folder, file)).mode & 0o077) === 0;
  expect(readdirSync(folder).filter((file) => !secret(file))).toEqual([
    "c-0.pem",
    "ca.pem",
    "g-0.pem",
    "nats-0.pem",
    "nats.conf",
    "users.conf",
  ]);
  const certificate = (file: string) => new X509Certificate(readFileSync(join(folder, file)));
  const [authority, node] = [certificate("ca.pem"), certificate("nats-0.pem")];
  expect([authority.ca, node.ca, node.verify(authority.publicKey)]).toEqual([true, false, true]);
  expect([node.checkHost("nats-0"), node.checkHost("nats-0.nats"), node.checkIP("10.1.2.3")]).toEqual([
    "nats-0",
    "nats-0.nats",
    "10.1.2.3",
  ]);
  expect([node.checkHost("nats-1"), node.checkIP("10.1.2.4")]).toEqual([undefined, undefined]);
  const [leader, gateway] = [certificate("c-0.pem"), certificate("g-0.pem")];
  expect([leader.checkHost("c-0.c"), gateway.checkHost("g-0.g"), gateway.checkHost("g-1")]).toEqual([
    "c-0.c",
    "g-0.g",
    undefined,
  ]);
  const users = readFileSync(join(folder, "users.conf"), "utf8");
  expect(users).not.toContain(readFileSync(join(folder, "g-0.nk"), "utf8"));
  expect(users.match(/nkey: U[A-Z0-9]{55}$/gm)).toHaveLength(2);
});

test("makeKeys adds names and changes none that are there", async () => {
  const folder = join(await scratchFolder(), "keys");
  await makeKeys(folder, names);
  const before = Object.fromEntries(
    ["ca.pem", "nats-0.pem", "c-0.nk", "g-0.nk"].map((file) => [file, readFileSync(join(folder, file), "utf8")]),
  );
  await makeKeys(folder, { ...names, gateways: ["g-0", "g-1"] });
  for (const [file, content] of Object.entries(before)) expect(readFileSync(join(folder, file), "utf8")).toBe(content);
  expect(readFileSync(join(folder, "users.conf"), "utf8")).toContain('"bs.*.beat.g-1"');
});

test.each(["g.1", "G-0", "*", "", "nats-0", "x".repeat(33)])("makeKeys refuses the name %j", async (name) => {
  const folder = join(await scratchFolder(), "keys");
  await expect(makeKeys(folder, { ...names, gateways: [name] })).rejects.toThrow(/is no name, or one that two have/);
});

/** All that there are: the compiler misses none. */
const gatewaySays: Record<FromGateway, true> = {
  join: true,
  beat: true,
  covered: true,
  returned: true,
  admit: true,
  verdict: true,
  unusual: true,
  audit: true,
  answered: true,
  declined: true,
};
const leaderTells: Record<ToGateway, true> = {
  lease: true,
  trim: true,
  need: true,
  drop: true,
  away: true,
  answer: true,
  home: true,
};

test("usersConf lets a gateway publish under its own name alone, and of JetStream read", () => {
  const text = usersConf([{ role: "gateway", id: "g-7", publicKey: "UX" }]);
  const subjects = (verb: string) => {
    const [, list] = new RegExp(`${verb} \\{ allow: \\[(.*)\\] \\}`).exec(text) ?? [];
    return list.split(", ").map((subject) => JSON.parse(subject) as string);
  };
  const of = subjectsOf("run");
  const any = (subject: string) => subject.replace("bs.run.", "bs.*.");
  const says = Object.keys(gatewaySays).map((kind) => of.fromGateway(kind as FromGateway, "g-7"));
  const asks = [of.fromNode("operate", "g-7"), of.door("g-7", "*"), "bs.run.about", "$JS.API.STREAM.MSG.GET.*"];
  const own = [...says, of.bulk("g-7", "*"), of.ask("g-7", "*"), ...asks].map(any);
  expect(subjects("publish").sort()).toEqual(own.sort());
  const told = Object.keys(leaderTells).map((kind) => of.toGateway(kind as ToGateway, "g-7"));
  expect(subjects("subscribe")).toEqual(
    expect.arrayContaining(
      [...told, of.asksOf("g-7"), of.bulk("*", "g-7"), of.toAll("open"), of.toAll("commit")].map(any),
    ),
  );
});
