// What whoever runs the training may do with it, once they have shown the operator's token.

import { h } from "preact";
import { useState } from "preact/hooks";
import type { Command } from "../feed-message.ts";
import { actionsOf, type Board } from "./board.ts";

export interface ActionsProps {
  readonly board: Board;
  /** The operator's token was shown. */
  readonly unlocked: boolean;
  /** The last answer, or what is to be known. */
  readonly said: string;
  readonly onUnlock: (token: string) => void;
  readonly onCommand: (command: Command) => void;
}

export function ActionsPart({ board, unlocked, said, onUnlock, onCommand }: ActionsProps) {
  const [sure, setSure] = useState(false);
  const [token, setToken] = useState("");
  const { paused, checkpointWanted, checkpointStep } = board.operations;
  const over = board.status.state === "stopping";
  const press = (label: string, command: Command, disabled = false) =>
    h("button", { type: "button", disabled: disabled || over, onClick: () => onCommand(command) }, label);
  const unlocking = h(
    "form",
    {
      class: "unlock",
      onSubmit: (event: Event) => {
        event.preventDefault();
        onUnlock(token.trim());
        setToken("");
      },
    },
    h(
      "label",
      null,
      "Operator's token ",
      h("input", {
        type: "password",
        value: token,
        autoComplete: "off",
        required: true,
        onInput: (event: Event) => setToken((event.target as HTMLInputElement).value),
      }),
    ),
    h("button", { type: "submit" }, "Unlock"),
    h(
      "p",
      { class: "quiet" },
      "It stands in the file operator-token of the run's folder, and is another after each resume.",
    ),
  );
  const stopping = sure
    ? h(
        "span",
        { class: "sure" },
        "End the run after this step? ",
        h(
          "button",
          {
            type: "button",
            class: "warn",
            onClick: () => {
              setSure(false);
              onCommand({ type: "stop" });
            },
          },
          "Yes, stop",
        ),
        h("button", { type: "button", onClick: () => setSure(false) }, "No"),
      )
    : h("button", { type: "button", disabled: over, onClick: () => setSure(true) }, "Stop after step");
  const buttons = h(
    "div",
    { class: "buttons" },
    paused === "no"
      ? press("Pause", { type: "pause" })
      : press(paused === "soon" ? "Do not pause" : "Go on", { type: "go-on" }),
    press("Checkpoint now", { type: "checkpoint" }, checkpointWanted),
    stopping,
  );
  const kept = checkpointStep === null ? "No checkpoint yet." : `Newest checkpoint: step ${checkpointStep}.`;
  const state = {
    no: "",
    soon: " It pauses when the step in hand is done.",
    yes: " It is paused: nothing is leased.",
  }[paused];
  return h(
    "section",
    { class: "card", "aria-labelledby": "actions-title" },
    h("h2", { id: "actions-title" }, "Act on this run"),
    {
      over: h("p", { class: "quiet" }, "The run is over: nothing is left to do here."),
      read: h("p", { class: "quiet" }, "Nobody drives it here: what is shown is read from its folder."),
      buttons,
      unlock: unlocking,
    }[actionsOf(board, unlocked)],
    h("p", { class: "quiet" }, `${kept}${state}`),
    h("p", { class: "said", role: "status" }, said),
  );
}
