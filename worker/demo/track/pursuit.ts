// What goes on while the page is open: frames are read, asked about and drawn, as fast as whoever computes answers.

import type { Box } from "../../../shared/tracking/box.ts";
import { isTarget, type Size } from "./aim.ts";
import type { TrackNetwork } from "./files.ts";
import { Trouble } from "./follower.ts";
import { FrameGrabber } from "./frames.ts";
import type { Found, Frame } from "./messages.ts";
import { Pace, playRate } from "./pace.ts";
import { afterwards, type Happening, type Phase } from "./phase.ts";
import type { Source } from "./sources.ts";
import { Sureness } from "./sureness.ts";

export interface ShownNetwork {
  readonly on: boolean;
  readonly found: Found | undefined;
  /** How sure it is, beside the beginning. */
  readonly share: number | undefined;
  readonly lost: boolean;
}

export interface Shown {
  readonly phase: Phase;
  readonly size: Size | undefined;
  /** Of the target, while it is chosen. */
  readonly aim: Box | undefined;
  readonly perSecond: number | undefined;
  /** How fast the film plays. */
  readonly rate: number;
  readonly trouble: string | undefined;
  readonly networks: readonly ShownNetwork[];
}

/** One network on its way. */
interface Runner {
  readonly network: TrackNetwork;
  on: boolean;
  started: boolean;
  sureness: Sureness;
  found: Found | undefined;
}

export class Pursuit {
  readonly grabber = new FrameGrabber();
  readonly #runners: readonly Runner[];
  readonly #tell: (shown: Shown) => void;
  /** Draws what was read last, and the boxes in it. */
  readonly #draw: (shown: Shown) => void;
  #source: Source | undefined;
  #phase: Phase = "empty";
  #aim: Box | undefined;
  #frame: Frame | undefined;
  #pace = new Pace();
  #rate = 1;
  #trouble: string | undefined;
  #busy = false;
  /** Of the film, when it was read last. */
  #seenAt = -1;
  /** Whatever was asked before it rose is no answer any more. */
  #turn = 0;
  #gone = false;

