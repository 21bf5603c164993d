// Reads the link that a volunteer was given: where the coordinator is, and the token that lets one in.

import { BitswarmError } from "../../shared/base/errors.ts";
import { isDashboardToken, isOperatorToken } from "../../shared/wire/token-prefixes.ts";

export interface JoinLink {
  /** To which `/shards` and the like are added: `http://host:8080`, or `https://host/prefix` behind a proxy. */
  readonly base: string;
  readonly token: string;
  /**
   * The WebSocket's address. The token travels in the hello, not in an address that proxies log; the operator's is in
   * both, as it passes none.
   */
  readonly socketUrl: string;
}

/** @throws CONFIG_INVALID for what is no link, TOKEN_INVALID for one without a token, or with the dashboard's */
export function readJoinLink(link: string): JoinLink {
  let url: URL;
  try {
    url = new URL(link);
  } catch (cause) {
    throw new BitswarmError(
      "CONFIG_INVALID",
      `${JSON.stringify(link)} is not a link; it looks like http://HOST:PORT/?token=TOKEN`,
      { cause },
    );
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new BitswarmError("CONFIG_INVALID", `a run's link starts with http: or https:; got ${url.protocol}`);
  }
  const token = url.searchParams.get("token");
  if (!token) {
    throw new BitswarmError(
      "TOKEN_INVALID",
      `the link ${url.origin}${url.pathname} has no ?token=…: copy the whole link that the coordinator printed`,
    );
  }
  if (isDashboardToken(token)) {
    throw new BitswarmError(
      "TOKEN_INVALID",
      `the link ${url.origin}${url.pathname} is the dashboard's, which lets people look on: a worker needs the volunteers' link, http://HOST:PORT/?token=TOKEN`,
    );
  }
  const query = isOperatorToken(token) ? `?token=${encodeURIComponent(token)}` : "";
  // The link is a folder's, whether its slash was written or not.
  const base = `${url.origin}${url.pathname.replace(/\/$/, "")}`;
  return { base, token, socketUrl: `${base.replace(/^http/, "ws")}/ws${query}` };
}
