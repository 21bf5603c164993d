// Draws a page state with preact: the document's body, its title, and the attributes that launchers watch.

import { type ComponentChildren, h, render } from "preact";
import { LEAST_SHARE } from "../../shared/base/gpu-share.ts";
import { MOST_NICKNAME, nicknameIn } from "../../shared/base/nickname.ts";
import { buttonsOf, isOver, type PageState, resting } from "./page-state.ts";
import {
  aboutText,
  backgroundText,
  countText,
  detailText,
  doingText,
  dutyText,
  footerTexts,
  howText,
  keptText,
  leftText,
  noDemoText,
  preparedPart,
  reasonText,
  resultTexts,
  shareText,
  shownNotice,
  speedText,
  stateText,
  titleText,
  trafficText,
} from "./page-text.ts";
import { type Settings, SHARE_STEP } from "./settings.ts";

/** What the page's controls do. */
export interface Actions {
  start(): void;
  /** Pauses, or goes on, whichever the button says. */
  pause(): void;
  finish(): void;
  leave(): void;
  /** Removes what this browser keeps. */
  forget(): void;
  choose(settings: Partial<Settings>): void;
  keepCard(): void;
}

/** @param nowMs on the clock by which events came */
export function showPage(page: PageState, actions: Actions, nowMs: number): void {
  const root = document.documentElement;
  const { session, joined, trouble } = page;
  const notice = shownNotice(page);
  const before = session.kind === "idle";
  const idle = trouble?.blocks ? "failed" : "idle";
  root.dataset.state = before ? (isOver(page) ? "ended" : idle) : session.kind;
  if (joined) root.dataset.worker = joined.worker;
  if (page.samplesPerSecond !== undefined) {
    root.dataset.samples = `${page.samples}`;
    root.dataset.speed = page.samplesPerSecond.toFixed(1);
  }
  if (notice) {
    root.dataset.code = notice.code;
    root.dataset.message = notice.text;
  } else {
    delete root.dataset.code;
    delete root.dataset.message;
  }
  document.title = titleText(page);
  const focused = document.activeElement;
  render(h(Page, { page, actions, nowMs }), element("page"));
  keepFocus(focused);
}

/** The element with this id, which must be there. */
function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no element #${id}`);
  return found as T;
}

/**
 * Moves the focus from what went, or cannot be pressed any more, to what comes next: a browser would let it fall to the
 * page's beginning.
 */
function keepFocus(focused: Element | null): void {
  if (!(focused instanceof HTMLElement) || focused === document.body) return;
  const stays = focused.isConnected && !(focused instanceof HTMLButtonElement && focused.disabled);
  if (stays) return;
  const next = ["pause", "start", "leave"].map((id) => document.getElementById(id)).find((one) => one !== null);
  (next ?? element("state")).focus();
}

interface PageProps {
  readonly page: PageState;
  readonly actions: Actions;
  readonly nowMs: number;
}

function Page({ page, actions, nowMs }: PageProps) {
  return [
    h(Head, { page }),
    h(Controls, { page, actions, nowMs }),
    h(NoticeCard, { page }),
    h(Result, { page }),
    gives(page) ? h(Given, { page, actions }) : null,
    h(Run, { page }),
    useless(page) ? null : h(Choices, { page, actions }),
    page.trouble?.blocks ? null : h(Volunteers, { page, actions }),
    h(Footer, { page }),
  ];
}

function Head({ page }: { readonly page: PageState }) {
  const { joined, status } = page;
  const { contact = "", url = "" } = status?.about ?? {};
  return h(
    "header",
    {},
    h("p", { class: "brand" }, h("img", { src: iconAddress(), alt: "", width: 28, height: 28 }), "bitswarm"),
    h("h1", { id: "run-name" }, joined?.name ?? status?.name ?? "Lend this GPU"),
    h("p", { id: "about", class: "lead" }, aboutText(page)),
    isOver(page) ? null : h("p", { class: "lead" }, howText),
    contact || url
      ? h(
          "p",
          { id: "by", class: "lead" },
          contact ? `Asked for by ${contact}.` : "",
          contact && url ? " " : "",
          url ? h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, "More about it") : "",
        )
      : null,
  );
}

