// Who may come in: as many as there is room for, with the run's token, and no faster than an address may (SPEC.md, S,
// Z).

import { randomBytes } from "node:crypto";
import type { Clock } from "../../shared/base/clock.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import {
  type ChallengeMessage,
  type HelloMessage,
  PROTOCOL_VERSION,
  type WelcomeMessage,
} from "../../shared/wire/protocol.ts";
import { type RunTokens, tokenHolder } from "../base/token.ts";
import { AddressBook } from "../trust/address-limits.ts";
import type { SessionRegistry } from "./registry.ts";

export interface AdmissionOptions extends RunTokens {
  /** Of what every worker is told when it joins. */
  readonly welcome: {
    readonly run: string;
    readonly config: {
      readonly maxWorkers: number;
      readonly trust: Pick<WelcomeMessage["config"]["trust"], "socketsPerAddress" | "joinsPerMinute">;
    };
  };
  readonly clock: Clock;
  /** 32 bytes in hex that nobody can foresee: of each challenge. */
  readonly nonce?: () => string;
}

export type Opening =
  /** `release` says that the socket is gone; may be called twice. */
  | { readonly kind: "opened"; readonly release: () => void }
  /** `address` where others of the same are in the way, else whoever is there. */
  | { readonly kind: "full"; readonly message: string; readonly of: "address" | "all" };

/** Connections beyond `maxWorkers`, for those who have not said hello yet. */
const STRANGERS = 256;
const NONCE_BYTES = 32;

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #sessions: Pick<SessionRegistry, "size" | "resumable">;
  readonly #addresses: AddressBook;
  /** Why nobody is let in any more. */
  #closed: string | undefined;

  constructor(options: AdmissionOptions, sessions: Pick<SessionRegistry, "size" | "resumable">) {
    this.#options = options;
    this.#sessions = sessions;
    const { socketsPerAddress, joinsPerMinute } = options.welcome.config.trust;
    this.#addresses = new AddressBook({ sockets: socketsPerAddress, joinsPerMinute });
  }

  /**
   * Counts a connection that opens; says why where it does not fit. Those of the operator's workers are not counted.
   * @param connections that there are
   */
  open(address: string, connections: number): Opening {
    if (connections >= this.#options.welcome.config.maxWorkers + STRANGERS) {
      return { kind: "full", of: "all", message: "too many connections; try again later" };
    }
    const { clock } = this.#options;
    const opened = this.#addresses.open(clock.now(), address);
    if (opened.kind === "full") return { ...opened, of: "address" };
    let open = true;
    const release = () => {
      if (open) this.#addresses.close(clock.now(), address);
      open = false;
    };
    return { kind: "opened", release };
  }

  /** Counts a wrong token that came over HTTP. @throws RATE_LIMITED */
  wrongToken(address: string): void {
    this.#addresses.wrongToken(this.#options.clock.now(), address);
  }

  /** Whether a hello is of the operator's own worker, for which no limit is. */
  isOwn({ token }: HelloMessage): boolean {
    return tokenHolder(this.#options, token) === "operator";
  }

  /** Lets nobody in from now on. @param message why */
  close(message: string): void {
    this.#closed = message;
  }

  /** @throws RUN_ENDED, TOO_MANY_WORKERS */
  requireRoom(hello: HelloMessage): void {
    if (this.#closed !== undefined) throw new BitswarmError("RUN_ENDED", this.#closed);
    const { maxWorkers } = this.#options.welcome.config;
    // Strangers cannot take the room of whoever started the run.
    if (this.#sessions.size < maxWorkers || this.isOwn(hello)) return;
    throw new BitswarmError(
      "TOO_MANY_WORKERS",
      `the run has ${this.#sessions.size} workers, its limit is ${maxWorkers}; try again later`,
    );
  }

  /** What a hello is to sign. @throws RATE_LIMITED, TOKEN_INVALID, TOO_MANY_WORKERS, RUN_ENDED */
  challenge(hello: HelloMessage, address: string): ChallengeMessage {
    const { clock, nonce = () => randomBytes(NONCE_BYTES).toString("hex"), welcome } = this.#options;
    const known = this.#sessions.resumable(hello);
    const holder = tokenHolder(this.#options, hello.token);
    if (holder === undefined) {
      this.wrongToken(address);
      throw new BitswarmError(
        "TOKEN_INVALID",
        "the token is not that of this run: copy the whole link that the coordinator printed",
      );
    }
    if (!known && holder === "volunteer") this.#addresses.join(clock.now(), address);
    if (!known) this.requireRoom(hello);
    return { type: "challenge", nonce: nonce(), run: welcome.run, protocol: PROTOCOL_VERSION };
  }
}
