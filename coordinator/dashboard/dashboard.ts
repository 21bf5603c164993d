// The dashboard beside the volunteer page: its files, its curves over HTTP, and its feed over a WebSocket, all behind
// the dashboard's token or the operator's.

import type { HttpBindings } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { WebSocketServer } from "ws";
import type { Clock } from "../../shared/base/clock.ts";
import { BitswarmError } from "../../shared/base/errors.ts";
import { type DashboardTokens, dashboardRights } from "../base/token.ts";
import type { RunEvent } from "../engine/run-event.ts";
import { type Beside, type BesideUpgrade, type BesideVisitors, roomPolicy } from "../server/beside.ts";
import { type PageFiles, sentFile } from "../server/page-files.ts";
import { DASHBOARD_PATH } from "./dashboard-path.ts";
import { Feed, type FeedSource, type Viewer } from "./feed.ts";
import { MOST_PAGE_MESSAGE_BYTES } from "./feed-message.ts";
import { Histories, type HistorySource, historyRequestSchema } from "./histories.ts";

/** From the end of the feed until a page that does not answer is cut. */
const FAREWELL_MS = 2_000;
const FEED_PATH = `/${DASHBOARD_PATH}/feed`;

type App = { readonly Bindings: HttpBindings };

/** Nothing but its own files and its own host. */
export const dashboardPolicy = roomPolicy();

const socketOptions = {
  noServer: true,
  maxPayload: MOST_PAGE_MESSAGE_BYTES,
  perMessageDeflate: false,
  closeTimeout: FAREWELL_MS,
};

export interface DashboardOptions {
  readonly tokens: DashboardTokens;
  /** Of dist/dashboard; empty where it was not built. */
  readonly page: PageFiles;
  readonly source: FeedSource;
  /** The run's folder. */
  readonly path: string;
  readonly clock: Clock;
  /** Milliseconds since 1970; Date.now unless given. */
  readonly time?: () => number;
  /** Where curves come from; the folder unless given. */
  readonly histories?: HistorySource;
}

export class Dashboard implements Beside {
  readonly sockets = [FEED_PATH];
  readonly #options: DashboardOptions;
  readonly #feed: Feed;
  readonly #histories: HistorySource;
  readonly #server = new WebSocketServer(socketOptions);

  constructor(options: DashboardOptions) {
    const { source, path, clock, time = Date.now, histories } = options;
    this.#options = options;
    this.#feed = new Feed({ source, clock, time });
    this.#histories = histories ?? new Histories(path, () => clock.now());
  }

  /** Takes down what happened in the run. @param time milliseconds since 1970; now unless given */
  event(event: RunEvent, time?: number): void {
    this.#feed.event(event, time);
  }

  /** Takes down what workers do, for those who come later: to be called once a second or so. */
  note(): void {
    this.#feed.note();
  }

  /** Those who look on. */
  get viewers(): number {
    return this.#feed.viewers;
  }

