// What is asked for on a dashboard, done by the engine that is here or by whoever leads the run.

import { workerId } from "../../shared/base/ids.ts";
import { printable } from "../base/printable.ts";
import type { Command } from "../dashboard/feed-message.ts";
import type { Engine } from "../engine/engine.ts";

export interface Obeyed {
  /** What follows from it, in words for whoever asked. */
  readonly told: string;
  /** Another node does it. */
  readonly passedOn: boolean;
}

/** @param token that was shown for it @throws RUN_UNREACHABLE where nobody leads just now, TOKEN_INVALID */
export async function obey(engine: Pick<Engine, "operate">, asked: Command, token: string): Promise<Obeyed> {
  const told = answer(asked);
  if (asked.type === "may-i") return { told, passedOn: false };
  const command = asked.type === "drain" ? { type: asked.type, worker: workerId(asked.worker) } : asked;
  const by = await engine.operate(command, token);
  return by === undefined ? { told, passedOn: false } : { told: `${told}; ${by} leads, and does it`, passedOn: true };
}

function answer(command: Command): string {
  switch (command.type) {
    case "pause":
      return "the run pauses when the step in hand is done";
    case "go-on":
      return "the run goes on";
    case "checkpoint":
      return "a checkpoint is written when the step in hand is done";
    case "stop":
      return "the run ends when the step in hand is done, with a checkpoint";
    case "drain":
      return `${printable(command.worker)} finishes what it holds, and is let go`;
    case "may-i":
      return "you may act on this run";
    default:
      return command satisfies never;
  }
}
