// Owns the device and its trainer: opens both when they are wanted, and both anew when the device is lost.

import { BitswarmError } from "../../shared/base/errors.ts";
import type { AdapterDescription } from "../../shared/wire/protocol.ts";
import { backoffMs } from "../backoff.ts";
import { sleep } from "../clock.ts";
import type { DutyCycle } from "../trainer/duty-cycle.ts";
import type { ComputeDevice, Trainer, TrainerRun } from "../trainer/trainer-contract.ts";
import type { TuningEvent } from "../tuning/tuning-event.ts";
import type { SessionLimits } from "./session-limits.ts";
import type { SessionPorts } from "./session-ports.ts";

/** A trainer, and the signal that its device is lost; the signal's reason says why. */
export interface LivingTrainer {
  readonly trainer: Trainer;
  readonly lost: AbortSignal;
}

export interface TrainerOwnerOptions {
  readonly openDevice: () => Promise<ComputeDevice>;
  readonly limits: Pick<SessionLimits, "deviceRecoveries" | "deviceWindowMs" | "deviceBackoff">;
  /** Called for each device that was opened. */
  readonly onAdapter: (adapter: AdapterDescription) => void;
  /** Called when a device is lost. */
  readonly onLost: () => void;
  /** Called for what trainers do about their kernels. */
  readonly onTuning: (event: TuningEvent) => void;
  /** How much of the time its trainers may compute. */
  readonly duty: DutyCycle;
  readonly ports: Pick<SessionPorts, "clock" | "random">;
}

export class TrainerOwner {
  readonly #options: TrainerOwnerOptions;
  #run: TrainerRun | undefined;
  #open: ComputeDevice | undefined;
  #living: LivingTrainer | undefined;
  #building: Promise<LivingTrainer> | undefined;
  #opening: Promise<ComputeDevice> | undefined;
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
  device(): Promise<ComputeDevice> {
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

  /** The trainer, where there is one. */
  get living(): LivingTrainer | undefined {
    return this.#living;
  }

  close(): void {
    this.#closed = true;
    this.#closeTrainer();
    this.#open?.close();
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
      const device = await this.#device();
      const stale = () => this.#open !== device || this.#run !== run;
      try {
        const trainer = await device.createTrainer(run, {
          suspect: this.#lossReason !== "",
          onEvent: this.#options.onTuning,
          duty: this.#options.duty,
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
  #device(): Promise<ComputeDevice> {
    if (this.#open) return Promise.resolve(this.#open);
    this.#opening ??= (this.#openedBefore ? this.#recover() : this.#openDevice()).finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #recover(): Promise<ComputeDevice> {
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

  async #openDevice(): Promise<ComputeDevice> {
    if (this.#closed) throw sessionEnded();
    const device = await this.#options.openDevice();
    if (this.#closed) {
      device.close();
      throw sessionEnded();
    }
    this.#open = device;
    this.#openedBefore = true;
    device.lost.then((reason) => this.#lose(device, reason));
    this.#options.onAdapter(device.adapter);
    return device;
  }

  #lose(device: ComputeDevice, reason: string): void {
    if (this.#closed || this.#open !== device) return;
    this.#lossReason = reason;
    this.#loss.abort(reason);
    this.#loss = new AbortController();
    this.#closeTrainer();
    this.#open = undefined;
    this.#options.onLost();
    // A trainer may call its device lost that still holds memory.
    device.close();
  }
}

function sessionEnded(): BitswarmError {
  return new BitswarmError("DEVICE_LOST", "the session ended while its device was opened");
}
