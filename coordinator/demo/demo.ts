// The demo beside the volunteers' page, behind their token or the dashboard's: its page, and the networks of the newest
// checkpoint.

import type { HttpBindings } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { BitswarmError } from "../../shared/base/errors.ts";
import { type DashboardTokens, dashboardRights, type RunTokens, tokenHolder } from "../base/token.ts";
import { newestCheckpointStep } from "../checkpoint/checkpoint.ts";
import { type Beside, type BesideVisitors, roomPolicy } from "../server/beside.ts";
import { type PageFiles, sentFile } from "../server/page-files.ts";
import { DEMO_PATH, type DemoNetworks, demoNetworks, INDEX_PAGE, TRACK_PAGE } from "./demo-networks.ts";

type App = { readonly Bindings: HttpBindings };

/** Nothing but its own files and its own host; WebAssembly, which counts the bits. */
export const demoPolicy = roomPolicy("'wasm-unsafe-eval'");
/** A film that the visitor opens has an address within the page. */
const trackPolicy = `${demoPolicy}; media-src blob:`;

/** Where a network follows something, in place of the demo. */
export const TRACK_PATH = "track";

export interface DemoOptions {
  readonly tokens: RunTokens & DashboardTokens;
  /** Of dist/demo; empty where it was not built. */
  readonly page: PageFiles;
  /** The run's folder. */
  readonly path: string;
  /** Whether the run's networks follow a target: they have a page of their own, to which the other leads. */
  readonly follows?: boolean;
}

export class Demo implements Beside {
  readonly #options: DemoOptions;
  /** Those of the newest checkpoint that somebody asked for: a run goes on, and nobody may ask. */
  #made: { readonly step: number | null; readonly networks: Promise<DemoNetworks> } | undefined;

  constructor(options: DemoOptions) {
    this.#options = options;
  }

  async #networks(): Promise<DemoNetworks> {
    const { path } = this.#options;
    const step = await newestCheckpointStep(path);
    if (this.#made?.step !== step) {
      const made = { step, networks: demoNetworks(path) };
      this.#made = made;
      // What went wrong is tried again by the next who asks.
      made.networks.catch(() => {
        if (this.#made === made) this.#made = undefined;
      });
    }
    return this.#made.networks;
  }

  routes(visitors: BesideVisitors): Hono<App> {
    const app = new Hono<App>();
    const { page, tokens, follows = false } = this.#options;
    const refusal = (context: Context<App>): BitswarmError | undefined => {
      const shown = context.req.query("token");
      // Whoever may look on may try it, too: the dashboard leads here.
      const [holder, rights] = [tokenHolder(tokens, shown), dashboardRights(tokens, shown)];
      if (holder !== undefined || rights !== undefined) return undefined;
      try {
        visitors.wrongToken(context.env.incoming);
      } catch (error) {
        if (error instanceof BitswarmError) return error;
        throw error;
      }
      return new BitswarmError("TOKEN_INVALID", "the token is missing or not that of this run: ask for the whole link");
    };
    const problem = (context: Context, status: 403 | 404 | 429, { code, message }: BitswarmError) =>
      context.json({ code, message }, status, { "cache-control": "no-store" });
    const send = (context: Context<App>, bytes: Uint8Array<ArrayBuffer>, contentType: string) => {
      const { headers } = sentFile({ bytes, contentType });
      const all = { ...headers, "cache-control": "private, no-cache" };
      return context.req.header("if-none-match") === headers.etag
        ? context.body(null, 304, all)
        : context.body(bytes, 200, all);
    };

    app.use(`/${DEMO_PATH}/*`, async (context, next) => {
      await next();
      context.header("content-security-policy", demoPolicy);
    });
    // The page that fits the run, and the other, which leads to it. Relative, below whatever path a proxy takes off.
    const [own, other] = follows ? [TRACK_PATH, DEMO_PATH] : [DEMO_PATH, TRACK_PATH];
    const searchOf = (context: Context<App>) => new URL(context.req.url).search;
    for (const path of [own, other]) {
      app.get(`/${path}/`, (context) => context.redirect(`../${own}${searchOf(context)}`));
    }
    app.get(`/${other}`, (context) => context.redirect(`${own}${searchOf(context)}`));
    app.get(`/${own}`, (context) => {
      context.header("content-security-policy", follows ? trackPolicy : demoPolicy);
      context.header("cache-control", "no-store");
      context.header("permissions-policy", "camera=(self), microphone=(), geolocation=()");
      const refused = refusal(context);
      if (refused) return context.text(`${refused.message}\n`, refused.code === "RATE_LIMITED" ? 429 : 403);
      const index = page.get(follows ? TRACK_PAGE : INDEX_PAGE);
      if (!index) return context.text("The demo was not built: run `npm run build`, and start again.\n", 503);
      const { bytes, headers } = sentFile(index, context.req.header("accept-encoding"));
      return context.body(bytes, 200, headers);
    });
    app.get(`/${DEMO_PATH}/:file{[\\w-]+\\.(?:json|safetensors)}`, async (context) => {
      const refused = refusal(context);
      if (refused) return problem(context, refused.code === "RATE_LIMITED" ? 429 : 403, refused);
      const name = `${DEMO_PATH}/${context.req.param("file")}`;
      try {
        const bytes = (await this.#networks()).files.get(name);
        if (bytes)
          return send(context, bytes, name.endsWith(".json") ? "application/json" : "application/octet-stream");
      } catch (error) {
        if (!(error instanceof BitswarmError)) throw error;
        // Paths of this machine are nobody's business, and its commands no visitor's.
        const message =
          error.code === "CHECKPOINT_MISSING"
            ? "The network is not trained yet: come back when the training has got as far."
            : "The networks cannot be read now; whoever runs the training finds out why by exporting one.";
        return problem(context, 404, new BitswarmError(error.code, message));
      }
      return problem(context, 404, new BitswarmError("DATA_MISSING", `nothing is at ${context.req.path}`));
    });
    // The build's files hold nothing of the run.
    app.get(`/${DEMO_PATH}/:file`, (context) => {
      const file = page.get(`${DEMO_PATH}/${context.req.param("file")}`);
      if (!file) return problem(context, 404, new BitswarmError("DATA_MISSING", `nothing is at ${context.req.path}`));
      const { bytes, headers } = sentFile(file, context.req.header("accept-encoding"));
      return context.body(bytes, 200, { ...headers, "cache-control": "public, max-age=31536000, immutable" });
    });
    return app;
  }
}
