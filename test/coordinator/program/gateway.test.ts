// `coordinator gateway` as far as it is no process: real sessions, sockets and pages at two gateways, whose leader is
// reached over the memory bus.

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { systemClock } from "../../../coordinator/base/clock.ts";
import { MemoryHub } from "../../../coordinator/cluster/memory-hub.ts";
import { encode } from "../../../coordinator/cluster/messages.ts";
import { subjectsOf } from "../../../coordinator/cluster/subjects.ts";
import { pieceReader } from "../../../coordinator/data-checks/read-pieces.ts";
import { LocalEngine } from "../../../coordinator/engine/local/local-engine.ts";
import { Traffic } from "../../../coordinator/engine/traffic.ts";
import { GatewayDesk } from "../../../coordinator/gateway/gateway-desk.ts";
import { runGateway } from "../../../coordinator/program/run-gateway.ts";
import { engineRun } from "../../../coordinator/run/engine-run.ts";
import type { OpenRun } from "../../../coordinator/run/open-run.ts";
import { straight } from "../../../coordinator/server/reach.ts";
import { progressOf } from "../../../coordinator/state/training-state.ts";
import { startTraining } from "../../../coordinator/training/start-training.ts";
import { nobody } from "../../fixtures/gateway-world.ts";
import { leasedChecksum } from "../../fixtures/leased-samples.ts";
import { honestContribution } from "../../fixtures/scripted-contribution.ts";
import { ScriptedWorker } from "../../fixtures/scripted-worker.ts";
import { calmRun, openTestRun, scratchFolder, stepHashes } from "../../fixtures/test-run.ts";

/** A leader over the memory bus, and gateways by their ids, each with its link. @param address where shards are */
async function openCluster(run: OpenRun, ids: readonly string[], address?: string) {
  // What another test left there would have volunteers checked that decode nothing.
  vi.stubEnv("XDG_CACHE_HOME", await scratchFolder());
  onTestFinished(() => void vi.unstubAllEnvs());
  const { directory, state } = run;
  const hub = new MemoryHub({ clock: systemClock, draw: Math.random, run: directory.run });
  const cluster = (id: string) => {
    const [bus, bulk] = [hub.bus(id), hub.bulk(id)];
    return { bus, bulk, reader: async () => hub.store(id), close: async () => bulk.close() };
  };
  const { bus, bulk } = cluster("c1");
  const { runTag, token, operatorToken, dashboardToken } = directory;
  const config = JSON.stringify(state.config);
  const facts = { config, dataset: state.dataset, runTag, token, operatorToken, dashboardToken };
  const about = { id: "c1", run: directory.run, clock: systemClock, onEvent: () => undefined };
  const desk = new GatewayDesk({ ...about, bus, bulk, facts, address: () => address });
  const surroundings = {
    outbox: nobody,
    traffic: new Traffic(),
    clock: systemClock,
    draw: () => 1,
    onEvent: () => undefined,
  };
  const { trust: _trust, draw: _draw, writeCheckpoint, ...given } = engineRun(run, surroundings);
  const progress = progressOf(state);
  const training = await startTraining(state, runTag);
  const engine = new LocalEngine({
    ...given,
    progress,
    training,
    writeCheckpoint: async (committed, ledger) => {
      return writeCheckpoint(await training.checkpoint(directory.run), committed, ledger);
    },
    outbox: desk.beside(nobody),
    gateways: desk,
  });
  desk.serve(engine, 1);
  const subjects = subjectsOf(directory.run);
  const say = () => {
    const status = { epoch: 1, life: 0, leader: "c1", status: engine.status() };
    bus.publish(subjects.toAll("status"), encode("status", status));
  };
  const saying = setInterval(say, 100);
  const stop = new AbortController();
  const links: string[] = [];
  const gateways = ids.map(async (id) => {
    const link = new Promise<string>((resolve) => {
      const write = (text: string) => {
        const found = /https?:\/\/127\.0\.0\.1:\d+\/\?\S*token=[\w-]+/.exec(text)?.[0];
        if (found) resolve(found);
        return true;
      };
      const options = { host: "127.0.0.1", port: 0, reach: straight, workers: 0, runtime: "auto" } as const;
      const over = scratchFolder().then((folder) =>
        runGateway({
          ...options,
          cluster: cluster(id),
          run: directory.run,
          id,
          folder,
          terminal: { write },
          signal: stop.signal,
        }),
      );
      onTestFinished(async () => {
        stop.abort();
        await over.catch(() => undefined);
      });
    });
    links.push(await link);
  });
  const done = engine.run();
  onTestFinished(async () => {
    // What a gateway that stays holds would be waited for.
    stop.abort();
    engine.stop();
    clearInterval(saying);
    await done.catch(() => undefined);
    desk.close();
    await engine.close();
    await run.log.close();
    await run.claim.release();
  });
  await Promise.all(gateways);
  return { links, done, say };
}

test("Q14 a gateway serves pages, sessions and leases as a coordinator does, and its sums make the steps of one", async () => {
  // Nobody here keeps standings, so that all would be newcomers, whose audits are waited for.
  const run = await openTestRun({ trust: { audits: "off" } });
  const { directory, state } = run;
  const { links, done, say } = await openCluster(run, ["g1", "g2"]);
  const [link] = links;
  expect((await fetch(link)).status).toBe(200);
  const shown = await fetch(new URL(`/status?token=${directory.token}`, link)).then((answer) => answer.json());
  expect(shown).toMatchObject({ run: directory.run, name: state.config.name });
  const crew = links.flatMap((each) => [new ScriptedWorker(each), new ScriptedWorker(each)]);
  onTestFinished(() => {
    for (const worker of crew) worker.close();
  });
  await Promise.all(crew.map((worker) => worker.join()));
  const working = Promise.all(crew.map((worker) => worker.work()));
  await done;
  say();
  await working;
  expect(await stepHashes({ run })).toEqual((await calmRun()).hashes);
});

/** The run's shards over HTTP, as the door of whoever leads has them. */
async function serveShards({ data }: OpenRun): Promise<string> {
  const server = createServer(async (request, response) => {
    const [, sha256 = ""] = /shards\/(\w+)/.exec(request.url ?? "") ?? [];
    const file = await data.shard(sha256);
    if (!file) response.writeHead(404);
    else for await (const part of file.stream()) response.write(part);
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => new Promise((resolve) => void server.close(() => resolve())));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

test("Q61 a gateway looks at what its volunteers decode, out of the shards that it has of whoever leads", async () => {
  const run = await openTestRun();
  const { config, dataset } = run.state;
  const { links } = await openCluster(run, ["g1"], await serveShards(run));
  const worker = await new ScriptedWorker(links[0]).join();
  onTestFinished(() => worker.close());
  const lease = await worker.lease();
  const right = await leasedChecksum(config, dataset, lease, pieceReader(run.data));
  worker.sendContribution({ ...honestContribution(worker.welcome, lease), checksum: (right ^ 1) >>> 0 });
  expect(await worker.next("rejected")).toMatchObject({ lease: lease.lease, code: "DATA_MISMATCH" });
  const again = await worker.lease();
  expect(again.ranges).toEqual(lease.ranges);
  worker.sendContribution({ ...honestContribution(worker.welcome, again), checksum: right });
  expect(await worker.next("accepted")).toMatchObject({ lease: again.lease });
});
