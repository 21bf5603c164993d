// What a volunteer has chosen on this page, kept in the browser from visit to visit; and what follows from it for the
// machine's and the page's condition.

import * as z from "zod/mini";
import { LEAST_SHARE } from "../../shared/base/gpu-share.ts";
import { nicknameIn } from "../../shared/base/nickname.ts";
import type { HoldReason } from "../session/session-event.ts";

/** A step of the slider, as part of the GPU's time. */
export const SHARE_STEP = 0.1;

const settingsSchema = z.object({
  /** Part of its time that the GPU may compute. */
  share: z._default(z.number().check(z.gte(LEAST_SHARE), z.lte(1)), 1),
  /** Computes only while the machine is on mains power. */
  mainsOnly: z._default(z.boolean(), false),
  /** Computes only while the page can be seen. */
  visibleOnly: z._default(z.boolean(), false),
  /** Keeps the screen on while it computes. */
  awake: z._default(z.boolean(), false),
  nickname: z._default(z.string(), ""),
  /** The nickname may be shown on the run's board. */
  listed: z._default(z.boolean(), false),
  /** It was shown once: the coordinator is told where that is over. */
  wasListed: z._default(z.boolean(), false),
});

export type Settings = Readonly<z.output<typeof settingsSchema>>;

export const defaultSettings: Settings = settingsSchema.parse({});

/** The settings in a text that was kept; the defaults where it is none, or another version's. */
export function settingsIn(text: string | null): Settings {
  try {
    const read = settingsSchema.safeParse(JSON.parse(text ?? "{}"));
    return read.success ? { ...read.data, nickname: nicknameIn(read.data.nickname) } : defaultSettings;
  } catch {
    return defaultSettings;
  }
}

/** How the machine and the page are. */
export interface Surroundings {
  /** Undefined where the browser does not tell. */
  readonly onBattery: boolean | undefined;
  readonly hidden: boolean;
  /** The browser can keep the screen on. */
  readonly canStayAwake: boolean;
}

/** Why the volunteer's settings want no computing now; the battery first. */
export function holdOf(
  { mainsOnly, visibleOnly }: Settings,
  { onBattery, hidden }: Surroundings,
): HoldReason | undefined {
  if (mainsOnly && onBattery) return "battery";
  return visibleOnly && hidden ? "hidden" : undefined;
}

/** The nickname under which the volunteer is to be on the board, or null; undefined who never wanted to be. */
export function listedAs({ listed, wasListed, nickname }: Settings): string | null | undefined {
  if (listed && nickname !== "") return nickname;
  return wasListed ? null : undefined;
}
