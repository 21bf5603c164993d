// `bench bulk`: long bytes from one node to another of a cluster, by each way that there is: in memory, over three
// nats-servers, over HTTP and over HTTPS; in turns, so that what else this machine does falls on all of them.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { systemClock } from "../../coordinator/base/clock.ts";
import type { Bulk } from "../../coordinator/cluster/bulk.ts";
import { type OpenBulkOptions, openBulk } from "../../coordinator/cluster/http/open.ts";
import { MemoryHub } from "../../coordinator/cluster/memory-hub.ts";
import { connectNats } from "../../coordinator/cluster/nats/connect.ts";
import { subjectsOf } from "../../coordinator/cluster/subjects.ts";
import { fromDeploy } from "../fixtures/from-deploy.ts";
import { longBytes, sha256 } from "../fixtures/long-bytes.ts";
import { startNats } from "../fixtures/nats-servers.ts";
import { median, rounded } from "./statistics.ts";

export interface BulkOptions {
  readonly mebibytes: number;
  readonly rounds: number;
}

/** One way, over all rounds. */
export interface BulkLine {
  readonly record: "bulk";
  readonly way: string;
  readonly mebibytes: number;
  readonly rounds: number;
  /** Medians: of the time, and of the CPU's of holder and asker together, which are one process here. */
  readonly ms: number;
  readonly mebibytesPerSecond: number;
  readonly cpuMs: number;
}

export function bulkText({ way, mebibytes, ms, mebibytesPerSecond, cpuMs }: BulkLine): string {
  const rate = `${Math.round(mebibytesPerSecond)} MiB/s`;
  return `${way.padEnd(8)} ${mebibytes} MiB in ${Math.round(ms)} ms, ${rate}, ${Math.round(cpuMs)} ms of CPU`;
}

interface Way {
  readonly holder: Bulk;
  readonly asker: Bulk;
}

const RUN = "bench";
const [HOLDER, ASKER] = ["g-0", "c-0"];

/** Fetches so many bytes a round by each way, and tells of each the median. */
export async function benchBulk({ mebibytes, rounds }: BulkOptions, emit: (line: BulkLine) => void): Promise<void> {
  const bytes = longBytes(mebibytes * 2 ** 20);
  const hash = sha256(bytes);
  const folder = await mkdtemp(join(tmpdir(), "bitswarm-bulk-"));
  const servers = await startNats();
  const close: (() => unknown)[] = [() => servers.close(), () => rm(folder, { recursive: true, force: true })];
  try {
    const ways = await waysOf(folder, servers.url, close);
    const taken = new Map([...ways.keys()].map((way) => [way, { ms: [] as number[], cpuMs: [] as number[] }]));
    for (const { holder } of ways.values()) holder.offer("sum", bytes);
    for (let round = 0; round <= rounds; round++) {
      for (const [name, { asker }] of ways) {
        const [since, cpu] = [performance.now(), process.cpuUsage()];
        await asker.fetch({ holder: HOLDER, name: "sum", bytes: bytes.length, sha256: hash });
        const { user, system } = process.cpuUsage(cpu);
        // The first round warms up.
        if (round === 0) continue;
        taken.get(name)?.ms.push(performance.now() - since);
        taken.get(name)?.cpuMs.push((user + system) / 1000);
      }
    }
    for (const [way, { ms, cpuMs }] of taken) {
      const typical = median(ms);
      emit({
        record: "bulk",
        way,
        mebibytes,
        rounds,
        ms: rounded(typical),
        mebibytesPerSecond: rounded((1000 * mebibytes) / typical),
        cpuMs: rounded(median(cpuMs)),
      });
    }
  } finally {
    for (const end of close.reverse()) await end();
  }
}

async function waysOf(folder: string, url: string, close: (() => unknown)[]): Promise<ReadonlyMap<string, Way>> {
  const common = { clock: systemClock, onNotice: () => undefined };
  const hub = () => new MemoryHub({ clock: systemClock, draw: () => 0.5, run: RUN });
  const memory = hub();
  const nats = (id: string) => connectNats({ servers: url, run: RUN, id, ...common });
  const [one, other] = [await nats(HOLDER), await nats(ASKER)];
  close.push(one.close, other.close);
  const { makeKeys } = await fromDeploy<typeof import("../../deploy/cluster/make-keys.mjs")>("cluster/make-keys.mjs");
  await makeKeys(folder, { nodes: [], coordinators: [ASKER], gateways: [HOLDER] });
  const doors = async (more: Partial<OpenBulkOptions>, serve: Partial<OpenBulkOptions["serve"]>): Promise<Way> => {
    const between = hub();
    const node = (id: string) => ({ bus: between.bus(id), subjects: subjectsOf(RUN), id, ...common, ...more });
    const holder = await openBulk({ ...node(HOLDER), serve: { listen: "127.0.0.1:0", ...serve } });
    const asker = await openBulk(node(ASKER));
    close.push(
      () => holder.close(),
      () => asker.close(),
    );
    return { holder, asker };
  };
  const own = { cert: join(folder, `${HOLDER}.pem`), key: join(folder, `${HOLDER}.key`) };
  return new Map([
    ["memory", { holder: memory.bulk(HOLDER), asker: memory.bulk(ASKER) }],
    ["nats", { holder: one.bulk, asker: other.bulk }],
    ["http", await doors({}, {})],
    ["https", await doors({ caFile: join(folder, "ca.pem") }, own)],
  ]);
}
