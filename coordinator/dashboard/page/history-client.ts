// Asks the coordinator for curves.

import { type HistoryAnswer, historyAnswerSchema, type RunList, runListSchema } from "../feed-message.ts";

export interface HistoryQuery {
  /** The run itself unless given. */
  readonly run?: string;
  readonly table: "steps" | "layers";
  readonly series: readonly string[];
  readonly from?: number;
  readonly to?: number;
  readonly points: number;
}

export class HistoryClient {
  readonly #base: string;
  readonly #token: string;

  /** @param base of the page's folder, with a slash at its end */
  constructor(base: string, token: string) {
    this.#base = base;
    this.#token = token;
  }

  async history({ run, table, series, from, to, points }: HistoryQuery): Promise<HistoryAnswer> {
    const url = this.#url("history");
    if (run !== undefined) url.searchParams.set("run", run);
    url.searchParams.set("table", table);
    url.searchParams.set("points", String(points));
    if (from !== undefined) url.searchParams.set("from", String(from));
    if (to !== undefined) url.searchParams.set("to", String(to));
    for (const name of series) url.searchParams.append("series", name);
    return historyAnswerSchema.parse(await this.#json(url));
  }

  async runs(): Promise<RunList> {
    return runListSchema.parse(await this.#json(this.#url("runs")));
  }

  #url(name: string): URL {
    const url = new URL(`dashboard/${name}`, this.#base);
    url.searchParams.set("token", this.#token);
    return url;
  }

  async #json(url: URL): Promise<unknown> {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${url.pathname} answers ${response.status}`);
    return response.json();
  }
}
