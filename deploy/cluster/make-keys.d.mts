// The type of make-keys.mjs, which runs without a compiler.

export interface ClusterNames {
  /** Of NATS servers. */
  readonly nodes: readonly string[];
  /** Addresses by name, where the name alone leads nowhere. */
  readonly hosts?: Readonly<Record<string, string>>;
  readonly coordinators: readonly string[];
  readonly gateways: readonly string[];
}

/**
 * Into a folder: `ca.pem`, `NAME.pem` and `NAME.key` for each server, coordinator and gateway, `nats.conf` with
 * `users.conf` for all servers, `NAME.nk` for each
 * coordinator and gateway, and `authority/ca.key`, which no server needs. What is there already stays.
 * @throws Error naming what is no name
 */
export function makeKeys(out: string, names: ClusterNames): Promise<void>;
