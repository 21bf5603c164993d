// What the volunteer page says, as pure functions of its state: plain words first, exact ones for whoever asks.

import { bytesText } from "../../shared/base/bytes-text.ts";
import { rangesInWords } from "../../shared/wire/lease-ranges.ts";
import type { LeaseSummary } from "../session/session-event.ts";
import { sentence } from "./notices.ts";
import {
  type Improvement,
  isOver,
  type Notice,
  type PageState,
  type Preparation,
  probablyOver,
  shareOf,
  slowed,
} from "./page-state.ts";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

export const countText = (count: number) => whole.format(count);
export const speedText = (speed: number | undefined) => (speed === undefined ? "–" : short.format(speed));

/** Seconds as "1 h 05 min", "3 min 20 s" or "12 s". */
export function durationText(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  const two = (n: number) => String(n).padStart(2, "0");
  if (s >= 3600) return `${Math.floor(s / 3600)} h ${two(Math.floor((s % 3600) / 60))} min`;
  return s >= 60 ? `${Math.floor(s / 60)} min ${two(s % 60)} s` : `${s} s`;
}

/** "12 %", and of small parts what can be told apart. */
export function percentText(part: number): string {
  const percent = 100 * part;
  if (percent === 0) return "0 %";
  if (percent < 0.01) return "less than 0.01 %";
  return `${percent >= 10 ? Math.round(percent) : percent.toPrecision(2)} %`;
}

/** What the run is, by whoever runs it, or in general. */
export function aboutText({ status }: PageState): string {
  const said = status?.about?.description;
  if (said) return said;
  return "Everyone who opens this link lends a graphics chip, and together they teach one small network by showing it thousands of examples. Its connections are single bits, so that it may one day run on things as small as a watch.";
}

/** How it works, for whoever has never heard of it. */
export const howText =
  "Your graphics chip goes through some of the examples and sends back how the network should change. Nothing of yours is read, and you can stop at any time.";

/** Where the session stands, in a few words. They change when it does, and not with every second or shader. */
export function stateText(page: PageState): string {
  const { session, joined, preparation, trouble, finishing, status } = page;
  const name = joined?.worker ?? "a worker";
  switch (session.kind) {
    case "idle":
      if (isOver({ session, status })) return "The run is over";
      if (trouble?.blocks) return "This tab cannot help yet";
      if (probablyOver(page)) return "The run is probably over";
      return page.unanswered ? "The coordinator does not answer" : "Ready when you are";
    case "connecting":
      return session.attempt === 1 ? "Connecting…" : `Connecting again, attempt ${session.attempt}…`;
    case "joining":
      return "Joining…";
    case "preparing":
      return `Joined as ${name}, preparing this GPU…`;
    case "waiting":
      if (finishing) return "Finishing, then leaving";
      return preparation ? `Joined as ${name}, preparing this GPU…` : `Joined as ${name}, waiting for work`;
    case "computing":
      if (finishing) return "Finishing what is in hand, then leaving";
      return preparation ? `Joined as ${name}, preparing this GPU…` : `Computing as ${name}`;
    case "paused":
      return pausedText(session.why);
    case "reconnecting":
      return "Not connected";
    case "ended":
      if (session.reason === "left" && !isOver(page)) return "You left";
      return status?.state === "done" ? "The run is over. Thank you!" : "Your part is over. Thank you!";
    case "failed":
      return "Stopped";
    default:
      return session satisfies never;
  }
}

function pausedText(why: Extract<PageState["session"], { kind: "paused" }>["why"]): string {
  switch (why) {
    case "volunteer":
      return "Paused: this GPU is free";
    case "battery":
      return "Paused while on battery";
    case "hidden":
      return "Paused while in the background";
    default:
      return why satisfies never;
  }
}

