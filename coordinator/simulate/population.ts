// Who is there: volunteers take their seats, lose connections, leave, die and are replaced, and partitions cut seats
// off.

import { type Rng, rng } from "../../shared/base/rng.ts";
import { standsFor } from "./crowds.ts";
import { between, drawProfile, type Profile, shuffledSeats } from "./profile.ts";
import { StallSchedule } from "./stall-schedule.ts";
import type { Surroundings } from "./surroundings.ts";
import { Volunteer } from "./volunteer.ts";

export class Population {
  readonly #world: Surroundings;
  readonly #seed: number;
  readonly #draws: Rng;
  readonly #seats: readonly number[];
  /** Who sits there now, and until when the seat is cut off from the coordinator. */
  readonly #seated: (Volunteer | undefined)[] = [];
  readonly #blockedUntil: Float64Array;
  #volunteers = 0;

  constructor(world: Surroundings, seed: number) {
    const { volunteers } = world.scenario;
    this.#world = world;
    this.#seed = seed;
    this.#draws = rng(seed, "simulate", "world");
    this.#seats = shuffledSeats(seed, volunteers);
    this.#blockedUntil = new Float64Array(volunteers);
  }

  /** All volunteers are on their way, and all partitions are to come. */
  begin(): void {
    const { scenario, timeline } = this.#world;
    for (let seat = 0; seat < scenario.volunteers; seat++) {
      const afterMs = this.#draws.uniform() * scenario.joinSeconds * 1000;
      if (standsFor(scenario, seat) > 0) this.#seat(seat, afterMs);
    }
    this.#expectThrottles();
    for (const { atSeconds, seconds, share } of scenario.partitions) {
      timeline.at(1000 * atSeconds, "world", () => {
        for (let seat = 0; seat < scenario.volunteers; seat++) {
          if (this.#draws.uniform() < share) this.#blockedUntil[seat] = timeline.now + 1000 * seconds;
        }
      });
    }
  }

  /** Some volunteers want more of their machines for themselves, in the middle of whatever they compute. */
  #expectThrottles(): void {
    const { scenario, timeline } = this.#world;
    const draws = rng(this.#seed, "simulate", "throttles");
    for (const { atSeconds, share, to } of scenario.throttles) {
      timeline.at(1000 * atSeconds, "world", () => {
        for (const volunteer of this.#seated) if (draws.uniform() < share) volunteer?.throttle(to);
      });
    }
  }

  /** Until when nothing passes between this volunteer's seat and the coordinator, whenever that is asked. */
  barrier(volunteer: Pick<Volunteer, "profile">): () => number {
    const seat = this.#seated.indexOf(volunteer as Volunteer);
    // Who has no seat is never cut off.
    return () => this.#blockedUntil[seat] ?? 0;
  }

  #seat(seat: number, afterMs: number): void {
    const { scenario, timeline, account } = this.#world;
    const profile = drawProfile(scenario, this.#seed, this.#volunteers++, seat, this.#seats);
    const { index } = profile;
    const draws = rng(this.#seed, "simulate", "faults", index);
    timeline.at(timeline.now + afterMs, "world", () => {
      const stalls = new StallSchedule(
        rng(this.#seed, "simulate", "stalls", index),
        scenario.stalls.share,
        scenario.stalls.seconds,
        timeline.now,
      );
      const volunteer = new Volunteer(profile, this.#world, stalls);
      this.#seated[seat] = volunteer;
      account.arrived(profile);
      volunteer.visit();
      this.#expectDrops(seat, volunteer, draws);
      this.#expectEnd(seat, volunteer, profile, draws);
    });
  }

  #expectDrops(seat: number, volunteer: Volunteer, draws: Rng): void {
    const { timeline, scenario } = this.#world;
    const ms = this.#wait(scenario.drops.share, draws);
    if (ms === undefined) return;
    timeline.at(timeline.now + ms, "world", () => {
      if (this.#seated[seat] !== volunteer) return;
      volunteer.drop(1000 * between(scenario.drops.awaySeconds, draws));
      this.#expectDrops(seat, volunteer, draws);
    });
  }

  #expectEnd(seat: number, volunteer: Volunteer, profile: Profile, draws: Rng): void {
    const { timeline, scenario } = this.#world;
    const { leaves, deaths, replacedAfterSeconds } = scenario.churn;
    for (const [share, go] of [
      [leaves, () => volunteer.leave()],
      [deaths, () => volunteer.die()],
    ] as const) {
      const ms = this.#wait(share, draws);
      if (ms === undefined) continue;
      timeline.at(timeline.now + ms, "world", () => {
        if (this.#seated[seat] !== volunteer) return;
        this.#seated[seat] = undefined;
        go();
        this.#seat(seat, 1000 * between(replacedAfterSeconds, profile.draws));
      });
    }
  }

  /**
   * An exponentially distributed time in ms, of the mean that gives `share` in a step's time; none where the share is
   * 0.
   */
  #wait(share: number, draws: Rng): number | undefined {
    if (share <= 0) return undefined;
    return (-Math.log(1 - draws.uniform()) * 1000 * this.#world.scenario.stepSeconds) / share;
  }
}