/** Where the build has put the icon. */
function iconAddress(): string {
  return document.querySelector<HTMLLinkElement>("link[rel=icon]")?.href ?? "";
}

function Controls({ page, actions, nowMs }: PageProps) {
  const buttons = buttonsOf(page);
  const part = preparedPart(page);
  const background = backgroundText(page);
  const detail = detailText(page);
  return h(
    "section",
    { class: "card controls", "aria-label": "Your part" },
    h("p", { id: "state", class: "state", role: "status", tabIndex: -1 }, stateText(page)),
    h("p", { id: "doing", class: "doing" }, doingText(page, nowMs)),
    part === undefined
      ? null
      : h("progress", { id: "prepared", max: 1, value: part, "aria-label": "Preparing this GPU" }),
    background === "" ? null : h("p", { id: "background", class: "doing" }, background),
    h(
      "div",
      { class: "buttons" },
      button("start", buttons.start, buttons.startLabel, actions.start, "primary"),
      button("pause", buttons.pause, buttons.pauseLabel, actions.pause),
      button("finish", buttons.finish, "Finish this and leave", actions.finish),
      button("leave", buttons.leave, "Leave now", actions.leave),
    ),
    useless(page) ? null : h(Throttle, { page, actions }),
    h(
      "details",
      { id: "exactly", hidden: detail === "" },
      h("summary", {}, "What exactly"),
      h("p", { id: "detail", class: "doing" }, detail),
    ),
  );
}

function Throttle({ page, actions }: Omit<PageProps, "nowMs">) {
  const { settings } = page;
  return h(
    "div",
    { class: "throttle" },
    h("label", { for: "share" }, "How much of this GPU"),
    h("input", {
      id: "share",
      type: "range",
      min: 100 * LEAST_SHARE,
      max: 100,
      step: 100 * SHARE_STEP,
      value: Math.round(100 * settings.share),
      "aria-describedby": "duty",
      "aria-valuetext": `${Math.round(100 * settings.share)} percent of its time`,
      onInput: (event: Event) => actions.choose({ share: Number((event.target as HTMLInputElement).value) / 100 }),
    }),
    h("output", { id: "duty", for: "share" }, dutyText(page)),
  );
}

/** There is something to tell of what this browser gives, gave or keeps. */
function gives({ session, given, keptBytes = 0 }: PageState): boolean {
  return session.kind !== "idle" || (given?.samples ?? 0) > 0 || keptBytes > 0;
}

/** Nothing can be computed here any more, or yet. */
function useless(page: PageState): boolean {
  return page.trouble?.blocks === true || isOver(page);
}

function button(id: string, there: boolean, label: string, onClick: () => void, kind = "") {
  return there ? h("button", { key: id, id, type: "button", class: kind, onClick }, label) : null;
}

function NoticeCard({ page }: { readonly page: PageState }) {
  const notice = shownNotice(page);
  const steps = notice?.steps ?? [];
  const text = notice?.text ?? "";
  return h(
    "section",
    { id: "notice", class: "card notice", role: "alert", hidden: notice === undefined },
    h("p", { id: "notice-title", class: "notice-title" }, notice?.title ?? ""),
    // What can be done stands in the steps.
    h("p", { id: "notice-text" }, steps.length > 0 ? text.slice(0, text.indexOf(".") + 1) || text : text),
    steps.length > 0
      ? h(
          "ol",
          { id: "notice-steps" },
          steps.map((step) => h("li", { key: step }, step)),
        )
      : null,
  );
}