  constructor(networks: readonly TrackNetwork[], draw: (shown: Shown) => void, tell: (shown: Shown) => void) {
    this.#runners = networks.map((network) => ({
      network,
      on: true,
      started: false,
      sureness: new Sureness(),
      found: undefined,
    }));
    this.#draw = draw;
    this.#tell = tell;
    const look = () => {
      if (this.#gone) return;
      this.#look();
      requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
  }

  get shown(): Shown {
    const frame = this.#frame;
    return {
      phase: this.#phase,
      size: frame && { width: frame.width, height: frame.height },
      aim: this.#aim,
      perSecond: this.#pace.perSecond,
      rate: this.#rate,
      trouble: this.#trouble,
      networks: this.#runners.map(({ on, found, sureness }) => ({
        on,
        found: on ? found : undefined,
        share: on ? sureness.share : undefined,
        lost: on && sureness.lost,
      })),
    };
  }

  #say(): void {
    const { shown } = this;
    this.#draw(shown);
    this.#tell(shown);
  }

  #happens(happening: Happening): void {
    this.#phase = afterwards(this.#phase, happening);
  }

  /** Forgets the target, and what is on its way about it. */
  #forget(): void {
    this.#turn++;
    this.#aim = undefined;
    this.#pace.clear();
    for (const runner of this.#runners)
      Object.assign(runner, { started: false, found: undefined, sureness: new Sureness() });
  }

  open(source: Source): void {
    this.#source?.close();
    this.#source = source;
    this.#frame = undefined;
    this.#trouble = undefined;
    this.#setRate(1);
    this.#forget();
    this.#seenAt = -1;
    source.watch((why) => {
      if (this.#source === source) this.close(why);
    });
    this.#happens("opened");
    this.#say();
  }

  close(trouble?: string): void {
    this.#source?.close();
    this.#source = undefined;
    this.#frame = undefined;
    this.#forget();
    this.#trouble = trouble;
    this.#happens("closed");
    this.#say();
  }

  /** A box that is being chosen: the picture stands still meanwhile. */
  aim(box: Box | undefined): void {
    if (!this.#source || !this.#frame) return;
    if (box && this.#aim === undefined) this.#source.video.pause();
    if (this.#phase === "following" && box) this.#happens("paused");
    this.#aim = box;
    if (!box) this.#goOnAiming();
    this.#say();
  }

  /** The box that was chosen is followed from now on; one that is too small is none. */
  async follow(): Promise<void> {
    const [box, frame] = [this.#aim, this.#frame];
    this.#aim = undefined;
    if (!box || !frame || !isTarget(box)) {
      this.#goOnAiming();
      this.#say();
      return;
    }
    this.#forget();
    this.#trouble = undefined;
    const turn = this.#turn;
    this.#happens("aimed");
    this.#say();
    this.#busy = true;
    try {
      for (const runner of this.#runners) if (runner.on) await this.#start(runner, frame, box);
    } catch (error) {
      if (turn === this.#turn) this.#fails(error);
    } finally {
      this.#busy = false;
    }
    if (turn !== this.#turn || this.#phase !== "following") return;
    this.#play();
  }

  /** A camera's picture goes on where no box was chosen in it. */
  #goOnAiming(): void {
    if (this.#phase === "aiming" && this.#source?.kind === "camera") this.#play();
  }

  async #start(runner: Runner, frame: Frame, box: Box): Promise<void> {
    await runner.network.follower.ask<"start">({ kind: "start", frame, box });
    runner.started = true;
  }

  #fails(error: unknown): void {
    this.#trouble = error instanceof Trouble ? error.message : "something unexpected went wrong";
    if (!(error instanceof Trouble)) console.error(error);
    this.reset();
  }

  #play(): void {
    // A picture that cannot go on is seen to stand still.
    void this.#source?.video.play().catch(() => undefined);
  }

  pause(): void {
    this.#source?.video.pause();
    this.#happens("paused");
    this.#say();
  }

  resume(): void {
    this.#happens("resumed");
    this.#pace.clear();
    this.#play();
    this.#say();
  }

  /** Another target. */
  reset(): void {
    this.#forget();
    this.#happens("reset");
    if (this.#source?.kind === "camera") this.#play();
    else this.#source?.video.pause();
    this.#say();
  }

  /** Of a film. */
  rewind(): void {
    if (this.#source?.kind !== "file") return;
    this.reset();
    this.#toBeginning(this.#source);
  }

  #toBeginning({ video }: Source): void {
    this.#setRate(1);
    // What it shows is the old picture until it has found the first.
    video.addEventListener(
      "seeked",
      () => {
        this.#seenAt = -1;
      },
      { once: true },
    );
    video.currentTime = 0;
  }

  /** One of them stays on. */
  turn(network: number, on: boolean): void {
    const runner = this.#runners[network];
    if (!runner || (!on && this.#runners.every((one) => one === runner || !one.on))) return;
    Object.assign(runner, { on, started: false, found: undefined, sureness: new Sureness() });
    this.#pace.clear();
    this.#say();
  }

  dispose(): void {
    this.#gone = true;
    this.#source?.close();
    for (const { network } of this.#runners) network.follower.end();
  }

  #setRate(rate: number): void {
    this.#rate = rate;
    if (this.#source?.kind === "file") this.#source.video.playbackRate = rate;
  }

  /** Once for each picture that the screen shows. */
  #look(): void {
    const source = this.#source;
    if (!source || this.#busy || this.#aim !== undefined) return;
    const { video, kind } = source;
    if (this.#phase === "following" && video.ended) {
      this.#forget();
      this.#happens("ended");
      this.#toBeginning(source);
      this.#say();
      return;
    }
    const still = this.#phase === "paused" || this.#phase === "empty";
    if (still && this.#frame !== undefined) return;
    if (video.seeking || (video.currentTime === this.#seenAt && (kind === "file" || video.paused))) return;
    const frame = this.grabber.grab(video);
    if (!frame) return;
    this.#seenAt = video.currentTime;
    const first = this.#frame === undefined;
    this.#frame = frame;
    if (this.#phase === "following") void this.#ask(frame);
    else if (first) this.#say();
    else this.#draw(this.shown);
  }

  async #ask(frame: Frame): Promise<void> {
    const turn = this.#turn;
    this.#busy = true;
    try {
      // One after the other: each has the device for itself, and its own time.
      for (const runner of this.#runners) {
        if (!runner.on) continue;
        const beside = this.#runners.find(({ on, found }) => on && found)?.found;
        if (!runner.started && beside) await this.#start(runner, frame, beside.box);
        if (!runner.started) continue;
        const found = await runner.network.follower.ask<"next">({ kind: "next", frame });
        if (turn !== this.#turn) return;
        runner.found = found;
        const cells = found.side ** 2;
        runner.sureness.add(found.responses.subarray(found.scale * cells, (found.scale + 1) * cells));
      }
      this.#pace.add(performance.now());
      if (this.#source?.kind === "file") this.#setRate(playRate(this.#pace.perSecond));
      this.#say();
    } catch (error) {
      if (turn === this.#turn) this.#fails(error);
    } finally {
      this.#busy = false;
    }
  }
}
