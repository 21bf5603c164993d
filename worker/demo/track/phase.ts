// What the page is about: a pure function of what it was about and what happened.

export type Phase =
  /** Nothing is shown yet. */
  | "empty"
  /** A picture is there, and no target. */
  | "aiming"
  | "following"
  | "paused"
  /** The film came to its end while it was followed. */
  | "over";

export type Happening = "opened" | "closed" | "aimed" | "paused" | "resumed" | "reset" | "ended";

const next: Readonly<Record<Phase, Partial<Record<Happening, Phase>>>> = {
  empty: { opened: "aiming" },
  aiming: { aimed: "following" },
  following: { paused: "paused", reset: "aiming", ended: "over", aimed: "following" },
  paused: { resumed: "following", reset: "aiming", aimed: "following" },
  over: { reset: "aiming", aimed: "following" },
};

/** What makes no sense now changes nothing. */
export function afterwards(phase: Phase, happening: Happening): Phase {
  if (happening === "closed") return "empty";
  if (happening === "opened") return "aiming";
  return next[phase][happening] ?? phase;
}
