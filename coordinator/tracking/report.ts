// A tracker's scores as a page in one file: what it got, success and precision as curves, and of each film how well its
// boxes lie on the target's, frame after frame.

import { got10kThresholds } from "../../shared/tracking/got10k-metrics.ts";
import { precisionThresholds, successThresholds } from "../../shared/tracking/metrics.ts";
import { type ChartText, lineChart, type Series } from "../compare/chart.ts";
import { html, type Markup } from "../compare/html.ts";
import { reportPage } from "../compare/report-page.ts";
import { failureLine } from "./films.ts";
import type { FilmScore, TrackScore } from "./track-score.ts";

export interface ReportFacts {
  /** What was followed, by what. */
  readonly title: string;
  readonly data: string;
  /** The tracker's network, where it is known. */
  readonly network?: string;
  /** Films that could not be followed, and why. */
  readonly failed: readonly { readonly film: string; readonly message: string }[];
}

const three = (value: number) => value.toFixed(3);
const speed = (fps: number | undefined) => (fps === undefined ? "–" : fps.toFixed(1));

/** How protocols count, in words. */
export const protocolWords: Readonly<Record<string, string>> = {
  got10k:
    "as GOT-10k's toolkit: the first frame and those in which the target is hidden are left out, boxes are cut at the picture, and AO and SR are of all frames of all sequences together; mAO and mSR are means of sequences within a class, then of classes",
  all: "every frame counts, as in the GOT-10k toolkit on OTB; means of sequences",
  drop: "frames without a target are left out, as in the GOT-10k toolkit on UAV123; means of sequences",
  keep: "frames without a target count as a miss in success and as a hit in precision, as in OTB's Matlab code; means of sequences",
};

interface Fact {
  readonly name: string;
  readonly value: string;
}

/** The numbers of a score, in the order in which they are told. */
export function scoreFacts(track: TrackScore): readonly Fact[] {
  const fps = track.fps === undefined ? [] : [{ name: "frames a second", value: speed(track.fps) }];
  if (track.kind === "got10k") {
    const { ao, sr50, sr75, mao, msr50, msr75 } = track.score;
    return [
      { name: "AO", value: three(ao) },
      { name: "SR.50", value: three(sr50) },
      { name: "SR.75", value: three(sr75) },
      { name: "mAO", value: three(mao) },
      { name: "mSR.50", value: three(msr50) },
      { name: "mSR.75", value: three(msr75) },
      ...fps,
    ];
  }
  const { auc, p20, normalisedP20 } = track.score;
  return [
    { name: "AUC", value: three(auc) },
    { name: "P20", value: three(p20) },
    { name: "normalised", value: three(normalisedP20) },
    ...fps,
  ];
}

/** The same of one film. */
export function filmFacts(film: FilmScore): readonly Fact[] {
  const fps = { name: "frames a second", value: speed(film.fps) };
  if (film.kind === "got10k") {
    return [
      { name: "AO", value: three(film.ao) },
      { name: "SR.50", value: three(film.sr50) },
      { name: "SR.75", value: three(film.sr75) },
      fps,
    ];
  }
  return [
    { name: "AUC", value: three(film.auc) },
    { name: "P20", value: three(film.p20) },
    { name: "normalised", value: three(film.normalisedP20) },
    fps,
  ];
}

/** Points of a curve that a page shows: more than a window has pixels are no use. */
const MOST_POINTS = 600;
const WIDE = 600;
const HIGH = 60;

/** Overlaps over time: each point the mean of the frames that it stands for. */
export function overlapLine(overlaps: readonly number[]): string {
  const points = Math.min(MOST_POINTS, overlaps.length);
  return Array.from({ length: points }, (_, i) => {
    const [from, to] = [i, i + 1].map((at) => Math.floor((at * overlaps.length) / points));
    const part = overlaps.slice(from, to);
    const mean = part.reduce((a, b) => a + b, 0) / part.length;
    const x = points === 1 ? 0 : (i * WIDE) / (points - 1);
    return `${x.toFixed(1)},${(HIGH * (1 - mean)).toFixed(1)}`;
  }).join(" ");
}

