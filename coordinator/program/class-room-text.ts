// What whoever starts a class room reads in the terminal: the short address, its QR code, the slide, the fingerprint.

import { PLAIN_COLUMNS, paragraph } from "../../shared/base/terminal-text.ts";
import { scannedAddress, shortAddress } from "../classroom/class-room.ts";
import { terminalQr } from "../classroom/qr.ts";
import type { RunServer } from "../server/server.ts";
import type { Authority } from "../tls/authority.ts";
import { type Environment, hasColour, type ProgressStream } from "./paint.ts";

/** Pairs of hexadecimal digits in a line, so that it fits the narrowest terminals. */
const PAIRS = 16;
const WIDEST = 100;

function fingerprintLines(fingerprint: string): string[] {
  const pairs = fingerprint.split(":");
  const lines: string[] = [];
  for (let i = 0; i < pairs.length; i += PAIRS) lines.push(`    ${pairs.slice(i, i + PAIRS).join(":")}`);
  return lines;
}

export function classRoomLines(
  server: Pick<RunServer, "url" | "localLinkTo">,
  token: string,
  authority: Pick<Authority, "fingerprint"> | undefined,
  terminal: ProgressStream,
  environment: Environment = process.env,
): string[] {
  const link = new URL("./", server.url);
  const columns = terminal.columns || PLAIN_COLUMNS;
  const qr = terminalQr(scannedAddress(link, token, authority !== undefined), {
    ...(terminal.isTTY === undefined ? {} : { isTTY: terminal.isTTY }),
    columns,
    coloured: hasColour(terminal, environment),
    term: environment.TERM,
  });
  const prose = (text: string) => paragraph(text, Math.min(columns - 1, WIDEST));
  const trust = [
    ...prose(
      `Each device is told once to trust this room's certificate: http://${link.host}/trust says how. Its fingerprint (SHA-256):`,
    ),
    ...(authority ? fingerprintLines(authority.fingerprint) : []),
  ];
  return [
    `  To type or to scan: ${shortAddress(link, token)}`,
    `  For the projector:  ${server.localLinkTo("join", token)}`,
    ...(qr.length === 0 ? [] : ["", ...qr.map((line) => `  ${line}`)]),
    "",
    ...(authority ? [...trust, ""] : []),
  ];
}
