// What the coordinator answers over HTTP: the page, its files, shards, blobs and the status. Everything of the run is
// behind its tokens.

import type { HttpBindings } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { BitswarmError, type ErrorCode } from "../../shared/base/errors.ts";
import { PROTOCOL_VERSION } from "../../shared/wire/protocol.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import { type DashboardTokens, dashboardRights, type RunTokens, tokenHolder } from "../base/token.ts";
import type { ShardsElsewhere } from "../data/importers/importer.ts";
import type { StoredBytes } from "../disk/stored-file.ts";
import type { BoardPlace } from "../trust/board.ts";
import { TooMuch } from "../trust/download-limits.ts";
import type { Beside } from "./beside.ts";
import { isForPeople, nothingAt, noticePage } from "./notice-page.ts";
import { inlineScripts, type PageFile, type PageFiles, sentFile } from "./page-files.ts";
import { shardAnswer } from "./shard-answer.ts";

/** What the run gives to HTTP. */
export interface HttpSource extends RunTokens, DashboardTokens {
  readonly page: PageFiles;
  status(): RunStatus;
  /** The volunteers who want to be seen; nobody unless given. */
  board?(): readonly BoardPlace[];
  /** A shard of the data set, by SHA-256. */
  shard(sha256: string): Promise<StoredBytes | undefined>;
  /** Where workers read the shards themselves; none where they are sent from here. */
  readonly elsewhere?: ShardsElsewhere;
  /** Bytes of a network's parameters, by SHA-256. */
  blob(sha256: string): Uint8Array | undefined;
  /** Every metric as it is now. */
  metrics(): Promise<MetricsText>;
  /** `maxWorkers` have joined. */
  full(): boolean;
}

/** What Prometheus reads, and how it is called. */
interface MetricsText {
  readonly contentType: string;
  readonly text: string;
}

/** Who asks, and what strangers may. */
export interface HttpVisitors {
  /** Counts a wrong token for whoever sent the request. @throws RATE_LIMITED */
  wrongToken(request: HttpBindings["incoming"]): void;
  /** Counts what is fetched of the data set, but not by the operator's own workers. @throws TooMuch */
  download(request: HttpBindings["incoming"], bytes: number): void;
  /** Why a page of an origin, or without one a program, could not open the WebSocket now; undefined where it could. */
  refusalOf(request: HttpBindings["incoming"], origin: string | undefined): BitswarmError | undefined;
}

type App = { readonly Bindings: HttpBindings };

const immutable = "public, max-age=31536000, immutable";
/** Shards are behind the token: no shared cache may keep them. */
const privateImmutable = "private, max-age=31536000, immutable";
/**
 * What a page may load and run. To browsers the WebSocket of its own host is `'self'` too.
 * @param page the volunteers'
 * @param elsewhere an origin that has the data set's shards
 */
