// deploy/cluster on real servers: three of them with the shipped configuration and keys of their own, what a gateway
// may say there, and what systemd and Compose say of the files.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { jetstreamManager } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { createUser } from "@nats-io/nkeys";
import { connect, type NatsConnection, nkeyAuthenticator } from "@nats-io/transport-node";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { parse } from "yaml";
import { type NatsCluster, natsEnvironment, startNatsCluster } from "../fixtures/nats-cluster.ts";
import { notOnLinux, testTool } from "../fixtures/test-tool.ts";

const deploy = fileURLToPath(new URL("../../deploy/cluster", import.meta.url));

async function connected(cluster: NatsCluster, id: string): Promise<NatsConnection> {
  const connection = await connect({ ...cluster.as(id), timeout: 60_000 });
  onTestFinished(() => connection.close());
  return connection;
}

/** What the server refuses of what is said on a connection: that comes as an event, before the answer to a ping. */
function refusals(connection: NatsConnection): (say: () => void) => Promise<readonly string[]> {
  const heard: string[] = [];
  void (async () => {
    for await (const status of connection.status()) if (status.type === "error") heard.push(status.error.message);
  })();
  return async (say) => {
    say();
    await connection.flush();
    await new Promise((resolve) => setImmediate(resolve));
    return heard.splice(0);
  };
}

describe.skipIf(notOnLinux)("nats.conf", () => {
  test("three servers with TLS and nkeys keep two coordinators' keys, and a gateway says nothing under another's name", {
    timeout: 300_000,
  }, async () => {
    const cluster = await startNatsCluster();
    const [{ name, port }] = cluster.servers;
    const environment = natsEnvironment(cluster.keys, name, [port, port], [port]);
    const conf = join(cluster.keys, "nats.conf");
    const checked = spawnSync(testTool("nats-server"), ["-t", "-c", conf], { env: environment, encoding: "utf8" });
    expect(checked.stdout + checked.stderr).toMatch(/configuration file .* is valid/);

    const [first, second, gateway] = await Promise.all(["c-0", "c-1", "g-0"].map((id) => connected(cluster, id)));
    const bucket = { replicas: 3, allow_direct: false };
    // Whoever was elected may not have heard of all three yet.
    const mine = await vi.waitFor(() => new Kvm(first).create("bs_run", bucket), { timeout: 60_000, interval: 100 });
    const theirs = await new Kvm(second).open("bs_run", { allow_direct: false });
    const revision = await mine.create("lease", "c-0");
    await theirs.update("lease", "c-1", revision);
    await expect(mine.update("lease", "c-0", revision)).rejects.toThrow(/wrong last sequence/);
    const { config } = await (await jetstreamManager(first)).streams.info("KV_bs_run");
    expect([config.num_replicas, config.storage]).toEqual([3, "file"]);

    const heard: string[] = [];
    first.subscribe("bs.>", { callback: (_error, message) => void heard.push(message.subject) });
    await first.flush();
    const refused = refusals(gateway);
    for (const forbidden of [
      "bs.run.beat.g-1",
      "bs.run.join.c-0",
      "bs.run.commit",
      "bs.run.lease.g-1",
      "bs.run.ack.g-1.c-0",
      "bs.run.bulk.c-0.g-1",
      "$JS.API.STREAM.DELETE.KV_bs_run",
      "$JS.API.STREAM.MSG.DELETE.KV_bs_run",
      "$KV.bs_run.lease",
      "_INBOX.c-0.1",
    ]) {
      const said = await refused(() => gateway.publish(forbidden, "x"));
      expect(said.join()).toContain(`Permissions Violation for Publish to "${forbidden}"`);
    }
    for (const secret of ["bs.>", "bs.*.lease.g-1", "bs.*.bulk.>", "_INBOX.>", "_INBOX.c-0.>", "$KV.>"]) {
      const said = await refused(() => void gateway.subscribe(secret));
      expect(said.join()).toContain(`Permissions Violation for Subscription to "${secret}"`);
    }
    gateway.subscribe("bs.*.away.g-0", { callback: (_error, message) => void message.respond("here") });
    await gateway.flush();
    const own = ["join", "covered", "returned", "beat", "admit", "verdict", "unusual", "operate"].map(
      (kind) => `bs.run.${kind}.g-0`,
    );
    for (const subject of [...own, "bs.run.bulk.g-0.c-0", "bs.run.ack.g-0.c-0"]) gateway.publish(subject, "x");
    // It has come after all that was said before it, and after word of who answers.
    await expect.poll(() => heard).toContain("bs.run.ack.g-0.c-0");
    expect((await first.request("bs.run.away.g-0", "?", { timeout: 60_000 })).string()).toBe("here");
    expect(heard.filter((subject) => !subject.startsWith("bs.run.away"))).toEqual([
      ...own,
      "bs.run.bulk.g-0.c-0",
      "bs.run.ack.g-0.c-0",
    ]);
    expect(new TextDecoder().decode((await mine.get("lease"))?.value)).toBe("c-1");
    // What it reads it changes nothing of.
    const { streams } = await jetstreamManager(gateway, { checkAPI: false });
    expect((await streams.getMessage("KV_bs_run", { last_by_subj: "$KV.bs_run.lease" }))?.string()).toBe("c-1");

    const stranger = nkeyAuthenticator(createUser().getSeed());
    await expect(connect({ ...cluster.as("g-0"), authenticator: stranger })).rejects.toThrow(/Authorization/);
    await expect(connect({ ...cluster.as("g-0"), tls: {}, reconnect: false })).rejects.toThrow(/certificate/);
  });
});

