// Says what is wrong on the way to a coordinator, from what was seen of it; pure, so that each fault has a test without
// a network that has it.

import { PROTOCOL_VERSION } from "../../../../shared/wire/protocol.ts";
import { type Finding, fail, ok, skip, warn } from "./finding.ts";

const ms = (value: number) => `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`;

export type NameFact =
  | { readonly kind: "address" }
  | { readonly kind: "found"; readonly addresses: readonly string[]; readonly ms: number }
  | { readonly kind: "failed"; readonly code: string };

export function nameFinding(host: string, fact: NameFact): Finding {
  switch (fact.kind) {
    case "address":
      return ok("name", `${host} is an address`);
    case "found":
      return ok("name", `${host} is ${fact.addresses.join(", ")}, in ${ms(fact.ms)}`);
    case "failed":
      return fact.code === "EAI_AGAIN"
        ? fail("name", `no name server answers (${fact.code})`, "see whether this machine is online")
        : fail(
            "name",
            `nobody knows the name ${host} (${fact.code})`,
            "compare it with the link that you were given; a name that was just registered takes a while, and one of a local network is known there only",
          );
    default:
      return fact satisfies never;
  }
}

export type PortFact =
  | { readonly kind: "open"; readonly address: string; readonly ms: number }
  | { readonly kind: "failed"; readonly code: string }
  | { readonly kind: "silent"; readonly ms: number };

/** @param host `host:port` */
export function portFinding(host: string, fact: PortFact): Finding {
  switch (fact.kind) {
    case "open":
      return ok("port", `${host} answers at ${fact.address}, in ${ms(fact.ms)}`);
    case "silent":
      return fail(
        "port",
        `${host} says nothing in ${fact.ms / 1000} s`,
        "a firewall drops what is sent there, or the machine is off: the coordinator's must let this port in, and yours let it out",
      );
    case "failed":
      return fact.code === "ECONNREFUSED"
        ? fail(
            "port",
            `nothing listens at ${host}`,
            "the coordinator has ended or has another port: compare with the link that it prints. One that was started without --host 0.0.0.0 listens to its own machine alone",
          )
        : fail(
            "port",
            `${host} cannot be reached (${fact.code})`,
            "see whether this machine is online, and whether both are in the network where that address is known",
          );
    default:
      return fact satisfies never;
  }
}

export type TlsFact =
  | { readonly kind: "trusted"; readonly version: string; readonly validFromMs: number; readonly validToMs: number }
  | { readonly kind: "untrusted"; readonly code: string; readonly issuer: string; readonly names: string }
  | { readonly kind: "failed"; readonly message: string };

const HOUR_MS = 3_600_000;
/** Of its life, whether that is hours or months: a certificate that renews itself is renewed with a third left. */
const SOON_OVER = 1 / 6;

const span = (forMs: number) =>
  forMs < 48 * HOUR_MS ? `${Math.floor(forMs / HOUR_MS)} hours` : `${Math.floor(forMs / (24 * HOUR_MS))} days`;

/**
 * @param nowMs this machine's clock
 * @param plain whether a coordinator answers there by plain http
 */
export function tlsFinding(host: string, fact: TlsFact, nowMs: number, plain = false): Finding {
  switch (fact.kind) {
    case "trusted": {
      const leftMs = fact.validToMs - nowMs;
      if (leftMs >= SOON_OVER * (fact.validToMs - fact.validFromMs)) {
        return ok("tls", `${fact.version}, a trusted certificate for ${span(leftMs)} more`);
      }
      return warn(
        "tls",
        `the certificate of ${host} is over in ${span(leftMs)}`,
        "whoever runs the coordinator should see why it was not renewed",
      );
    }
    case "failed":
      if (plain) {
        return fail(
          "tls",
          `a bitswarm coordinator answers at ${host}, by plain http`,
          "write http: in place of https: in the link",
        );
      }
      return fail(
        "tls",
        `${host} speaks no TLS (${fact.message})`,
        "a link that begins with http: may be meant; else something on the way cuts TLS",
      );
    case "untrusted":
      switch (fact.code) {
        case "CERT_HAS_EXPIRED":
        case "CERT_NOT_YET_VALID":
          return fail(
            "tls",
            `the certificate of ${host} ${fact.code === "CERT_HAS_EXPIRED" ? "is over" : "is not valid yet"}`,
            `set this machine's clock, which says ${new Date(nowMs).toISOString()}; if that is right, whoever runs the coordinator should renew it`,
          );
        case "ERR_TLS_CERT_ALTNAME_INVALID":
          return fail(
            "tls",
            `the certificate is for ${fact.names || "other names"}, not for ${host}`,
            "open the link with the name that it was given with",
          );
        default:
          return fail(
            "tls",
            `this machine does not trust the certificate's authority, ${fact.issuer || "which has no name"} (${fact.code})`,
            `where it is the coordinator's own (start --lan), get its certificate from http://${host}/trust and start Deno workers, and this, with DENO_CERT=FILE; where it is not, somebody reads along`,
          );
      }
    default:
      return fact satisfies never;
  }
}