export function contentSecurityPolicy(page: PageFile | undefined, elsewhere?: string): string {
  const scripts = page ? inlineScripts(new TextDecoder().decode(page.bytes)) : [];
  return [
    "default-src 'self'",
    ["script-src 'self' 'wasm-unsafe-eval'", ...scripts].join(" "),
    ["connect-src 'self'", ...(elsewhere === undefined ? [] : [elsewhere])].join(" "),
    "img-src 'self' data:",
    "worker-src 'self' blob:",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join("; ");
}

/** Only what is named by its content: other bytes that the run has by name are its own affair. */
const isHash = (name: string) => /^[0-9a-f]{64}$/.test(name);

/** A stream of which the first piece is there; undefined where it cannot be had: nothing was answered yet. */
async function begun(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
  const reader = stream.getReader();
  let first: Uint8Array<ArrayBuffer> | undefined;
  try {
    first = (await reader.read()).value;
  } catch {
    return undefined;
  }
  return new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      async pull(controller) {
        const { done, value } = first === undefined ? await reader.read() : { done: false, value: first };
        first = undefined;
        if (done || value === undefined) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

function problem(context: Context, status: 403 | 404 | 429 | 503, code: ErrorCode, message: string): Response {
  return context.json({ code, message }, status, { "cache-control": "no-store" });
}

function fileResponse(context: Context, file: PageFile, cacheControl: string): Response {
  const { bytes, headers } = sentFile(file, context.req.header("accept-encoding"));
  const all = { ...headers, "cache-control": cacheControl };
  if (context.req.header("if-none-match")?.includes(headers.etag)) return context.body(null, 304, all);
  return context.body(bytes, 200, all);
}

/** The token of `Authorization: Bearer TOKEN` (RFC 6750); undefined where there is none. */
function bearer(authorization = ""): string | undefined {
  return /^Bearer +(\S+)$/i.exec(authorization)?.[1];
}

/**
 * Whether the run takes workers, in a word. A full one is ready: a proxy that lets go of what is not ready would cut
 * those who are in it.
 */
export function readiness(
  state: RunStatus["state"],
  full: boolean,
): { readonly word: string; readonly status: 200 | 503 } {
  if (state === "done") return { word: "over", status: 503 };
  if (state === "stopping") return { word: "stopping", status: 503 };
  return { word: full ? "full" : "ready", status: 200 };
}

/** @param beside rooms with routes of their own, before the page's files */
export function httpApp(source: HttpSource, visitors: HttpVisitors, beside: readonly Beside[] = []): Hono<App> {
  const { page } = source;
  const policy = contentSecurityPolicy(page.get("index.html"), source.elsewhere?.origin);
  /** Why a request is refused for its token; undefined for those of the run. */
  const refusedToken = (context: Context<App>, token = context.req.query("token")): BitswarmError | undefined => {
    if (tokenHolder(source, token) !== undefined) return undefined;
    try {
      visitors.wrongToken(context.env.incoming);
    } catch (error) {
      if (error instanceof BitswarmError) return error;
      throw error;
    }
    return new BitswarmError("TOKEN_INVALID", "the token is missing or not that of this run");
  };
  /** Answers only those who show a token. */
  const gated = (answer: (context: Context<App>) => Response | Promise<Response>) => (context: Context<App>) => {
    const refused = refusedToken(context);
    if (!refused) return answer(context);
    return problem(context, refused.code === "RATE_LIMITED" ? 429 : 403, refused.code, refused.message);
  };
  /** Counts what is fetched of the data set; the answer where that is too much. */
  const refusedDownload = (context: Context<App>, bytes: number): Response | undefined => {
    if (tokenHolder(source, context.req.query("token")) === "operator") return undefined;
    try {
      visitors.download(context.env.incoming, bytes);
    } catch (error) {
      if (!(error instanceof TooMuch)) throw error;
      context.header("retry-after", String(error.retrySeconds));
      return problem(context, 429, error.code, error.message);
    }
  };
  const app = new Hono<App>();

  app.use(async (context, next) => {
    await next();
    context.header("x-content-type-options", "nosniff");
    // The link holds the token.
    context.header("referrer-policy", "no-referrer");
    if (!context.res.headers.has("content-security-policy")) context.header("content-security-policy", policy);
  });

  app.get("/", (context) => {
    const refused = refusedToken(context);
    if (refused) {
      context.header("cache-control", "no-store");
      if (refused.code === "RATE_LIMITED")
        return context.html(noticePage(page, { title: "Too many", text: refused.message }), 429);
      const text =
        "The token in this link is missing or not that of the run. Ask whoever shared it for the whole link.";
      return context.html(noticePage(page, { title: "This link does not work", text }), 403);
    }
    const index = page.get("index.html");
    if (index) return fileResponse(context, index, "no-store");
    const text = "The coordinator runs, but its page was not built: run <code>npm run build</code> and start it again.";
    return context.html(noticePage(page, { title: "The page is not built", text }), 503, {
      "cache-control": "no-store",
    });
  });

  app.get(
    "/shards/:sha256",
    gated(async (context) => {
      const sha256 = context.req.param("sha256") ?? "";
      const shard = await source.shard(sha256);
      if (!shard) {
        return problem(context, 404, "DATA_MISSING", `no shard of this run has SHA-256 ${sha256.slice(0, 64)}`);
      }
      const { method, range, ifRange, ifNoneMatch } = {
        method: context.req.method,
        range: context.req.header("range"),
        ifRange: context.req.header("if-range"),
        ifNoneMatch: context.req.header("if-none-match"),
      };
      const { status, headers, begin, end } = shardAnswer({ method, range, ifRange, ifNoneMatch }, sha256, shard.bytes);
      const tooMuch = refusedDownload(context, end - begin);
      if (tooMuch) return tooMuch;
      if (begin === end) return context.body(null, status, headers);
      const body = await begun(shard.stream(begin, end));
      if (body) return context.newResponse(body, status, headers);
      return problem(context, 503, "DATA_MISSING", "the shard cannot be read now; try again later");
    }),
  );
  app.get(
    "/shards/:sha256/url",
    gated(async (context) => {
      const sha256 = context.req.param("sha256") ?? "";
      const tooMuch = refusedDownload(context, 0);
      if (tooMuch) return tooMuch;
      const address = isHash(sha256) ? await source.elsewhere?.addressOf(sha256) : undefined;
      if (address) return context.json(address, 200, { "cache-control": "no-store" });
      const what = source.elsewhere
        ? `no shard of this run has SHA-256 ${sha256.slice(0, 64)}`
        : "shards of this run are sent from here";
      return problem(context, 404, "DATA_MISSING", what);
    }),
  );
  app.get(
    "/blobs/:sha256",
    gated((context) => {
      const sha256 = context.req.param("sha256") ?? "";
      const bytes = isHash(sha256) ? source.blob(sha256) : undefined;
      if (!bytes) {
        return problem(context, 404, "DATA_MISSING", `no parameters of this run have SHA-256 ${sha256.slice(0, 64)}`);
      }
      return context.body(bytes as Uint8Array<ArrayBuffer>, 200, {
        "content-type": "application/octet-stream",
        "cache-control": privateImmutable,
      });
    }),
  );

  const status = (context: Context<App>) => context.json(source.status(), 200, { "cache-control": "no-store" });
  const gatedStatus = gated(status);
  // Whoever looks on by the dashboard sees it there.
  app.get("/status", (context) => {
    const looks = dashboardRights(source, context.req.query("token")) !== undefined;
    return looks ? status(context) : gatedStatus(context);
  });
  // Whoever lends a GPU need not know how the coordinator's memory is.
  app.get("/metrics", async (context) => {
    const token = bearer(context.req.header("authorization")) ?? context.req.query("token");
    if (dashboardRights(source, token) !== undefined) {
      const { contentType, text } = await source.metrics();
      return context.body(text, 200, { "content-type": contentType, "cache-control": "no-store" });
    }
    const refused = refusedToken(context, token);
    if (refused?.code === "RATE_LIMITED") return problem(context, 429, refused.code, refused.message);
    const message =
      "metrics are for whoever runs the coordinator: show the token in the run's file dashboard-token, as `Authorization: Bearer TOKEN` or ?token=TOKEN";
    return problem(context, 403, "TOKEN_INVALID", message);
  });
  // For supervisors, which have no token: nothing of the run but whether it goes on.
  app.get("/healthz", (context) => context.text("alive\n", 200, { "cache-control": "no-store" }));
  app.get("/readyz", (context) => {
    const { word, status } = readiness(source.status().state, source.full());
    return context.text(`${word}\n`, status, { "cache-control": "no-store" });
  });
  app.get(
    "/board",
    gated((context) => context.json({ places: source.board?.() ?? [] }, 200, { "cache-control": "no-store" })),
  );
  // Most WebSockets tell nothing of why they were refused: whoever has one asks here.
  app.get(
    "/joinable",
    gated((context) => {
      const refusal = visitors.refusalOf(context.env.incoming, context.req.query("origin"));
      if (refusal) return problem(context, refusal.code === "RATE_LIMITED" ? 429 : 403, refusal.code, refusal.message);
      const shards = source.elsewhere === undefined ? {} : { shardsAt: source.elsewhere.origin };
      return context.json({ joinable: true, protocol: PROTOCOL_VERSION, ...shards }, 200, {
        "cache-control": "no-store",
      });
    }),
  );

  // For the rooms beside, too.
  app.notFound((context) => {
    const { path } = context.req;
    if (!isForPeople(context.req.header("accept"))) {
      return problem(context, 404, "DATA_MISSING", `nothing is at ${path}`);
    }
    return context.html(noticePage(page, nothingAt(path), path), 404, { "cache-control": "no-store" });
  });

  for (const room of beside) app.route("/", room.routes(visitors));

  // The build's files hold nothing of the run.
  app.get("*", (context) => {
    const path = context.req.path.slice(1);
    const file = path === "index.html" ? undefined : page.get(path);
    if (!file) return context.notFound();
    return fileResponse(context, file, path.startsWith("assets/") ? immutable : "no-cache");
  });
  return app;
}