function Result({ page }: { readonly page: PageState }) {
  const results = resultTexts(page);
  const noDemo = noDemoText(page);
  if (results.length === 0 && noDemo === "") return null;
  return h(
    "section",
    { id: "result", class: "card", "aria-labelledby": "result-title" },
    h("h2", { id: "result-title" }, "What came of it"),
    results.map((text) => h("p", { key: text }, text)),
    page.demo ? h(DemoLink, { text: "Try the trained network" }) : null,
    noDemo === "" ? null : h("p", { id: "no-demo", class: "doing" }, noDemo),
  );
}

/** To the page on which the network is tried; in a tab of its own, since this one may compute. */
function DemoLink({ text }: { readonly text: string }) {
  const { search } = location;
  const token = new URLSearchParams(search).get("token") ?? "";
  const address = `./demo?token=${encodeURIComponent(token)}`;
  return h("p", {}, h("a", { id: "demo", href: address, target: "_blank", rel: "noopener" }, text));
}

function fact(id: string, label: string, value: ComponentChildren, kind = "") {
  return h("div", { key: id, class: kind }, h("dt", {}, label), h("dd", { id }, value));
}

function Given({ page, actions }: Omit<PageProps, "nowMs">) {
  const { adapter, given, samples } = page;
  const slow = adapter?.software ? " (in software, without a GPU: slow, but it counts)" : "";
  const gpu = adapter ? `${adapter.description || "unnamed"}${slow}` : "not asked for yet";
  const kept = keptText(page);
  return h(
    "section",
    { class: "card", "aria-labelledby": "tab-title" },
    h("h2", { id: "tab-title" }, "What you gave"),
    h(
      "dl",
      { class: "facts" },
      fact("samples", "Examples in this visit", countText(samples)),
      fact("given", "In all your visits", given ? countText(given.samples) : "–"),
      fact("part", "Of the training so far", shareText(page)),
      fact("speed", "Examples a second", speedText(page.samplesPerSecond)),
      fact("leases", "Portions done", countText(page.leases)),
      fact("traffic", "Traffic", trafficText(page), "wide"),
      fact("adapter", "Graphics processor", gpu, "wide"),
    ),
    h(
      "div",
      { class: "keeping", id: "keeping", hidden: kept === undefined },
      h("p", { id: "kept" }, kept ?? ""),
      h(
        "button",
        {
          id: "forget",
          type: "button",
          disabled: (page.keptBytes ?? 0) === 0,
          "aria-describedby": "kept",
          onClick: actions.forget,
        },
        "Clear",
      ),
    ),
    given && given.samples > 0
      ? h(
          "div",
          { class: "keeping" },
          h("p", {}, "A picture of what you gave, to keep."),
          button("card", true, "Save a card", actions.keepCard),
        )
      : null,
  );
}

function Run({ page }: { readonly page: PageState }) {
  const { status } = page;
  return h(
    "section",
    { class: "card", "aria-labelledby": "run-title" },
    h("h2", { id: "run-title" }, "The whole run"),
    h("progress", {
      id: "progress",
      max: Math.max(1, status?.steps ?? 1),
      value: status?.step ?? 0,
      "aria-labelledby": "run-title",
    }),
    h("p", { id: "reason", class: "doing" }, reasonText(page)),
    h("dl", { class: "facts", id: "facts" }, runFacts(page)),
    page.demo && status?.state !== "done" ? h(DemoLink, { text: "Try what it has learned so far" }) : null,
  );
}

function runFacts(page: PageState) {
  const { status } = page;
  const total = status?.loss.total ?? status?.loss.task;
  const over = status?.state === "done";
  const speed = status && status.samplesPerSecond > 0 && !over ? countText(status.samplesPerSecond) : "–";
  return [
    fact("step", "Step", status ? `${countText(status.step)} of ${countText(status.steps)}` : "–"),
    fact("phase", "Phase", status?.phase ?? "–"),
    fact("loss", "Loss (lower is better)", total === undefined ? "–" : total.toFixed(3)),
    fact("workers", "Workers", status ? countText(status.workers) : "–"),
    fact("run-speed", "Examples a second", speed),
    fact("eta", "Time left", leftText(page)),
    ...Object.entries(status?.scores ?? {}).map(([network, { name, title, text }]) =>
      fact(`score-${network}`, `${name}, ${title}`, text),
    ),
  ];
}

