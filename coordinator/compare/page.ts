// A comparison as a page in one file.

import { type ChartText, lineChart, type Series, scatterChart, seriesClass, seriesDash } from "./chart.ts";
import type { Comparison, MethodResult } from "./comparison.ts";
import { html, type Markup } from "./html.ts";
import { countText, estimateText, kibText, pairsText, relativeText, type ScoreScale, scoreScale } from "./numbers.ts";
import { reportPage } from "./report-page.ts";

const mark = (series: number) =>
  html`<svg class="key-mark" width="30" height="10" viewBox="0 0 30 10" aria-hidden="true"><polyline class="line ${seriesClass(series)}" stroke-dasharray="${seriesDash(series)}" points="0,5 30,5"/></svg>`;

/** A line may end between two numbers, and not between a number and its sign or its unit. */
function unbroken(text: string): string {
  return text
    .replace(/± /g, "±\u00a0")
    .replace(/1-bit/g, "1\u2011bit")
    .replace(/(?<=\d) (?=[kMGTP×]|KiB|MiB)/g, "\u00a0");
}

function table(head: readonly string[], rows: readonly (readonly (string | Markup)[])[]): Markup {
  return html`<div class="wide" tabindex="0"><table><thead><tr>${head.map((cell) => html`<th scope="col">${cell}</th>`)}</tr></thead><tbody>${rows.map(
    (row) => html`<tr>${row.map((cell) => html`<td>${typeof cell === "string" ? unbroken(cell) : cell}</td>`)}</tr>`,
  )}</tbody></table></div>`;
}

const none = "–";

function rateText({ rate, ratesTried }: MethodResult): string {
  if (rate === null) return none;
  return ratesTried > 1 ? `${rate} of ${ratesTried}` : String(rate);
}

function mainTable({ methods, reference, score }: Comparison, scale: ScoreScale): Markup {
  const unit = scale.unit === "" ? "" : `, ${scale.unit}`;
  const head = [
    "method",
    `${score?.name ?? "score"}${unit}`,
    "runs",
    `difference from ${reference}${unit === "" ? "" : ", points"}`,
    "rate",
    "training compute",
    "samples trained",
    "teacher forwards",
    "an image takes",
    "a step down",
    "a step up",
    "seconds",
  ];
  const rows = methods.map((method, i) => {
    const { score: own, difference, cost, done, cells } = method;
    return [
      html`${mark(i)}${method.method}`,
      own ? estimateText(own, scale) : none,
      own ? `${own.n}${done < cells ? ` (${done} of ${cells} cells)` : ""}` : `0 of ${cells}`,
      difference ? estimateText(difference, scale, true) : none,
      rateText(method),
      cost ? relativeText(cost.relative) : none,
      cost ? countText(cost.samples + cost.teacherSamples) : none,
      cost ? countText(cost.frozenForwards) : none,
      cost ? pairsText(cost.inference) : none,
      cost ? kibText(cost.bytes.down) : none,
      cost ? kibText(cost.bytes.up) : none,
      cost ? cost.seconds.toFixed(0) : none,
    ];
  });
  return table(head, rows);
}

function passesTable({ methods, bitsAFloat, fullPrecisionPairs }: Comparison): Markup {
  const head = [
    "method",
    "phase",
    "passes",
    "samples",
    "a sample trains",
    "a sample through the teacher",
    "in all",
    "of full precision",
  ];
  const rows = methods.flatMap(({ method, cost }) => {
    if (!cost) return [];
    const { phases, teacherShare, teacherSamples } = cost;
    const weight = (float: number, binary: number) => relativeText((float + binary / bitsAFloat) / fullPrecisionPairs);
    const own = phases.map((phase, i) => [
      i === 0 ? method : "",
      phase.title,
      String(phase.passes),
      countText(phase.samples),
      pairsText(phase.training),
      phase.frozenForwards > 0 ? pairsText(phase.frozen) : none,
      pairsText(phase.total),
      weight(phase.total.float, phase.total.binary),
    ]);
    if (teacherShare.float + teacherShare.binary === 0) return own;
    const share = [
      "",
      "share of the shared teacher",
      none,
      countText(Math.round(teacherSamples)),
      none,
      none,
      pairsText(teacherShare),
      weight(teacherShare.float, teacherShare.binary),
    ];
    return [...own, share];
  });
  return table(head, rows);
}

function bytesTable({ methods }: Comparison): Markup {
  const head = ["method", "parameters, whole", "gradients of a lease", "measured down", "measured up", "once"];
  const rows = methods.flatMap(({ method, cost }) => {
    if (!cost) return [];
    const { bytes, measured } = cost;
    return [
      [
        method,
        kibText(bytes.down),
        kibText(bytes.up),
        measured ? kibText(measured.down) : none,
        measured ? kibText(measured.up) : none,
        bytes.once > 0 ? kibText(bytes.once) : none,
      ],
    ];
  });
  return table(head, rows);
}

function ratesTable({ methods }: Comparison, scale: ScoreScale): Markup {
  const head = ["method", "rate", "score", "finished", "diverged", "chosen"];
  const rows = methods.flatMap(({ method, rates, rate: chosen }) =>
    rates.map(({ rate, score, finished, diverged }, i) => [
      i === 0 ? method : "",
      String(rate),
      score ? estimateText(score, scale) : none,
      String(finished),
      String(diverged),
      rate === chosen ? "yes" : "",
    ]),
  );
  return table(head, rows);
}