describe.skipIf(notOnLinux)("systemd", () => {
  const units = ["nats", "coordinator", "gateway"].map((part) => join(deploy, "systemd", `bitswarm-${part}@.service`));
  const analyze = (...flags: string[]) => spawnSync(testTool("systemd-analyze"), flags, { encoding: "utf8" });

  test.each(units)("%s is a unit that systemd understands whole", (unit) => {
    const { status, stdout, stderr } = analyze("verify", unit);
    expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: "" });
  });

  test.each(units)("%s: its exposure is at most 2 of 10", (unit) => {
    const { status, stdout, stderr } = analyze("security", "--offline=true", "--threshold=20", "--no-pager", unit);
    expect(status, stdout.slice(-300) + stderr).toBe(0);
  });
});

describe.skipIf(notOnLinux)("compose.yaml", () => {
  test("is what Compose reads: three servers, two coordinators, three gateways, and a proxy that alone has ports", () => {
    const { status, stdout, stderr } = spawnSync(
      testTool("docker-compose"),
      ["-f", join(deploy, "compose.yaml"), "config"],
      { encoding: "utf8", env: { ...process.env, BITSWARM_SITE: "example.org" } },
    );
    expect(status, stderr).toBe(0);
    const { services } = parse(stdout) as { services: Record<string, { ports?: unknown; command?: string[] }> };
    const names = ["c-0", "c-1", "caddy", "g-0", "g-1", "g-2", "nats-0", "nats-1", "nats-2"];
    expect(Object.keys(services).sort()).toEqual(names);
    expect(names.filter((name) => services[name].ports !== undefined)).toEqual(["caddy"]);
    for (const name of names.filter((name) => /^[cg]-/.test(name))) {
      expect(services[name].command?.join(" ")).toContain("nats://nats-0:4222,nats-1:4222,nats-2:4222");
    }
  });
});

test.skipIf(notOnLinux)("the Caddyfile before several gateways is what Caddy reads", () => {
  const flags = ["validate", "--adapter", "caddyfile", "--config", join(deploy, "Caddyfile")];
  const { status, stderr } = spawnSync(testTool("caddy"), flags, { encoding: "utf8" });
  expect(status, stderr).toBe(0);
});