function tick(id: string, label: string, checked: boolean, choose: (checked: boolean) => void) {
  return h(
    "label",
    { class: "tick", for: id },
    h("input", {
      id,
      type: "checkbox",
      checked,
      onChange: (event: Event) => choose((event.target as HTMLInputElement).checked),
    }),
    label,
  );
}

function Choices({ page, actions }: Omit<PageProps, "nowMs">) {
  const { settings, surroundings } = page;
  const { choose } = actions;
  return h(
    "section",
    { class: "card", "aria-labelledby": "choices-title" },
    h("h2", { id: "choices-title" }, "When to compute"),
    surroundings.onBattery === undefined
      ? null
      : tick("mains", "Only on mains power", settings.mainsOnly, (mainsOnly) => choose({ mainsOnly })),
    tick("visible", "Only while I look at this tab", settings.visibleOnly, (visibleOnly) => choose({ visibleOnly })),
    surroundings.canStayAwake
      ? tick("awake", "Keep the screen on meanwhile", settings.awake, (awake) => choose({ awake }))
      : null,
    h("p", { class: "doing" }, "This browser remembers what you choose here."),
  );
}

/** Digits of an account that the board shows. */
function isOwn(account: string, own: string | undefined): boolean {
  return own?.startsWith(account) === true;
}

function Volunteers({ page, actions }: Omit<PageProps, "nowMs">) {
  const { board, account } = page;
  const nobody = board === undefined || board.length === 0;
  // Nobody can be added to the board of a run that is over.
  const over = isOver(page);
  if (over && nobody) return null;
  return h(
    "section",
    { class: "card", "aria-labelledby": "board-title" },
    h("h2", { id: "board-title" }, "Volunteers who like to be seen"),
    over ? null : h(Naming, { page, actions }),
    nobody
      ? h("p", { id: "board", class: "doing" }, "Nobody is shown yet.")
      : h(
          "ol",
          { id: "board", class: "places" },
          board.map(({ nickname, account: whose, samples }) =>
            h(
              "li",
              { key: whose },
              h("span", { class: "who", dir: "auto" }, nickname, isOwn(whose, account) ? " (you)" : ""),
              h("span", { class: "count" }, `${countText(samples)} checked`),
            ),
          ),
        ),
  );
}

function Naming({ page, actions }: Omit<PageProps, "nowMs">) {
  const { settings } = page;
  return [
    h(
      "div",
      { class: "naming" },
      h("label", { for: "nickname" }, "Nickname"),
      h("input", {
        id: "nickname",
        type: "text",
        maxLength: MOST_NICKNAME,
        autocomplete: "off",
        spellcheck: false,
        // What is being typed stays as it is, however often the page is drawn meanwhile.
        defaultValue: settings.nickname,
        onChange: (event: Event) => {
          const field = event.target as HTMLInputElement;
          field.value = nicknameIn(field.value);
          actions.choose({ nickname: field.value });
        },
      }),
    ),
    tick("listed", "Show it here, with how many of my examples others have checked", settings.listed, (listed) =>
      actions.choose({ listed }),
    ),
    settings.listed && settings.nickname === ""
      ? h("p", { class: "doing" }, "Without a nickname you are not shown.")
      : null,
  ];
}

function Footer({ page }: { readonly page: PageState }) {
  return h(
    "footer",
    {},
    h("h2", {}, "What runs here"),
    footerTexts(page).map((text) => h("p", { key: text }, text)),
  );
}

/** Whether the volunteer could begin a session now. */
export function startable(page: PageState): boolean {
  return resting(page) && buttonsOf(page).start;
}