  /** Looks whether a run that somebody else drives has come further. */
  async follow(): Promise<void> {
    if (this.#feed.viewers > 0 && (await this.#histories.grew())) this.#feed.historyGrew();
  }

  /** Shows the end, while its pages are still there. */
  tell(): void {
    this.#feed.tell();
  }

  close(): void {
    for (const socket of this.#server.clients) socket.close(1001, "the coordinator stops");
  }

  routes(visitors: BesideVisitors): Hono<App> {
    const app = new Hono<App>();
    const { page, tokens } = this.#options;
    const refusal = (context: Context<App>): BitswarmError | undefined => {
      if (dashboardRights(tokens, context.req.query("token"))) return undefined;
      try {
        visitors.wrongToken(context.env.incoming);
      } catch (error) {
        if (error instanceof BitswarmError) return error;
        throw error;
      }
      return new BitswarmError(
        "TOKEN_INVALID",
        "the dashboard's token is missing or wrong: its link is printed when the run starts, and the token is in the file dashboard-token of the run's folder",
      );
    };
    const problem = (context: Context, status: 400 | 403 | 404 | 429 | 503, { code, message }: BitswarmError) =>
      context.json({ code, message }, status, { "cache-control": "no-store" });
    const gated = (answer: (context: Context<App>) => Promise<Response>) => async (context: Context<App>) => {
      const refused = refusal(context);
      if (refused) return problem(context, refused.code === "RATE_LIMITED" ? 429 : 403, refused);
      try {
        return await answer(context);
      } catch (error) {
        if (error instanceof BitswarmError)
          return problem(context, error.code === "RUN_UNREACHABLE" ? 503 : 404, error);
        throw error;
      }
    };

    app.use(`/${DASHBOARD_PATH}/*`, async (context, next) => {
      await next();
      context.header("content-security-policy", dashboardPolicy);
    });
    app.get(`/${DASHBOARD_PATH}`, (context) => {
      context.header("content-security-policy", dashboardPolicy);
      context.header("cache-control", "no-store");
      const refused = refusal(context);
      if (refused) return context.text(`${refused.message}\n`, refused.code === "RATE_LIMITED" ? 429 : 403);
      const index = page.get("index.html");
      if (!index) return context.text("The dashboard was not built: run `npm run build`, and start again.\n", 503);
      const { bytes, headers } = sentFile(index, context.req.header("accept-encoding"));
      return context.body(bytes, 200, headers);
    });
    app.get(
      `/${DASHBOARD_PATH}/runs`,
      gated(async (context) => context.json(await this.#histories.list(), 200, { "cache-control": "no-store" })),
    );
    app.get(
      `/${DASHBOARD_PATH}/history`,
      gated(async (context) => {
        const series = context.req.queries("series") ?? [];
        const request = historyRequestSchema.safeParse({ ...context.req.query(), series });
        if (!request.success) {
          const [issue] = request.error.issues;
          const what = `${issue.path.join(".")}: ${issue.message}`;
          return problem(context, 400, new BitswarmError("CONFIG_INVALID", what));
        }
        const { plain, packed } = await this.#histories.answer(request.data);
        const packs = /\bgzip\b/.test(context.req.header("accept-encoding") ?? "");
        return context.body(packs ? packed : plain, 200, {
          "content-type": "application/json",
          "cache-control": "no-store",
          vary: "accept-encoding",
          ...(packs ? { "content-encoding": "gzip" } : {}),
        });
      }),
    );
    // The build's files hold nothing of the run.
    app.get(`/${DASHBOARD_PATH}/:file`, (context) => {
      const file = page.get(`${DASHBOARD_PATH}/${context.req.param("file")}`);
      const missing = () => new BitswarmError("DATA_MISSING", `nothing is at ${context.req.path}`);
      if (!file) return problem(context, 404, missing());
      const { bytes, headers } = sentFile(file, context.req.header("accept-encoding"));
      return context.body(bytes, 200, { ...headers, "cache-control": "public, max-age=31536000, immutable" });
    });
    return app;
  }

  upgrade({ query, request, socket, head, wrongToken, refuse }: BesideUpgrade): void {
    const { tokens } = this.#options;
    try {
      if (!dashboardRights(tokens, query.get("token") ?? undefined)) {
        wrongToken();
        refuse("403 Forbidden", "TOKEN_INVALID: the dashboard's token is missing or wrong");
        return;
      }
    } catch (error) {
      if (!(error instanceof BitswarmError)) throw error;
      refuse("429 Too Many Requests", `${error.code}: ${error.message}`);
      return;
    }
    this.#server.handleUpgrade(request, socket, head, (webSocket) => {
      const viewer: Viewer = {
        send: (bytes) => webSocket.send(bytes, { binary: false }),
        get waitingBytes() {
          return webSocket.bufferedAmount;
        },
        drop: () => webSocket.terminate(),
      };
      const end = ({ closeCode, code, message }: BitswarmError) =>
        webSocket.close(closeCode, `${code}: ${message}`.slice(0, 120));
      const guarded = (act: () => void) => {
        try {
          act();
        } catch (error) {
          if (!(error instanceof BitswarmError)) throw error;
          end(error);
        }
      };
      // A peer that breaks the protocol, or sends too much, is cut by the library; that is no news.
      webSocket.on("error", () => undefined);
      webSocket.on("close", () => this.#feed.leave(viewer));
      webSocket.on("message", (data) =>
        guarded(() =>
          this.#feed.hear(viewer, String(data), (token) => {
            const may = dashboardRights(tokens, token) === "act";
            if (!may) wrongToken();
            return may;
          }),
        ),
      );
      guarded(() => this.#feed.join(viewer));
    });
  }
}