/** What is done now, or comes next, in plain words. */
export function doingText(page: PageState, nowMs = 0): string {
  const { session, preparation, improvement, retryAtMs } = page;
  switch (session.kind) {
    case "reconnecting": {
      const seconds = Math.ceil((retryAtMs - nowMs) / 1000);
      return seconds > 0 ? `Trying again in ${seconds} s` : "Trying again…";
    }
    case "ended":
      if (session.reason !== "left") return sentence(session.message);
      if (isOver(page)) return "What you gave stays.";
      return `What you gave stays. ${awayText(page) || "Start again whenever you like."}`;
    case "preparing":
      return preparation ? preparationText(preparation) : "Getting ready";
    case "waiting":
      if (preparation) return preparationText(preparation);
      return improvement ? sentence(improvementText(improvement)).slice(0, -1) : "";
    case "computing":
      if (preparation) return preparationText(preparation);
      return improvement ? `${plainText(session.lease)}; ${improvementText(improvement)}` : plainText(session.lease);
    case "paused":
      return session.why === "volunteer" ? "" : "It goes on by itself, or at once with Go on anyway.";
    case "idle":
    case "failed":
      return page.trouble?.blocks ? "" : awayText(page);
    case "connecting":
    case "joining":
      return "";
    default:
      return session satisfies never;
  }
}

/** What a coordinator that does not answer means for a tab that computes nothing; nothing where it answers. */
function awayText(page: PageState): string {
  if (!page.unanswered || isOver(page)) return "";
  return probablyOver(page)
    ? "The coordinator does not answer any more, and the training was near its end when it last did."
    : "This page keeps asking. When the coordinator answers, you can start.";
}

function plainText({ ranges, evaluate, film }: LeaseSummary): string {
  const count = ranges.reduce((sum, { from, to }) => sum + to - from, 0);
  if (film !== undefined) {
    return `Following one thing through a film of ${count === 1 ? "1 picture" : `${countText(count)} pictures`}`;
  }
  const examples = count === 1 ? "1 example" : `${countText(count)} examples`;
  return evaluate
    ? `Testing the network on ${examples} that it does not learn from`
    : `Going through ${examples} to see how the network should change`;
}

/** The same, exactly; nothing where nothing is computed. */
export function detailText({ session, preparation }: PageState): string {
  if (session.kind !== "computing" || preparation) return "";
  const { lease } = session;
  const what = `${lease.doing[0].toUpperCase()}${lease.doing.slice(1)}`;
  const range = `${lease.film === undefined ? "samples" : "frames"} ${rangesInWords(lease.ranges)}`;
  return lease.evaluate ? `${what}: ${range}` : `${what}: epoch ${lease.epoch + 1}, step ${lease.step + 1}, ${range}`;
}

function preparationText(preparation: Preparation): string {
  switch (preparation.kind) {
    case "compiling":
      return `Compiling: ${preparation.done} of ${preparation.total} shaders`;
    case "checking":
      return "Checking kernels against plain ones";
    default:
      return preparation satisfies never;
  }
}

/** What is done beside the work, as the end of a sentence. */
function improvementText(improvement: Improvement): string {
  switch (improvement.kind) {
    case "compiling":
      return `getting faster: ${improvement.done} of ${improvement.total} kernels`;
    case "measuring":
      return `measuring what is fastest here: ${improvement.done} of ${improvement.passes} convolutions`;
    default:
      return improvement satisfies never;
  }
}

/** How far the preparation is, where it is counted. What goes on beside a line that is down is not what counts then. */
export function preparedPart({ session, preparation }: PageState): number | undefined {
  if (session.kind === "reconnecting" || session.kind === "paused") return undefined;
  if (preparation?.kind === "compiling") return preparation.done / Math.max(1, preparation.total);
  return undefined;
}

/** What a browser does to a tab that is not looked at; nothing where that is not much. */
export function backgroundText(page: PageState): string {
  const part = slowed(page);
  if (part === undefined) return "";
  const speed = `${percentText(part)} of its speed`;
  return page.surroundings.hidden
    ? `The browser slows this tab down in the background: it computes at ${speed}.`
    : `In the background the browser let this tab compute at ${speed}. In a window of its own it stays fast.`;
}

