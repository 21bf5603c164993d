// An engine that exists in this file only: the rounds are on the other side of a channel, over which every argument and
// answer goes as a message, later. It is added to the table at run time, keeps the contract of all engines, and trains
// a run over real sockets.

import { MessageChannel, type MessagePort } from "node:worker_threads";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { readCommitLog } from "../../coordinator/checkpoint/commit-log.ts";
import { defineEngine, type Engine, type EngineRun, type RunSummary } from "../../coordinator/engine/engine.ts";
import type { Inbox } from "../../coordinator/engine/inbox.ts";
import { localEngine } from "../../coordinator/engine/local/local-engine.ts";
import type { Outbox } from "../../coordinator/engine/outbox.ts";
import type { RunEvent } from "../../coordinator/engine/run-event.ts";
import type { OperatorCommand, RunWatch } from "../../coordinator/engine/run-watch.ts";
import { engineOptions, engines } from "../../coordinator/run/engines.ts";
import type { ParameterVersion } from "../../coordinator/training/parameter-version.ts";
import { BitswarmError, type ErrorCode } from "../../shared/base/errors.ts";
import { parseConfig } from "../../shared/run/config.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import { engineContract } from "../engine/contract.ts";
import { startTestRun, type TestRun, workToTheEnd } from "../fixtures/test-run.ts";

type Bytes = Uint8Array<ArrayBuffer>;
type CallOf<T, K extends keyof T> = T[K] extends (...args: infer A) => unknown ? readonly [K, ...A] : never;
type Told =
  | { [K in keyof Inbox]: CallOf<Inbox, K> }[keyof Inbox]
  | readonly ["run"]
  | readonly ["stop"]
  | readonly ["operate", OperatorCommand]
  | readonly ["close"];
type Says = { [K in keyof Outbox]: CallOf<Outbox, K> }[keyof Outbox];

/** To the rounds; `id` where an answer is waited for. */
interface Down {
  readonly told: Told;
  readonly id?: number;
}

/** From the rounds. */
type Up =
  /** Before it the bytes that it names and that were not sent before. */
  | { readonly kind: "says"; readonly says: Says; readonly blobs: ReadonlyMap<string, Bytes> }
  | { readonly kind: "event"; readonly event: RunEvent }
  | { readonly kind: "status"; readonly status: RunStatus; readonly watch: RunWatch }
  | { readonly kind: "answer"; readonly id: number; readonly value?: RunSummary }
  | { readonly kind: "failure"; readonly id: number; readonly code: ErrorCode; readonly message: string };

const STATUS_EVERY_MS = 20;

const namesOf = ({ changes, whole }: ParameterVersion) => [...changes, whole].map(({ name }) => name);

/** The side of the rounds: the local engine, told by messages. */
async function serve(port: MessagePort, run: EngineRun): Promise<void> {
  const post = (up: Up) => port.postMessage(up);
  const standing = (): Up => ({ kind: "status", status: engine.status(), watch: engine.watch() });
  const sent = new Set<string>();
  const says = (...said: Says) => {
    const blobs = new Map<string, Bytes>();
    if (said[0] === "lease") {
      const [, , lease, parameters] = said;
      const named = [...parameters.flatMap(namesOf), ...Object.values(lease.frozen)];
      for (const name of named.filter((each) => !sent.has(each))) {
        const bytes = engine.blob(name);
        if (bytes) blobs.set(name, bytes);
        sent.add(name);
      }
    }
    post({ kind: "says", says: said, blobs });
    post(standing());
  };
  const outbox: Outbox = {
    lease: (...args) => says("lease", ...args),
    accepted: (...args) => says("accepted", ...args),
    rejected: (...args) => says("rejected", ...args),
    cancelled: (...args) => says("cancelled", ...args),
    rests: (...args) => says("rests", ...args),
    audited: (...args) => says("audited", ...args),
    dismissed: (...args) => says("dismissed", ...args),
  };
  const onEvent = (event: RunEvent) => post({ kind: "event", event });
  const engine = await localEngine.open({ kind: "local" }, { ...run, outbox, onEvent });
  const timer = setInterval(() => post(standing()), STATUS_EVERY_MS);
  const obey = async ([call, ...args]: Told): Promise<RunSummary | undefined> => {
    if (call === "run") return engine.run().finally(() => post(standing()));
    if (call === "stop") engine.stop();
    else if (call === "operate") void engine.operate(args[0] as OperatorCommand);
    else if (call === "close") {
      clearInterval(timer);
      await engine.close();
    } else await (engine.inbox[call] as (...given: readonly unknown[]) => unknown).apply(engine.inbox, args);
    return undefined;
  };
  port.on("message", ({ told, id = 0 }: Down) => {
    obey(told).then(
      (value) => post({ kind: "answer", id, ...(value ? { value } : {}) }),
      ({ code, message }: BitswarmError) => post({ kind: "failure", id, code, message }),
    );
  });
  post(standing());
}

/** The side of the sessions. */
class ChannelEngine implements Engine {
  readonly inbox: Inbox;
  readonly #port: MessagePort;
  readonly #run: Pick<EngineRun, "outbox" | "onEvent">;
  readonly #delayMs: number;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  readonly #blobs = new Map<string, Bytes>();
  #nextId = 1;
  #status: RunStatus | undefined;
  #watch: RunWatch | undefined;
  #ready = () => {};