function cellsTable({ results }: Comparison, scale: ScoreScale): Markup {
  const head = ["cell", "seed", "rate", "score", "steps", "seconds"];
  const rows = results.map(({ cell, seed, rate, score, steps, seconds, message }) => [
    cell,
    String(seed),
    String(rate),
    score ? (scale.factor * score.value).toFixed(scale.digits) : `diverged: ${(message ?? "").slice(0, 120)}`,
    String(steps),
    seconds.toFixed(0),
  ]);
  return html`<details><summary>${results.length} cells</summary>${table(head, rows)}</details>`;
}

function curves({ methods }: Comparison, scale: ScoreScale): readonly Series[] {
  return methods.map(({ method, curve }) => ({
    name: method,
    points: curve.map(({ samples, score: { mean, half } }) => ({
      x: samples,
      y: scale.factor * mean,
      half: half === null ? null : scale.factor * half,
    })),
  }));
}

/** The second half of each curve, where methods lie close together. */
function secondHalves(series: readonly Series[]): readonly Series[] {
  const half = Math.max(0, ...series.flatMap(({ points }) => points.map(({ x }) => x))) / 2;
  return series.map(({ name, points }) => ({ name, points: points.filter(({ x }) => x >= half) }));
}

function costs({ methods }: Comparison, scale: ScoreScale): readonly Series[] {
  return methods.map(({ method, score, cost }) => ({
    name: method,
    points:
      score && cost
        ? [
            {
              x: cost.relative,
              y: scale.factor * score.mean,
              half: score.half === null ? null : scale.factor * score.half,
            },
          ]
        : [],
  }));
}

function key({ methods }: Comparison): Markup {
  return html`<ul class="key">${methods.map(({ method }, i) => html`<li>${mark(i)}${method}</li>`)}</ul>`;
}

function teacherText({ teacher }: Comparison): string {
  if (!teacher) return "No teacher is shared.";
  const score = teacher.score ? `, ${teacher.score.name} ${teacher.score.text}` : "";
  return `One teacher is shared by all methods that want one: ${teacher.sha256.slice(0, 16)}${score}, trained once with ${pairsText(teacher.total)} in ${teacher.seconds.toFixed(0)} s; each cell that it teaches is charged an equal share.`;
}

/** The page's text. */
export function comparisonPage(comparison: Comparison): string {
  const { name, seeds, cells, done, confidence, reference, bitsAFloat, methods } = comparison;
  const scale = scoreScale(comparison);
  const scoreName = comparison.score?.name ?? "score";
  const percent = `${Math.round(100 * confidence)} %`;
  const y = `${scoreName}${scale.unit === "" ? "" : `, ${scale.unit}`}`;
  const yText = (value: number) => String(Number(value.toFixed(scale.digits)));
  const limits = scale.unit === "%" ? { yLimits: [0, 100] as const } : {};
  const curveText: ChartText = {
    title: `${scoreName} after so many training samples, by method`,
    x: "training samples, all phases of the run",
    y,
    xText: (value) => countText(value).replace(/\.0+(?= |$)/, ""),
    yText,
    ...limits,
  };
  const costText: ChartText = {
    title: `${scoreName} against training compute, by method`,
    x: "training compute, full precision for the base's epochs = 1",
    y,
    xText: (value) => String(Number(value.toFixed(2))),
    yText,
    ...limits,
  };
  const tried = Math.max(...methods.map(({ ratesTried }) => ratesTried));
  const body = html`<h1>${name}</h1>
<p class="note">${done} of ${cells} cells are done: ${methods.length} methods, seeds ${seeds.join(", ")}. Intervals are of ${percent}, by Student's t over the seeds; a mean of one run has none. Differences from ${reference} are taken seed by seed.</p>
${mainTable(comparison, scale)}
<p class="note">Training compute counts each sample through each network, forward and backward, teacher's forwards and the share of its training with them; ${bitsAFloat} 1-bit multiplications count as one of floats, and 1 is the base's network in full precision for as many epochs. It is a number of this table: methods are not held to the same one. ${tried > 1 ? `A method's rate is the one with the best mean ${scoreName} of those it had, on the same held-out images that are reported.` : "Every method had one rate."} Seconds depend on machines and neighbours. ${teacherText(comparison)}</p>
<h2>${scoreName} while it trains</h2>
${key(comparison)}${lineChart(curves(comparison, scale), curveText)}
<p class="note">The second half alone, on a scale of its own:</p>
${lineChart(secondHalves(curves(comparison, scale)), { ...curveText, title: `${curveText.title}, the second half` }, false)}
<h2>${scoreName} against compute</h2>
${scatterChart(costs(comparison, scale), costText)}
<h2>Passes</h2>
<p class="note">A pair is a multiplication and an addition. Backward passes are in floats whatever forward is; 1-bit pairs are those of each pass over bit planes.</p>
${passesTable(comparison)}
<h2>Bytes a volunteer and step</h2>
<p class="note">By the layouts of what travels: a step's parameters as a whole, and the contribution of one lease. Measured: means over steps of what sockets carried for a volunteer, where parameters travel as changes, a step may have several leases, and what a lease fetched and framed is counted too. Once: a frozen network, fetched by its hash.</p>
${bytesTable(comparison)}
<h2>Rates</h2>
${ratesTable(comparison, scale)}
<h2>Cells</h2>
${cellsTable(comparison, scale)}`;
  return reportPage(`${name}: methods compared`, body);
}
