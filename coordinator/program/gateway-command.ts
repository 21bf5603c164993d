// `coordinator gateway`: a coordinator to volunteers that come to it, and a worker to whoever leads the run.

import { join } from "node:path";
import { type Command, Option } from "commander";
import { systemClock } from "../base/clock.ts";
import { requireNodeId, subjectToken } from "../cluster/subjects.ts";
import { type ReachRequest, readReach } from "../server/reach.ts";
import { bulkOf, type ClusterOptions, withBulkOptions } from "./cluster-options.ts";
import type { CommandTools } from "./command-tools.ts";
import { type Runtime, runtimes } from "./local-workers.ts";
import { type DoorRequest, readDoor, USUAL_HOST } from "./serve-door.ts";
import { collect, stopSignal } from "./serve-options.ts";

const MOST_WORKERS = 64;

interface GatewayFlags extends ReachRequest, DoorRequest, Omit<ClusterOptions, "engine"> {
  readonly port: number;
  readonly workers: number;
  readonly runtime: Runtime;
  readonly run: string;
  readonly dir?: string;
  readonly dataFrom?: string;
}

const help = `
A gateway serves volunteers as a coordinator does, by the same link's token: the page, leases, data, audits. What they
compute it sums itself, and hands the sum to whoever leads the run, once a step. It keeps nothing that the run depends
on: one that dies costs its share of a step. While nobody leads, its volunteers see a pause of seconds.

Its dashboard shows the whole run, and the workers that are here; what the operator's token asks for there is
passed on to whoever leads.

It learns all about the run over NATS, and fetches the data set's shards from the leader's address, once, or from
--data-from where gateways cannot reach that.

Examples:
  $ npx coordinator gateway nats://10.0.0.1,10.0.0.2 --run ID --port 8081
      for volunteers who open its link; ID is what \`coordinator start --engine\` prints
  $ npx coordinator gateway nats://n1,n2,n3 --run ID --id g7 --nkey g7.nk \\
      --tls-ca ca.pem --host 0.0.0.0 --behind-proxy
      one of many behind a TLS proxy or a balancer
`;

async function gatewayCommand(servers: string, flags: GatewayFlags): Promise<void> {
  const signal = stopSignal();
  const reach = readReach(flags);
  const door = await readDoor(flags, reach);
  const id = requireNodeId(flags.id ?? `g${process.pid}`);
  const { run, creds, nkey, tlsCa, dataFrom, port, workers, runtime } = flags;
  const folder = flags.dir ?? join("gateways", `${subjectToken(run)}-${id}`);
  const terminal = process.stdout;
  const bulk = bulkOf(flags);
  // Nobody else reads what talks to NATS.
  const { connectNats } = await import("../cluster/nats/connect.ts");
  const { runGateway } = await import("./run-gateway.ts");
  const keys = {
    ...(creds === undefined ? {} : { creds }),
    ...(nkey === undefined ? {} : { nkey }),
    ...(tlsCa === undefined ? {} : { tlsCa }),
    ...(bulk === undefined ? {} : { bulk }),
  };
  const onNotice = (message: string) => void process.stderr.write(`${message}\n`);
  const cluster = await connectNats({ servers, run, id, ...keys, clock: systemClock, onNotice });
  await runGateway({
    cluster,
    run,
    id,
    folder,
    host: door.host,
    port,
    ...(door.tls === undefined ? {} : { tls: door.tls }),
    reach,
    workers,
    runtime,
    terminal,
    ...(dataFrom === undefined ? {} : { dataFrom }),
    signal,
  });
}

/** Adds the command. */
export function addGatewayCommand(program: Command, { asPasted, ...tools }: CommandTools): void {
  const { wholeNumber } = tools;
  const command = program
    .command("gateway")
    .description("serve volunteers of a run that is led elsewhere, and sum what they send")
    .argument("<servers>", "of NATS: nats://HOST:PORT, and others with commas between")
    .option("--workers <n>", "workers to start on this machine", wholeNumber(0, MOST_WORKERS), 0)
    .addOption(new Option("--runtime <runtime>", "what these run on").choices(runtimes).default("auto"))
    .option("--port <n>", "port of the page and the workers; 0 for any free one", wholeNumber(0, 65_535), 8080)
    .option("--host <address>", "address to listen on; 0.0.0.0 for all of this machine's", USUAL_HOST)
    .option("--tls-cert <file>", "https with a certificate of your own, PEM")
    .option("--tls-key <file>", "its private key, PEM")
    .option("--behind-proxy [addresses]", "take volunteers' addresses from X-Forwarded-For, as `start` does")
    .addOption(new Option("--public-url <url>", "what volunteers open, as `start` has it").env("BITSWARM_PUBLIC_URL"))
    .option("--allow-origin <origin>", "whose pages may join beside those; may be repeated", collect)
    .requiredOption("--run <id>", "the run, as `coordinator start --engine` prints it")
    .option("--id <id>", "of this gateway among all of the run's; one of its own unless given")
    .option("--dir <folder>", "where its log and its events are written; gateways/RUN-ID unless given")
    .option("--data-from <url>", "a coordinator that sends shards; whoever leads unless given")
    .option("--creds <file>", "NATS credentials")
    .option("--nkey <file>", "the seed of an nkey")
    .option("--tls-ca <file>", "whoever signed the servers' certificates");
  withBulkOptions(command).addHelpText("after", asPasted(help)).action(gatewayCommand);
}