/** One film's overlaps as a picture, with a line at one half. */
function overlapPicture({ name, overlaps }: FilmScore): Markup {
  const mean = overlaps.reduce((a, b) => a + b, 0) / overlaps.length;
  const label = `${name}: overlap over ${overlaps.length} frames, ${three(mean)} on average`;
  return html`<svg viewBox="0 0 ${WIDE} ${HIGH}" preserveAspectRatio="none" role="img" aria-label="${label}"><line class="grid" x1="0" x2="${WIDE}" y1="${HIGH / 2}" y2="${HIGH / 2}"/><polyline class="line s0" vector-effect="non-scaling-stroke" points="${overlapLine(overlaps)}"/></svg>`;
}

function pictureWords({ kind }: TrackScore): string {
  const cut = kind === "got10k" ? ", of boxes cut at the picture as in the score" : "";
  return `A picture's height is an overlap of 1${cut}, its line one half; every frame is in it, also those that the protocol leaves out, and the first was given.`;
}

function filmsTable(track: TrackScore): Markup {
  const [first] = track.films;
  const heads = ["sequence", "frames", ...filmFacts(first).map(({ name }) => name), "overlap over time"];
  return html`<div class="wide" tabindex="0"><table><thead><tr>${heads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead><tbody>${track.films.map(
    (film) =>
      html`<tr><th scope="row">${film.name}</th><td>${film.frames}</td>${filmFacts(film).map(({ value }) => html`<td>${value}</td>`)}<td class="words">${overlapPicture(film)}</td></tr>`,
  )}</tbody></table></div>`;
}

const asPoints = (thresholds: readonly number[], shares: readonly number[]) =>
  shares.map((y, i) => ({ x: thresholds[i], y, half: null }));
const plain = (value: number) => String(Number(value.toFixed(2)));

function curve(name: string, points: Series["points"], text: Pick<ChartText, "title" | "x">): Markup {
  return lineChart([{ name, points }], {
    ...text,
    y: "share of frames",
    dots: false,
    xText: plain,
    yText: plain,
    yLimits: [0, 1],
    // As the toolkits draw it: curves of two reports lie alike.
    yRange: [0, 1],
  });
}

function curves(track: TrackScore): Markup {
  const success = { title: "Success: share of frames with more overlap than so much", x: "overlap" };
  if (track.kind === "got10k") {
    return html`<h2>Success</h2>${curve("success", asPoints(got10kThresholds, track.score.success), success)}`;
  }
  const { score } = track;
  const precision = { title: "Precision: share of frames within so many pixels", x: "distance of centres, pixels" };
  return html`<h2>Success</h2>${curve("success", asPoints(successThresholds, score.success), success)}
<p class="note">A perfect tracker has an AUC of 0.952: no overlap is above 1.</p>
<h2>Precision</h2>${curve("precision", asPoints(precisionThresholds, score.precision), precision)}`;
}

function failures({ failed }: ReportFacts): Markup {
  if (failed.length === 0) return html``;
  return html`<h2>Not followed</h2><ul>${failed.map(({ film, message }) => html`<li>${failureLine(film, message)}</li>`)}</ul>`;
}

/** The page's text. @param track none where nothing is known to score by */
export function trackReport(facts: ReportFacts, track: TrackScore | undefined): string {
  const { title, data, network } = facts;
  const by = network === undefined ? "" : `${network}. `;
  const head = html`<h1>${title}</h1><p class="note">${by}${data}.</p>`;
  if (!track) {
    return reportPage(
      title,
      html`${head}<p>The boxes of these sequences are kept secret, or there are none: nothing is scored here.</p>${failures(facts)}`,
    );
  }
  const counted = `Protocol ${track.protocol}: ${protocolWords[track.protocol]}. ${track.films.length} sequences.`;
  const numbers = html`<div class="wide" tabindex="0"><table><thead><tr>${scoreFacts(track).map(({ name }) => html`<th scope="col">${name}</th>`)}</tr></thead><tbody><tr>${scoreFacts(track).map(({ value }) => html`<td>${value}</td>`)}</tr></tbody></table></div>`;
  return reportPage(
    title,
    html`${head}${numbers}<p class="note">${counted}</p>${curves(track)}<h2>Sequences</h2><p class="note">${pictureWords(track)}</p>${filmsTable(track)}${failures(facts)}`,
  );
}
