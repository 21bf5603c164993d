// What happened, the newest first.

import { h } from "preact";
import { useState } from "preact/hooks";
import type { EventLine } from "../feed-message.ts";
import { shownEvents } from "./board.ts";

/** Lines that are shown at a time; a filter finds the others. */
const LINES = 100;

const clock = new Intl.DateTimeFormat("en", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
});

export function EventsPart({ events }: { readonly events: readonly EventLine[] }) {
  const [kind, setKind] = useState("");
  const [filter, setFilter] = useState("");
  const kinds = [...new Set(events.map((event) => event.kind))].sort();
  const shown = shownEvents(events, kind, filter);
  return h(
    "section",
    { class: "card", "aria-labelledby": "events-title" },
    h("h2", { id: "events-title" }, "What happened"),
    h(
      "div",
      { class: "controls" },
      h(
        "label",
        null,
        "Kind ",
        h(
          "select",
          { value: kind, onChange: (event: Event) => setKind((event.target as HTMLSelectElement).value) },
          h("option", { value: "" }, "all"),
          kinds.map((each) => h("option", { key: each, value: each }, each)),
        ),
      ),
      h(
        "label",
        null,
        "Find ",
        h("input", {
          type: "search",
          value: filter,
          onInput: (event: Event) => setFilter((event.target as HTMLInputElement).value),
        }),
      ),
      h("span", { class: "quiet" }, shown.length > LINES ? `${LINES} of ${shown.length}` : `${shown.length} lines`),
    ),
    h(
      "ol",
      { class: "events", tabIndex: 0, "aria-label": "Events, the newest first" },
      shown
        .slice(0, LINES)
        .map(({ id, time, kind: of, text }) =>
          h(
            "li",
            { key: id },
            h("time", { dateTime: new Date(time).toISOString() }, clock.format(time)),
            h("span", { class: "kind" }, of),
            h("span", null, text),
          ),
        ),
    ),
  );
}
