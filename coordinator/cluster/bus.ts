// The way of messages between the coordinators and gateways of a run, as a port. At most once: what is published may be
// lost, doubled or late, so that whatever depends on it is said again (SCALE: beats carry state).

export interface BusMessage {
  readonly subject: string;
  readonly data: Uint8Array;
  /** Answers a request; absent where nobody waits for an answer. */
  readonly reply?: (data: Uint8Array) => void;
}

export type Unsubscribe = () => void;

export interface Bus {
  /** Never waits: whoever is not there now does not hear it. */
  publish(subject: string, data: Uint8Array): void;
  /** @param pattern tokens between dots; `*` is any one token, `>` at the end any that follow */
  subscribe(pattern: string, take: (message: BusMessage) => void): Unsubscribe;
  /** @throws ENGINE_UNREACHABLE where no answer came in time */
  request(subject: string, data: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  /** Resolves once what was published and subscribed before is where others find it. @throws ENGINE_UNREACHABLE */
  flush(): Promise<void>;
  close(): Promise<void>;
}

/** Whether a subject is one of a pattern's. */
export function matches(pattern: string, subject: string): boolean {
  const wanted = pattern.split(".");
  const tokens = subject.split(".");
  for (const [i, token] of wanted.entries()) {
    if (token === ">") return tokens.length > i;
    if (i >= tokens.length || (token !== "*" && token !== tokens[i])) return false;
  }
  return wanted.length === tokens.length;
}
