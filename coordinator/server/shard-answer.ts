// What a request for a shard is answered with: all of it, one range of it, or that whoever asks has it already
// (RFC 9110, sections 13 and 14). Pure: no bytes are read here.

/** Shards are behind the token: no shared cache may keep them. What is under a hash never changes. */
const PRIVATE_IMMUTABLE = "private, max-age=31536000, immutable";

export interface ShardRequest {
  readonly method: string;
  readonly range?: string | undefined;
  readonly ifRange?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
}

export interface ShardAnswer {
  readonly status: 200 | 206 | 304 | 416;
  readonly headers: Readonly<Record<string, string>>;
  /** Bytes [begin, end) of the shard are the body; none where they are equal. */
  readonly begin: number;
  readonly end: number;
}

/** The name in a path of a shard; undefined for any other path. */
export function shardNamed(path: string): string | undefined {
  return /^\/shards\/([0-9a-f]{64})$/.exec(path)?.[1];
}

type Asked = { readonly begin: number; readonly end: number } | "none" | "whole";

/** One range; `whole` for what is none, and for several: they would come in one multipart body, which nobody needs. */
function askedRange(range: string | undefined, bytes: number): Asked {
  const [, first, last] = /^bytes=[ \t]*(\d{0,15})-(\d{0,15})[ \t]*$/i.exec(range ?? "") ?? [];
  if (first === undefined || (first === "" && last === "")) return "whole";
  if (first === "") {
    const begin = Math.max(0, bytes - Number(last));
    return begin < bytes ? { begin, end: bytes } : "none";
  }
  const begin = Number(first);
  if (last !== "" && Number(last) < begin) return "whole";
  return begin < bytes ? { begin, end: last === "" ? bytes : Math.min(bytes, Number(last) + 1) } : "none";
}

/** Whether a list of entity tags has this one; a weak one counts, as If-None-Match compares. */
function names(list: string | undefined, etag: string): boolean {
  return (list ?? "").split(",").some((tag) => ["*", etag, `W/${etag}`].includes(tag.trim()));
}

export function shardAnswer({ method, range, ifRange, ifNoneMatch }: ShardRequest, sha256: string, bytes: number) {
  const etag = `"${sha256}"`;
  const common = { etag, "cache-control": PRIVATE_IMMUTABLE, "accept-ranges": "bytes" };
  const answer = (status: ShardAnswer["status"], own: Record<string, string>, begin = 0, end = 0): ShardAnswer => ({
    status,
    headers: { ...common, ...own },
    begin,
    end,
  });
  if (names(ifNoneMatch, etag)) return answer(304, {});
  const body = { "content-type": "application/octet-stream" };
  const counted = ifRange === undefined || ifRange.trim() === etag;
  const asked = method === "GET" && counted ? askedRange(range, bytes) : "whole";
  if (asked === "none") return answer(416, { "content-range": `bytes */${bytes}`, "content-length": "0" });
  if (asked === "whole") {
    return answer(200, { ...body, "content-length": String(bytes) }, 0, method === "HEAD" ? 0 : bytes);
  }
  const { begin, end } = asked;
  const own = { "content-range": `bytes ${begin}-${end - 1}/${bytes}`, "content-length": String(end - begin) };
  return answer(206, { ...body, ...own }, begin, end);
}
