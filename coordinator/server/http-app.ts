// What the coordinator answers over HTTP: the page, its files, shards, blobs and the status. Everything of the run is
// behind its tokens.

import { type Context, Hono } from "hono";
import type { ErrorCode } from "../../shared/base/errors.ts";
import type { RunStatus } from "../../shared/wire/protocol.ts";
import { type RunTokens, tokenHolder } from "../base/token.ts";
import type { StoredShard } from "../data/shard-store.ts";
import type { PageFiles } from "./page-files.ts";

/** What the run gives to HTTP. */
export interface HttpSource extends RunTokens {
  readonly page: PageFiles;
  status(): RunStatus;
  /** A shard of the data set, by SHA-256. */
  shard(sha256: string): Promise<StoredShard | undefined>;
  /** Bytes of a network's parameters, by SHA-256. */
  blob(sha256: string): Uint8Array | undefined;
}

const immutable = "public, max-age=31536000, immutable";
/** Shards are behind the token: no shared cache may keep them. */
const privateImmutable = "private, max-age=31536000, immutable";
const contentSecurityPolicy = [
  "default-src 'self'",
  "connect-src 'self' ws: wss:",
  "img-src 'self' data:",
  "worker-src 'self' blob:",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join("; ");

/** Only what is named by its content: other bytes that the run has by name are its own affair. */
const isHash = (name: string) => /^[0-9a-f]{64}$/.test(name);

function textPage(title: string, text: string): string {
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title><h1>${title}</h1><p>${text}</p></html>`;
}

function problem(context: Context, status: 403 | 404, code: ErrorCode, message: string): Response {
  return context.json({ code, message }, status, { "cache-control": "no-store" });
}

export function httpApp(source: HttpSource): Hono {
  const { page } = source;
  const isLetIn = (context: Context) => tokenHolder(source, context.req.query("token")) !== undefined;
  const app = new Hono();

  app.use(async (context, next) => {
    await next();
    context.header("x-content-type-options", "nosniff");
    // The link holds the token.
    context.header("referrer-policy", "no-referrer");
    context.header("content-security-policy", contentSecurityPolicy);
  });

  app.get("/", (context) => {
    context.header("cache-control", "no-store");
    if (!isLetIn(context)) {
      const text =
        "The token in this link is missing or not that of the run. Ask whoever shared it for the whole link.";
      return context.html(textPage("This link does not work", text), 403);
    }
    const index = page.get("index.html");
    if (index) return context.body(index.bytes, 200, { "content-type": index.contentType });
    const text = "The coordinator runs, but its page was not built: run <code>npm run build</code> and start it again.";
    return context.html(textPage("The page is not built", text), 503);
  });

  const gated = (find: (sha256: string) => Uint8Array | undefined, what: string) => (context: Context) => {
    if (!isLetIn(context)) {
      return problem(context, 403, "TOKEN_INVALID", "the token is missing or not that of this run");
    }
    const sha256 = context.req.param("sha256") ?? "";
    const bytes = isHash(sha256) ? find(sha256) : undefined;
    if (!bytes)
      return problem(context, 404, "DATA_MISSING", `no ${what} of this run has SHA-256 ${sha256.slice(0, 64)}`);
    return context.body(bytes as Uint8Array<ArrayBuffer>, 200, {
      "content-type": "application/octet-stream",
      "cache-control": privateImmutable,
    });
  };
  app.get("/shards/:sha256", async (context) => {
    if (!isLetIn(context)) {
      return problem(context, 403, "TOKEN_INVALID", "the token is missing or not that of this run");
    }
    const sha256 = context.req.param("sha256");
    const shard = await source.shard(sha256);
    if (!shard) return problem(context, 404, "DATA_MISSING", `no shard of this run has SHA-256 ${sha256.slice(0, 64)}`);
    const etag = `"${sha256}"`;
    const headers = { etag, "cache-control": privateImmutable };
    // Content under this name never changes, so whoever has any of it has this one.
    if (context.req.header("if-none-match")?.includes(etag)) return context.body(null, 304, headers);
    return context.body(shard.stream(), 200, {
      ...headers,
      "content-type": "application/octet-stream",
      "content-length": String(shard.bytes),
    });
  });
  app.get(
    "/blobs/:sha256",
    gated((sha256) => source.blob(sha256), "parameters"),
  );

  app.get("/status", (context) => {
    if (!isLetIn(context)) {
      return problem(context, 403, "TOKEN_INVALID", "the token is missing or not that of this run");
    }
    return context.json(source.status(), 200, { "cache-control": "no-store" });
  });

  // The build's files hold nothing of the run.
  app.get("*", (context) => {
    const path = context.req.path.slice(1);
    const file = path === "index.html" ? undefined : page.get(path);
    if (!file) return problem(context, 404, "DATA_MISSING", `nothing is at ${context.req.path}`);
    const cache = path.startsWith("assets/") ? immutable : "no-cache";
    return context.body(file.bytes, 200, { "content-type": file.contentType, "cache-control": cache });
  });
  return app;
}
