// Owns the device and its trainer: opens both when they are wanted, and both anew when the device is lost.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { Dataset } from "../../shared/data/dataset.ts";
import type { RunConfig } from "../../shared/run/config.ts";
import type { AdapterDescription } from "../../shared/wire/protocol.ts";
import { sleep } from "../clock.ts";
import type { OpenDevice } from "../device.ts";
import { backoffMs } from "../session/backoff.ts";
import type { TuningEvent } from "../session/session-event.ts";
import type { SessionLimits } from "../session/session-limits.ts";
import type { SessionPorts } from "../session/session-ports.ts";
import type { Trainer } from "./trainer-contract.ts";

/** What a trainer is made for. */
export interface TrainerRun {
  readonly config: RunConfig;
  readonly dataset: Dataset;
}

/** What a trainer is told of its device and tells of its kernels. */
export interface TrainerCircumstances {
  /** The device came in the place of one that was lost. */
  readonly suspect: boolean;
  readonly onEvent: (event: TuningEvent) => void;
}

/** Compiles a run's kernels on a device. */
export type CreateTrainer = (
  open: OpenDevice,
  run: TrainerRun,
  circumstances: TrainerCircumstances,
) => Trainer | Promise<Trainer>;

/** A trainer, and the signal that its device is lost; the signal's reason says why. */
export interface LivingTrainer {
  readonly trainer: Trainer;
  readonly lost: AbortSignal;
}

export interface TrainerOwnerOptions {
  readonly openDevice: () => Promise<OpenDevice>;
  readonly createTrainer: CreateTrainer;
  readonly limits: Pick<SessionLimits, "deviceRecoveries" | "deviceWindowMs" | "deviceBackoff">;
  /** Called for each device that was opened. */
  readonly onAdapter: (adapter: AdapterDescription) => void;
  /** Called for what trainers do about their kernels. */
  readonly onTuning: (event: TuningEvent) => void;
  readonly ports: Pick<SessionPorts, "clock" | "random">;
}

export class TrainerOwner {
  readonly #options: TrainerOwnerOptions;
  #run: TrainerRun | undefined;
  #open: OpenDevice | undefined;
  #living: LivingTrainer | undefined;
  #building: Promise<LivingTrainer> | undefined;
  #opening: Promise<OpenDevice> | undefined;
  #openedBefore = false;
  /** Aborts when #open is lost. */
  #loss = new AbortController();
  /** When devices were asked for anew. */
  #recoveries: number[] = [];
  #lossReason = "";
  #closed = false;

  constructor(options: TrainerOwnerOptions) {
    this.#options = options;
  }

  /** The device's description, once it is open. @throws WEBGPU_MISSING for the first, DEVICE_LOST for those after it */
  async adapter(): Promise<AdapterDescription> {
    return (await this.#device()).adapter;
  }

  /** The open device, for work beside the trainer's. @throws WEBGPU_MISSING, DEVICE_LOST */
  device(): Promise<OpenDevice> {
    return this.#device();
  }

  /** Says which run the next trainer is for; the trainer of another run is closed. */
  use(run: TrainerRun): void {
    if (this.#run && JSON.stringify(this.#run) === JSON.stringify(run)) return;
    this.#run = run;
    this.#closeTrainer();
  }

  /**
   * A trainer on a living device; all who ask while it is made get the same one.
   * @throws DEVICE_LOST when devices keep being lost, or whatever creating the trainer throws
   */
  trainer(): Promise<LivingTrainer> {
    if (this.#living) return Promise.resolve(this.#living);
    this.#building ??= this.#build().finally(() => {
      this.#building = undefined;
    });
    return this.#building;
  }

  close(): void {
    this.#closed = true;
    this.#closeTrainer();
    this.#open?.device.destroy();
    this.#open = undefined;
  }

  #closeTrainer(): void {
    this.#living?.trainer.close();
    this.#living = undefined;
  }

  async #build(): Promise<LivingTrainer> {
    for (;;) {
      const run = this.#run;
      if (!run) throw new RangeError("a trainer was asked for before its run is known");
      const open = await this.#device();
      const { device } = open;
      const stale = () => this.#open?.device !== device || this.#run !== run;
      try {
        const trainer = await this.#options.createTrainer(open, run, {
          suspect: this.#lossReason !== "",
          onEvent: this.#options.onTuning,
        });
        if (!stale()) {
          this.#living = { trainer, lost: this.#loss.signal };
          trainer.lost.then((reason) => this.#lose(device, reason));
          return this.#living;
        }
        trainer.close();
      } catch (error) {
        // Compiling on a device that is lost meanwhile fails in many ways; a living one's errors are real.
        if (!stale()) throw error;
      }
    }
  }

  /** The open device; all who ask while one is opened get the same. */
  #device(): Promise<OpenDevice> {
    if (this.#open) return Promise.resolve(this.#open);
    this.#opening ??= (this.#openedBefore ? this.#recover() : this.#openDevice()).finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #recover(): Promise<OpenDevice> {
    let cause: unknown;
    for (;;) {
      this.#countRecovery(cause);
      const { clock, random } = this.#options.ports;
      await sleep(clock, backoffMs(this.#options.limits.deviceBackoff, this.#recoveries.length, random()));
      try {
        return await this.#openDevice();
      } catch (error) {
        if (this.#closed) throw error;
        // Right after a GPU process died there may be no adapter for a moment.
        cause = error;
      }
    }
  }

  #countRecovery(cause: unknown): void {
    const { deviceRecoveries, deviceWindowMs } = this.#options.limits;
    const now = this.#options.ports.clock.now();
    this.#recoveries = this.#recoveries.filter((at) => now - at < deviceWindowMs);
    if (this.#recoveries.length >= deviceRecoveries) {
      throw new BitswarmError(
        "DEVICE_LOST",
        `the GPU's device was lost more than ${deviceRecoveries} times in ${deviceWindowMs / 60_000} minutes (last: ${this.#lossReason}); close other GPU programs or update its driver, then start again`,
        { cause },
      );
    }
    this.#recoveries.push(now);
  }

  async #openDevice(): Promise<OpenDevice> {
    if (this.#closed) throw sessionEnded();
    const open = await this.#options.openDevice();
    if (this.#closed) {
      open.device.destroy();
      throw sessionEnded();
    }
    this.#open = open;
    this.#openedBefore = true;
    open.device.lost.then((info) => this.#lose(open.device, info.message || info.reason));
    this.#options.onAdapter(open.adapter);
    return open;
  }

  #lose(device: GPUDevice, reason: string): void {
    if (this.#closed || this.#open?.device !== device) return;
    this.#lossReason = reason;
    this.#loss.abort(reason);
    this.#loss = new AbortController();
    this.#closeTrainer();
    this.#open = undefined;
    // A trainer may call its device lost that still holds memory.
    device.destroy();
  }
}

function sessionEnded(): BitswarmError {
  return new BitswarmError("DEVICE_LOST", "the session ended while its device was opened");
}
