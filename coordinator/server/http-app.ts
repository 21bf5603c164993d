// What the coordinator answers over HTTP: the page, its files, shards, blobs and the status. Everything of the run is
// behind its tokens.

import type { HttpBindings } from "@hono/node-server";
import { type Context, Hono } from "hono";
import { BitswarmError, type ErrorCode } from "../../shared/base/errors.ts";
import type { RunStatus } from "../../shared/wire/run-status.ts";
import { type RunTokens, tokenHolder } from "../base/token.ts";
import type { StoredShard } from "../data/shard-store.ts";
import { inlineScripts, type PageFile, type PageFiles, sentFile } from "./page-files.ts";

/** What the run gives to HTTP. */
export interface HttpSource extends RunTokens {
  readonly page: PageFiles;
  status(): RunStatus;
  /** A shard of the data set, by SHA-256. */
  shard(sha256: string): Promise<StoredShard | undefined>;
  /** Bytes of a network's parameters, by SHA-256. */
  blob(sha256: string): Uint8Array | undefined;
}

/** Who asks, and what strangers may. */
export interface HttpVisitors {
  /** Counts a wrong token for whoever sent the request. @throws RATE_LIMITED */
  wrongToken(request: HttpBindings["incoming"]): void;
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
 */
export function contentSecurityPolicy(page: PageFile | undefined): string {
  const scripts = page ? inlineScripts(new TextDecoder().decode(page.bytes)) : [];
  return [
    "default-src 'self'",
    ["script-src 'self'", ...scripts].join(" "),
    "connect-src 'self'",
    "img-src 'self' data:",
    "worker-src 'self' blob:",
    "frame-ancestors 'none'",
    "base-uri 'none'",
  ].join("; ");
}

/** Only what is named by its content: other bytes that the run has by name are its own affair. */
const isHash = (name: string) => /^[0-9a-f]{64}$/.test(name);

/** A page of one notice, which looks like the volunteer page where that was built. */
function textPage(page: PageFiles, title: string, text: string): string {
  const style = [...page.keys()].find((path) => path.endsWith(".css"));
  const icon = [...page.keys()].find((path) => path.endsWith(".svg"));
  const link = style === undefined ? "" : `<link rel="stylesheet" href="./${style}">`;
  const brand = `<header><p class="brand">${icon === undefined ? "" : `<img src="./${icon}" alt="" width="28" height="28">`}bitswarm</p><h1>${title}</h1></header>`;
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark"><title>${title}</title>${link}</head><body><main>${brand}<section class="card notice" role="alert"><p>${text}</p></section></main></body></html>`;
}

function problem(context: Context, status: 403 | 404 | 429, code: ErrorCode, message: string): Response {
  return context.json({ code, message }, status, { "cache-control": "no-store" });
}

function fileResponse(context: Context, file: PageFile, cacheControl: string): Response {
  const { bytes, headers } = sentFile(file, context.req.header("accept-encoding"));
  const all = { ...headers, "cache-control": cacheControl };
  if (context.req.header("if-none-match")?.includes(headers.etag)) return context.body(null, 304, all);
  return context.body(bytes, 200, all);
}

export function httpApp(source: HttpSource, visitors: HttpVisitors): Hono<App> {
  const { page } = source;
  const policy = contentSecurityPolicy(page.get("index.html"));
  /** Why a request is refused for its token; undefined for those of the run. */
  const refusedToken = (context: Context<App>): BitswarmError | undefined => {
    if (tokenHolder(source, context.req.query("token")) !== undefined) return undefined;
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
  const app = new Hono<App>();

  app.use(async (context, next) => {
    await next();
    context.header("x-content-type-options", "nosniff");
    // The link holds the token.
    context.header("referrer-policy", "no-referrer");
    context.header("content-security-policy", policy);
  });

  app.get("/", (context) => {
    const refused = refusedToken(context);
    if (refused) {
      context.header("cache-control", "no-store");
      if (refused.code === "RATE_LIMITED") return context.html(textPage(page, "Too many", refused.message), 429);
      const text =
        "The token in this link is missing or not that of the run. Ask whoever shared it for the whole link.";
      return context.html(textPage(page, "This link does not work", text), 403);
    }
    const index = page.get("index.html");
    if (index) return fileResponse(context, index, "no-store");
    const text = "The coordinator runs, but its page was not built: run <code>npm run build</code> and start it again.";
    return context.html(textPage(page, "The page is not built", text), 503, { "cache-control": "no-store" });
  });

  app.get(
    "/shards/:sha256",
    gated(async (context) => {
      const sha256 = context.req.param("sha256") ?? "";
      const shard = await source.shard(sha256);
      if (!shard) {
        return problem(context, 404, "DATA_MISSING", `no shard of this run has SHA-256 ${sha256.slice(0, 64)}`);
      }
      const etag = `"${sha256}"`;
      const headers = { etag, "cache-control": privateImmutable };
      // Content under this name never changes, so whoever has any of it has this one.
      if (context.req.header("if-none-match")?.includes(etag)) return context.body(null, 304, headers);
      return context.body(shard.stream(), 200, {
        ...headers,
        "content-type": "application/octet-stream",
        "content-length": String(shard.bytes),
      });
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

  app.get(
    "/status",
    gated((context) => context.json(source.status(), 200, { "cache-control": "no-store" })),
  );
  // Most WebSockets tell nothing of why they were refused: whoever has one asks here.
  app.get(
    "/joinable",
    gated((context) => {
      const refusal = visitors.refusalOf(context.env.incoming, context.req.query("origin"));
      if (refusal) return problem(context, refusal.code === "RATE_LIMITED" ? 429 : 403, refusal.code, refusal.message);
      return context.json({ joinable: true }, 200, { "cache-control": "no-store" });
    }),
  );

  // The build's files hold nothing of the run.
  app.get("*", (context) => {
    const path = context.req.path.slice(1);
    const file = path === "index.html" ? undefined : page.get(path);
    if (!file) return problem(context, 404, "DATA_MISSING", `nothing is at ${context.req.path}`);
    return fileResponse(context, file, path.startsWith("assets/") ? immutable : "no-cache");
  });
  return app;
}
