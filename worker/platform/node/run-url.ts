// Parses the link that the coordinator prints, at the edge where a person pasted it.
import { BitswarmError } from "../../../shared/base/errors.ts";

/** `host:port`, with the scheme's own port spelt out and an IPv6 address in brackets. */
export interface RunUrl {
  readonly href: string;
  readonly origin: string;
  readonly host: string;
  /** False for plain http from another machine, where browsers withhold WebGPU. */
  readonly secure: boolean;
}

/** @throws BitswarmError CONFIG_INVALID, TOKEN_INVALID */
export function parseRunUrl(text: string): RunUrl {
  const example = "the link looks like http://192.168.1.20:8080/?token=TOKEN";
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.hostname === "") {
    throw new BitswarmError("CONFIG_INVALID", `"${text}" is not the link of a run: ${example}`);
  }
  if (!url.searchParams.get("token")) {
    throw new BitswarmError(
      "TOKEN_INVALID",
      `"${text}" has no token: copy the whole link, in quotes so that the shell leaves its "?" alone; ${example}`,
    );
  }
  // The page's files lie below its path.
  if (!url.pathname.endsWith("/")) url.pathname += "/";
  const port = url.port || (url.protocol === "https:" ? "443" : "80");
  const local = /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/.test(url.hostname);
  return {
    href: url.href,
    origin: url.origin,
    host: `${url.hostname}:${port}`,
    secure: url.protocol === "https:" || local,
  };
}
