// Long bytes between coordinators and gateways, as a port: whoever has them offers them by name, whoever needs them
// fetches. Over the bus it is a second connection's, since a server cuts off whoever does not read fast enough; over
// HTTP it is the holder's own door.

export interface BulkRequest {
  /** Id of whoever offers it. */
  readonly holder: string;
  readonly name: string;
  readonly bytes: number;
  /** Of all of it: what has another hash is as good as lost. */
  readonly sha256: string;
  /** Listens to what another asks this holder for, and itself asks only for what it missed. */
  readonly patient?: boolean;
  readonly signal?: AbortSignal;
}

export interface Bulk {
  /** Bytes, which change no more, are to be had under the name until it is withdrawn. */
  offer(name: string, bytes: Uint8Array): void;
  withdraw(name: string): void;
  /** @throws BULK_LOST where the holder has it not, or is silent; whatever the signal aborts with */
  fetch(request: BulkRequest): Promise<Uint8Array<ArrayBuffer>>;
  close(): void;
}

/** Of one offer; a partial sum of the largest network that we know of is a tenth. */
export const MOST_BULK_BYTES = 2 ** 30;
