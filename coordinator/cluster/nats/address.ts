// What names servers on the command line: nats://host:port,host:port.

import { BitswarmError } from "../../../shared/base/errors.ts";

const USUAL_PORT = 4222;
const MOST_SERVERS = 16;

/** @returns host:port of each @throws CONFIG_INVALID */
export function readServers(text: string): readonly string[] {
  const [, hosts] = /^nats:\/\/(.+)$/.exec(text) ?? [];
  const servers = (hosts ?? "").split(",").map((host) => host.replace(/^nats:\/\//, ""));
  const known = servers.flatMap((server) => {
    const [, host, port = `${USUAL_PORT}`] = /^([A-Za-z0-9_.-]+|\[[0-9a-fA-F:]+\])(?::(\d{1,5}))?$/.exec(server) ?? [];
    return host !== undefined && Number(port) > 0 && Number(port) < 65_536 ? [`${host}:${port}`] : [];
  });
  if (known.length === servers.length && known.length > 0 && known.length <= MOST_SERVERS) return known;
  throw new BitswarmError(
    "CONFIG_INVALID",
    `the engine ${JSON.stringify(text)}: nats://host:port is due, 1 to ${MOST_SERVERS} of them with commas between, and no password: that comes with --creds or --nkey`,
  );
}
