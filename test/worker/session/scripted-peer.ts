// One worker's connection to a scripted coordinator: says what a test has it say, and keeps what came until it is asked
// for.

import type { WebSocket } from "ws";
import { encodeParameters } from "../../../shared/wire/parameter-frame.ts";
import { encodeChange, encodeWhole } from "../../../shared/wire/parameter-update.ts";
import {
  type CoordinatorMessage,
  decodeWorkerMessage,
  encodeMessage,
  type WorkerMessage,
} from "../../../shared/wire/protocol.ts";
import { RUN_TAG, SETS, sha256, studentForm } from "./scripted-run.ts";

type Incoming = WorkerMessage | { readonly type: "frame"; readonly bytes: Uint8Array };
type IncomingOf<T extends Incoming["type"]> = Extract<Incoming, { type: T }>;

/**
 * For a message that must come: a worker may be compiling, measuring and computing on cores that others use as well.
 */
const PATIENCE_MS = 120_000;

export class Peer {
  readonly closed: Promise<{ code: number; reason: string }>;
  /** Answer pings; a dead coordinator does not. */
  answers = true;
  readonly pings: number[] = [];
  /** The worker's key, once it is proved. */
  publicKey = "";
  readonly #socket: WebSocket;
  readonly #inbox: Incoming[] = [];
  #wake: () => void = () => undefined;

  constructor(socket: WebSocket) {
    this.#socket = socket;
    this.closed = new Promise((resolve) =>
      socket.on("close", (code, reason) => {
        resolve({ code, reason: String(reason) });
        this.#wake();
      }),
    );
    socket.on("message", (data: Buffer) => this.#receive(new Uint8Array(data)));
  }

  #receive(bytes: Uint8Array): void {
    const incoming: Incoming = bytes[0] === 0x42 ? { type: "frame", bytes } : decodeWorkerMessage(bytes);
    if (incoming.type === "ping") {
      this.pings.push(incoming.nonce);
      if (this.answers) this.send({ type: "pong", nonce: incoming.nonce });
      return;
    }
    this.#inbox.push(incoming);
    this.#wake();
  }

  /** The next message, which must be of one of these types. */
  async next<T extends Incoming["type"]>(...types: readonly T[]): Promise<IncomingOf<T>> {
    const deadline = Date.now() + PATIENCE_MS;
    while (this.#inbox.length === 0) {
      if (Date.now() > deadline) throw new Error(`no ${types} came within ${PATIENCE_MS / 1000} s`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 200);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    const incoming = this.#inbox.shift();
    if (!(types as readonly unknown[]).includes(incoming?.type)) {
      throw new Error(`${types} was due; got ${JSON.stringify(incoming)}`);
    }
    return incoming as IncomingOf<T>;
  }

  /** Messages that came and were not asked for. */
  get unread(): readonly string[] {
    return this.#inbox.map(({ type }) => type);
  }

  send(message: CoordinatorMessage): void {
    this.sendBytes(encodeMessage(message));
  }

  sendBytes(bytes: Uint8Array): void {
    this.#socket.send(bytes);
  }

  /** The student's parameters whole, in a frame; returns their hash. */
  sendParameters(blob: Uint8Array<ArrayBuffer>, announced = sha256(blob), form = studentForm): string {
    const body = encodeWhole(form, blob);
    this.sendBytes(encodeParameters(RUN_TAG, SETS, 0, { set: "student", hash: announced, base: null, body }));
    return announced;
  }

  /** What changes one blob of the student into another; returns the other's hash. */
  sendChange(from: Uint8Array<ArrayBuffer>, to: Uint8Array<ArrayBuffer>, announced = sha256(to)): string {
    const body = encodeChange(studentForm, from, to);
    this.sendBytes(encodeParameters(RUN_TAG, SETS, 0, { set: "student", hash: announced, base: sha256(from), body }));
    return announced;
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }

  /** As a machine does that loses its power. */
  terminate(): void {
    this.#socket.terminate();
  }
}