/** What a server answered to the question whether one may join. */
export interface AnswerFact {
  readonly status: number;
  /** Of a redirection. */
  readonly location?: string | undefined;
  /** Parsed, where it is an answer of a coordinator. */
  readonly answer?:
    | { readonly joinable: true; readonly protocol?: number | undefined }
    | { readonly code: string; readonly message: string }
    | undefined;
  /** The beginning of what it said otherwise. */
  readonly text: string;
}

/**
 * Whether a bitswarm coordinator answers at all.
 * @param speaksTls what answers by plain http there speaks TLS, too
 */
export function serverFinding(
  origin: string,
  { status, location, answer, text }: AnswerFact,
  speaksTls = false,
): Finding {
  if (answer !== undefined) return ok("server", `a bitswarm coordinator answers at ${origin}`);
  if (status >= 300 && status < 400) {
    const where = location ?? "elsewhere";
    return fail(
      "server",
      `${origin} sends on to ${where}`,
      "open the link in a browser, and use the address that it ends at, with its ?token=…",
    );
  }
  if (status === 502 || status === 503 || status === 504) {
    return fail(
      "server",
      `a proxy answers, but not the coordinator behind it (HTTP ${status})`,
      "the coordinator has ended, or the proxy has another port of it: deploy/proxy.md",
    );
  }
  if (speaksTls || (status === 400 && /https|ssl|tls/i.test(text))) {
    return fail("server", `${origin} wants https (HTTP ${status})`, "write https: in place of http: in the link");
  }
  return fail(
    "server",
    `${origin} is no bitswarm coordinator, or none of this version (HTTP ${status})`,
    "compare host, port and path with the link that the coordinator prints: another program has that port, or a proxy takes another path off",
  );
}

/**
 * Where a coordinator answers, but not where the link points.
 * @param asked the link without its token
 */
export function misplacedFinding(asked: string, found: string): Finding {
  return fail(
    "server",
    `a bitswarm coordinator answers at ${found}, not at ${asked}`,
    `the link for workers is ${found}?token=TOKEN, as the coordinator prints it: a page of its own or a short code is none`,
  );
}

/** @param answer of a coordinator; @param given whether the link has a token */
export function tokenFinding(answer: AnswerFact["answer"], given: boolean): Finding {
  const whole = "ask whoever shared the link for the whole of it, and put it in quotes: shells end it at & and ?";
  if (!given) return fail("token", "the link has no ?token=…", whole);
  if (answer === undefined) return skip("token", "no coordinator answers");
  if ("joinable" in answer) return ok("token", "the coordinator takes it");
  switch (answer.code) {
    case "TOKEN_INVALID":
      return fail("token", "it is not that of this run", `${whole}; a run that was started anew has a new one`);
    case "RATE_LIMITED":
      return fail("token", answer.message, "wait a minute, and stop other programs that try");
    default:
      return fail("token", `${answer.code}: ${answer.message}`, "whoever runs the coordinator can read the same there");
  }
}

/** Whether both sides speak alike. */
export function protocolFinding(answer: AnswerFact["answer"], ours = PROTOCOL_VERSION): Finding {
  if (answer === undefined || !("joinable" in answer)) return skip("version", "the coordinator does not let us in");
  const { protocol } = answer;
  if (protocol === ours) return ok("version", `both speak protocol ${ours}`);
  if (protocol === undefined) {
    return warn(
      "version",
      `the coordinator does not say which protocol it speaks; this is ${ours}`,
      "it is of an older build: if workers end with PROTOCOL_MISMATCH, it should be updated",
    );
  }
  const todo =
    protocol > ours
      ? "update this checkout: git pull && npm ci"
      : "take the build that the coordinator has, or ask for it to be updated";
  return fail("version", `the coordinator speaks protocol ${protocol}, this program ${ours}`, todo);
}

/** From when on signatures of data servers, and then certificates, are refused for it. */
const SKEW_ODD_MS = 60_000;
const SKEW_BAD_MS = 10 * 60_000;

/** @param skewMs how far this machine's clock is ahead of the server's; none where it said nothing of its own */
export function clockFinding(skewMs: number | undefined, withinMs: number): Finding {
  if (skewMs === undefined) return skip("clock", "the server says no time");
  const way = skewMs > 0 ? "ahead of" : "behind";
  const size = Math.abs(skewMs) / 1000;
  const far = `this machine's is ${size < 120 ? `${size.toFixed(0)} s` : `${(size / 60).toFixed(0)} min`} ${way} the coordinator's`;
  const todo = "set it by the network's time (timedatectl set-ntp true): certificates and signed links depend on it";
  if (Math.abs(skewMs) - withinMs >= SKEW_BAD_MS) return fail("clock", far, todo);
  if (Math.abs(skewMs) - withinMs >= SKEW_ODD_MS) return warn("clock", far, todo);
  return ok("clock", `as the coordinator's, within ${Math.max(1, Math.ceil((Math.abs(skewMs) + withinMs) / 1000))} s`);
}