/** How much of the GPU's time is asked for, and while it computes what it takes. */
export function dutyText({ settings, duty, session }: PageState): string {
  if (settings.share === 1) return "All of its time";
  const asked = `${percentText(settings.share)} of its time`;
  if (session.kind !== "computing" && session.kind !== "waiting") return asked;
  return duty?.measured === undefined ? asked : `${asked}, now ${percentText(duty.measured)}`;
}

/** What this tab has given of all that the run was trained with. */
export function shareText(page: PageState): string {
  const share = shareOf(page);
  return share === undefined ? "–" : percentText(share);
}

/** What came over the line and went back. */
export function trafficText({ traffic }: PageState): string {
  return traffic ? `${bytesText(traffic.down)} received, ${bytesText(traffic.up)} sent` : "–";
}

/** What this browser keeps, in words; undefined where it keeps nothing for pages. */
export function keptText({ keptBytes }: PageState): string | undefined {
  if (keptBytes === undefined) return undefined;
  if (keptBytes === 0) return "Keeps no images on this device.";
  return `Keeps ${bytesText(keptBytes)} of images on this device.`;
}

/** What the run waits for; of a run that nobody hears from, how old that is. */
export function reasonText({ status, offline, unanswered }: PageState): string {
  const away = offline !== undefined || unanswered;
  if (!status) return away ? "The coordinator does not answer" : "";
  return away && status.state !== "done" ? "As it was when the coordinator was last heard" : status.reason;
}

/** How long the run will take yet, as far as anybody knows now. */
export function leftText({ status, offline, unanswered }: PageState): string {
  const known = status?.state !== "done" && offline === undefined && !unanswered;
  const seconds = status?.etaSeconds ?? null;
  return known && seconds !== null ? durationText(seconds) : "–";
}

/** Why the network of a run that is over cannot be tried; nothing where it can, or where that is not known yet. */
export function noDemoText(page: PageState): string {
  if (!isOver(page) || page.demo || !page.unanswered) return "";
  return "The coordinator ended with the run, so the network cannot be tried here. Whoever ran it can still show it, by export --format demo; a run that is started with --linger keeps its pages open.";
}

/** What runs on this machine, and what is kept, a paragraph each; of what can be pressed, only what is there. */
export function footerTexts(page: PageState): readonly string[] {
  const learns =
    "the name of your graphics processor, how fast it is, and which of the run's images are kept here. Those that were used last stay in this browser, at most a quarter of the room that it grants, so that they are not fetched again";
  if (isOver(page)) {
    const kept = (page.keptBytes ?? 0) > 0;
    return [
      "Nothing any more: the run is over, and this tab can be closed.",
      ...(page.session.kind === "idle" ? [] : [`The coordinator has learned ${learns}.`]),
      ...(kept ? ["Clear removes the run's images that are kept here."] : []),
    ];
  }
  return [
    "Only this tab's GPU works, only between Start and Leave, and only on this run's images. It may make the machine warm and the battery empty sooner. Pause, leave or close the tab at any time: nothing is lost, what you have not finished goes to someone else.",
    `The coordinator learns ${learns}; Clear removes them, also while this tab computes.`,
  ];
}

/** What came of the run, a sentence a network; nothing before it is over. */
export function resultTexts({ status }: PageState): readonly string[] {
  if (status?.state !== "done") return [];
  return Object.values(status.scores).map(
    ({ title, name, text }) => `${sentence(title).slice(0, -1)}: ${name} ${text}`,
  );
}

/** The tab's title: who has it in the background sees there how it goes. */
export function titleText(page: PageState): string {
  const name = page.joined?.name ?? page.status?.name;
  const mark = { computing: "▶ ", paused: "⏸ ", reconnecting: "⚠ ", ended: "✓ " }[page.session.kind as string] ?? "";
  return name ? `${mark}${name} · bitswarm` : "bitswarm";
}

/** The notice that is shown: a line that is down comes first. */
export function shownNotice({ offline, trouble, session, status }: PageState): Notice | undefined {
  // What keeps this tab from computing is no matter where nothing is left to compute.
  if (session.kind === "idle" && isOver({ session, status })) return offline;
  return offline ?? trouble;
}