  static async open(run: EngineRun, delayMs: number): Promise<ChannelEngine> {
    const { port1, port2 } = new MessageChannel();
    const engine = new ChannelEngine(port1, run, delayMs);
    const ready = new Promise<void>((resolve) => {
      engine.#ready = resolve;
    });
    await serve(port2, run);
    await ready;
    return engine;
  }

  private constructor(port: MessagePort, run: Pick<EngineRun, "outbox" | "onEvent">, delayMs: number) {
    this.#port = port;
    this.#run = run;
    this.#delayMs = delayMs;
    port.on("message", (up: Up) => this.#hear(up));
    this.inbox = {
      join: (...args) => this.#tell(["join", ...args]),
      ready: (...args) => this.#tell(["ready", ...args]),
      holds: (...args) => this.#tell(["holds", ...args]),
      pause: (...args) => this.#tell(["pause", ...args]),
      suspend: (...args) => this.#tell(["suspend", ...args]),
      resume: (...args) => this.#tell(["resume", ...args]),
      leave: (...args) => this.#tell(["leave", ...args]),
      giveBack: (...args) => this.#tell(["giveBack", ...args]),
      contribute: (...args) => this.#ask(["contribute", ...args]),
    };
  }

  run(): Promise<RunSummary> {
    return this.#ask(["run"]);
  }

  status(): RunStatus {
    if (!this.#status) throw new RangeError("the rounds have not told their status yet");
    return this.#status;
  }

  watch(): RunWatch {
    if (!this.#watch) throw new RangeError("the rounds have not told yet who works");
    return this.#watch;
  }

  async operate(command: OperatorCommand): Promise<undefined> {
    this.#tell(["operate", command]);
    return undefined;
  }

  blob(name: string): Bytes | undefined {
    return this.#blobs.get(name);
  }

  stop(): void {
    this.#tell(["stop"]);
  }

  async close(): Promise<void> {
    await this.#ask(["close"]);
    this.#port.close();
  }

  #tell(told: Told, id?: number): void {
    const down: Down = { told, ...(id === undefined ? {} : { id }) };
    // What was cloned now is what is said later, in the order in which it was said.
    const message = structuredClone(down);
    if (this.#delayMs === 0) this.#port.postMessage(message);
    else setTimeout(() => this.#port.postMessage(message), this.#delayMs);
  }

  #ask<T>(told: Told): Promise<T> {
    return new Promise((resolve, reject) => {
      const id = this.#nextId++;
      this.#waiting.set(id, { resolve, reject });
      this.#tell(told, id);
    });
  }

  #hear(up: Up): void {
    switch (up.kind) {
      case "says":
        this.#say(up);
        break;
      case "event":
        this.#run.onEvent(up.event);
        break;
      case "status":
        this.#status = up.status;
        this.#watch = up.watch;
        this.#ready();
        break;
      case "answer":
        this.#waiting.get(up.id)?.resolve(up.value as never);
        this.#waiting.delete(up.id);
        break;
      case "failure":
        this.#waiting.get(up.id)?.reject(new BitswarmError(up.code, up.message));
        this.#waiting.delete(up.id);
        break;
      default:
        up satisfies never;
    }
  }

  #say({ says: [call, ...args], blobs }: Extract<Up, { kind: "says" }>): void {
    for (const [name, bytes] of blobs) this.#blobs.set(name, bytes);
    const { outbox } = this.#run;
    (outbox[call] as (...given: readonly unknown[]) => void).apply(outbox, args);
  }
}

const channel = defineEngine({
  kind: "channel",
  schema: z.strictObject({ kind: z.literal("channel"), delayMs: z.number().int().min(0).max(1000).default(0) }),
  open: ({ delayMs }, run) => ChannelEngine.open(run, delayMs),
});

afterAll(engines.add(channel));

engineContract("channel", (run) => channel.open({ kind: "channel", delayMs: 2 }, run));

test("an engine of another package is chosen by the configuration, and a run over real sockets ends with the bits of the local one", async () => {
  const commits = ({ run }: TestRun) => readCommitLog(run.directory.path);
  const local = await startTestRun();
  const expected = await workToTheEnd(local, 2);
  const started = await startTestRun({ config: { engine: { kind: "channel" } } });
  expect(started.run.state.config.engine).toEqual({ kind: "channel" });
  expect({ ...(await workToTheEnd(started, 2)), checkpoint: "" }).toEqual({ ...expected, checkpoint: "" });
  expect(await commits(started)).toEqual(await commits(local));
});

test("volunteers are told which engine drives the run, and none of its options", async () => {
  const { connect } = await startTestRun({ config: { engine: { kind: "channel", delayMs: 1 } } });
  expect((await connect().join()).welcome.config.engine).toEqual({ kind: "channel" });
});

test("the table's schema checks an engine's options, and an unknown engine is CONFIG_INVALID and told which there are", async () => {
  const options = (engine: unknown) => engineOptions(parseConfig({ engine }));
  expect(options({})).toEqual({ kind: "local" });
  expect(options({ kind: "channel" })).toEqual({ kind: "channel", delayMs: 0 });
  expect(() => options({ kind: "channel", delayMs: -1 })).toThrowError(/engine\.delayMs/);
  expect(() => options({ kind: "local", delayMs: 1 })).toThrowError(/delayMs/);
  expect(() => options({ kind: "carrier pigeons" })).toThrowError(/known are local, nats, channel/);
  await expect(startTestRun({ config: { engine: { kind: "carrier pigeons" } } })).rejects.toMatchObject({
    code: "CONFIG_INVALID",
  });
});
