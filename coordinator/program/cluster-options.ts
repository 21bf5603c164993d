// Options of a run that several coordinators drive over NATS, and what whoever leads says of it. NATS is loaded here
// only once an option asks for it.

import type { Command } from "commander";
import { BitswarmError } from "../../shared/base/errors.ts";
import { parseConfig, type RunConfig } from "../../shared/run/config.ts";
import { readYaml } from "../../shared/run/config-text.ts";
import { systemClock } from "../base/clock.ts";
import type { Cluster } from "../cluster/nats/connect.ts";
import type { NatsOptions } from "../engine/nats/plugin.ts";
import type { AllTokens } from "../run/run-directory.ts";

export interface ClusterOptions {
  readonly engine?: string;
  readonly run?: string;
  readonly id?: string;
  readonly creds?: string;
  readonly nkey?: string;
  readonly tlsCa?: string;
  readonly bulkListen?: string;
  readonly bulkUrl?: string;
  readonly bulkCert?: string;
  readonly bulkKey?: string;
}

/** What whoever leads says of the run. */
export interface ToldRun {
  readonly config: RunConfig;
  /** They are the run's: every coordinator of it takes the same. */
  readonly tokens: AllTokens;
}

/** How long somebody who leads is listened for. */
const ASK_MS = 1500;

/** Where a node serves long bytes itself, for every command that is one. */
export function withBulkOptions(command: Command): Command {
  return command
    .option("--bulk-listen <host:port>", "serve sums and parameters to the run's other nodes here, over HTTP")
    .option("--bulk-url <url>", "where they reach that; what it listens on unless given")
    .option("--bulk-cert <file>", "over HTTPS, with this certificate, PEM")
    .option("--bulk-key <file>", "its private key, PEM");
}

/** Where a node serves long bytes; nothing where it does so over NATS alone. @throws CONFIG_INVALID */
export function bulkOf({ bulkListen, ...rest }: ClusterOptions): NonNullable<NatsOptions["bulk"]> | undefined {
  const { bulkUrl: url, bulkCert: cert, bulkKey: key } = rest;
  if (bulkListen === undefined) {
    if (url === undefined && cert === undefined && key === undefined) return undefined;
    throw new BitswarmError(
      "CONFIG_INVALID",
      "--bulk-url, --bulk-cert and --bulk-key are for a door: --bulk-listen host:port opens it",
    );
  }
  const given = Object.entries({ url, cert, key }).filter(([, value]) => value !== undefined);
  return { listen: bulkListen, ...Object.fromEntries(given) };
}

/** What lets a node into the servers, for every command that talks to them. */
export function withClusterKeys(command: Command): Command {
  return withBulkOptions(command)
    .option("--run <id>", "the run's name on the servers; by default the configuration's name")
    .option("--id <id>", "of this coordinator or gateway on the servers, and of its key there: a-z, 0-9 and hyphens")
    .option("--creds <file>", "credentials for the servers")
    .option("--nkey <file>", "the seed of an nkey for the servers, in place of credentials")
    .option("--tls-ca <file>", "who signs the servers' certificates, PEM: the connection is then TLS");
}

export function withClusterOptions(command: Command): Command {
  const engine = command.option(
    "--engine <servers>",
    "drive the run with other coordinators over NATS, nats://host:port with commas between: one leads, the others stand by; not with trust.clip centered-clip or trimmed-mean",
  );
  return withClusterKeys(engine);
}

/** @throws CONFIG_INVALID where keys are given and no servers */
export function natsOptionsOf(options: ClusterOptions, name: string, neverFirst: boolean): NatsOptions | undefined {
  const { engine, run = name.replace(/[^\w.-]+/g, "-"), id, creds, nkey, tlsCa } = options;
  if (engine === undefined) {
    const { bulkListen } = options;
    const keys = { "--run": options.run, "--id": id, "--creds": creds, "--nkey": nkey, "--bulk-listen": bulkListen };
    const [given] = Object.entries(keys).filter(([, value]) => value !== undefined);
    if (!given) return undefined;
    throw new BitswarmError(
      "CONFIG_INVALID",
      `${given[0]} is for a run over NATS: name the servers with --engine nats://host:port`,
    );
  }
  if (creds !== undefined && nkey !== undefined)
    throw new BitswarmError(
      "CONFIG_INVALID",
      "--creds and --nkey: one of them is the key to the servers; leave the other out",
    );
  const bulk = bulkOf(options);
  return {
    kind: "nats",
    servers: engine,
    run,
    id: id ?? `c-${process.pid}`,
    neverFirst,
    ...(creds === undefined ? {} : { creds }),
    ...(nkey === undefined ? {} : { nkey }),
    ...(tlsCa === undefined ? {} : { tlsCa }),
    ...(bulk === undefined ? {} : { bulk }),
  };
}

/** Of this coordinator's own connection to the servers, which ends with what is done there. */
async function connected<T>(
  { kind: _kind, neverFirst: _never, bulk: _bulk, ...options }: NatsOptions,
  tell: (message: string) => void,
  act: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  const { connectNats } = await import("../cluster/nats/connect.ts");
  const cluster = await connectNats({ ...options, clock: systemClock, onNotice: tell });
  return act(cluster).finally(() => cluster.close());
}

/**
 * The tokens of a run that nobody leads, the same at each coordinator that asks: whoever asks first says which.
 * @param own of whoever asks first @param given in any case @throws ENGINE_UNREACHABLE, ENGINE_TOO_OLD
 */
export function agreedTokens(
  engine: NatsOptions,
  own: AllTokens,
  given: Partial<AllTokens>,
  tell: (message: string) => void,
): Promise<AllTokens> {
  return connected(engine, tell, async (cluster) => {
    const { agreeOnTokens } = await import("../cluster/run-tokens.ts");
    return agreeOnTokens({ store: await cluster.store(), clock: systemClock, own, given, onNotice: tell });
  });
}

/** @throws RUN_ENDED where nobody will ever answer */
async function requireNotOver(cluster: Pick<Cluster, "store">): Promise<void> {
  const { endOf } = await import("../cluster/keys.ts");
  const { endedRun } = await import("../engine/nats/begin.ts");
  const step = await endOf(await cluster.store());
  if (step !== undefined) throw endedRun(step);
}

/**
 * What whoever leads says of the run; nothing where nobody leads it.
 * @param patient asks until somebody does @throws ENGINE_UNREACHABLE, ENGINE_TOO_OLD, RUN_ENDED
 */
export async function askAbout(
  engine: NatsOptions,
  tell: (message: string) => void,
  patient: boolean,
): Promise<ToldRun | undefined> {
  const { decode, encode } = await import("../cluster/messages.ts");
  const { subjectsOf } = await import("../cluster/subjects.ts");
  const { id, run } = engine;
  return connected(engine, tell, async (cluster) => {
    for (let asked = 0; ; asked++) {
      const answer = await cluster.bus
        .request(subjectsOf(run).toAll("about"), encode("about", { node: id }), ASK_MS)
        .catch(() => undefined);
      const told = answer && decode("run", answer);
      if (told) {
        const { config, leader, token, operatorToken, dashboardToken } = told;
        const read = parseConfig(readYaml(config, `the configuration of ${leader}`));
        return { config: read, tokens: { token, operatorToken, dashboardToken } };
      }
      if (!patient) return undefined;
      await requireNotOver(cluster);
      if (asked === 0) tell(`nobody leads ${run} yet: this coordinator waits for one that does`);
      await new Promise<void>((resolve) => setTimeout(resolve, ASK_MS));
    }
  });
}