export type SocketFact =
  /** Round trips of pings. */
  | { readonly kind: "opened"; readonly roundTripsMs: readonly number[] }
  | { readonly kind: "answered"; readonly status: number; readonly text: string }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "silent"; readonly ms: number };

/** @param fact of a coordinator that answers over HTTP */
export function socketFinding(fact: SocketFact): Finding {
  const proxy =
    "what is between (a proxy, a filter) has to hand on Upgrade and Connection, which are one line each in nginx: deploy/proxy.md of the coordinator's checkout";
  switch (fact.kind) {
    case "opened":
      return fact.roundTripsMs.length > 0
        ? ok("websocket", "it opens, and answers pings")
        : warn(
            "websocket",
            "it opens, but no ping is answered",
            "what is between may hold back what it should pass on",
          );
    case "silent":
      return fail("websocket", `it does not open in ${fact.ms / 1000} s, while HTTP answers`, proxy);
    case "failed":
      return fail("websocket", `it is cut while it opens (${fact.message}), while HTTP answers`, proxy);
    case "answered":
      if (/RATE_LIMITED/.test(fact.text)) {
        return fail("websocket", fact.text, "close other workers behind this address, or wait");
      }
      if (/ORIGIN_REFUSED/.test(fact.text))
        return fail("websocket", fact.text, "whoever runs the coordinator can allow it");
      if (fact.status === 407) return fail("websocket", "a proxy wants to know who you are (HTTP 407)", proxy);
      return fail(
        "websocket",
        `the request to open it came back as HTTP ${fact.status}: its Upgrade was taken off`,
        proxy,
      );
    default:
      return fact satisfies never;
  }
}

/** Half a second is the moon and back, or a queue in between. */
const SLOW_ROUND_TRIP_MS = 500;

export function roundTripFinding(roundTripsMs: readonly number[]): Finding {
  if (roundTripsMs.length === 0) return skip("round trip", "no ping was answered");
  const best = Math.min(...roundTripsMs);
  if (best < SLOW_ROUND_TRIP_MS) return ok("round trip", ms(best));
  return warn(
    "round trip",
    ms(best),
    "each step waits for a few of these: a run with larger leases, or sync local, asks for fewer",
  );
}

export interface DownloadFact {
  readonly bytes: number;
  /** From the answer's beginning to its end. */
  readonly ms: number;
  /** What one fetches on joining, where the coordinator says so. */
  readonly joinBytes?: number | undefined;
}

/** What a volunteer of a small run needs to keep up. */
const SLOW_BITS_PER_SECOND = 2_000_000;

/** TCP begins slowly: what is over after so few round trips says how far it is, not how broad. */
const SLOW_START_TRIPS = 5;

export function bandwidthFinding(fact: DownloadFact | undefined, roundTripMs = 0): Finding {
  if (fact === undefined) return skip("bandwidth", "nothing was there to fetch");
  const bitsPerSecond = (fact.bytes * 8_000) / Math.max(1, fact.ms);
  const speed = `${(bitsPerSecond / 1e6).toFixed(bitsPerSecond < 1e7 ? 1 : 0)} Mbit/s down at least, by ${(fact.bytes / 1024).toFixed(0)} KiB`;
  const joining =
    fact.joinBytes === undefined
      ? ""
      : `; on joining ${(fact.joinBytes / 2 ** 20).toFixed(1)} MiB, in ${((fact.joinBytes * 8) / bitsPerSecond).toFixed(1)} s`;
  const tooShort = fact.ms < SLOW_START_TRIPS * roundTripMs;
  if (bitsPerSecond >= SLOW_BITS_PER_SECOND || tooShort) return ok("bandwidth", `${speed}${joining}`);
  return warn(
    "bandwidth",
    `${speed}${joining}`,
    "the step will wait for this line; codec sign and downlink.tail f16 are for such (README.md)",
  );
}

/** What stands between by the environment's word. @param names of set variables */
export function environmentFinding(names: readonly string[]): Finding {
  if (names.length === 0) return ok("proxy", "the environment names none");
  return warn(
    "proxy",
    `${names.join(", ")} ${names.length === 1 ? "is" : "are"} set, and what follows goes straight, as Deno workers do`,
    "where this machine reaches the net through that proxy alone, use --runtime browser",
  );
}

/** @param secure https, or this machine itself */
export function linkFinding(href: string, secure: boolean): Finding {
  if (secure) return ok("link", href);
  return warn(
    "link",
    `${href} is plain http to another machine`,
    "browsers give WebGPU to https and localhost only; workers that `join` starts compute all the same, but all can read along",
  );
}
