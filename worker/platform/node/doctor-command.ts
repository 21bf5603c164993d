// `bitswarm doctor`: looks at this machine, then at the way to a coordinator, from the near to the far. What an earlier
// fault makes pointless is not tried.

import { styleText } from "node:util";
import { PROTOCOL_VERSION } from "../../../shared/wire/protocol.ts";
import { closingLine, exitCodeOf, type Finding, fail, findingLines, skip, type Verdict } from "./doctor/finding.ts";
import {
  adapterFinding,
  driverFinding,
  programFinding,
  type RuntimeName,
  runtimeFinding,
  storageFinding,
} from "./doctor/machine.ts";
import {
  bandwidthFinding,
  clockFinding,
  environmentFinding,
  linkFinding,
  misplacedFinding,
  nameFinding,
  portFinding,
  protocolFinding,
  roundTripFinding,
  serverFinding,
  socketFinding,
  tlsFinding,
  tokenFinding,
} from "./doctor/network.ts";
import {
  askDownload,
  askName,
  askPort,
  askServer,
  askSocket,
  askTls,
  coordinatorAbove,
  isCoordinator,
} from "./doctor/reach.ts";
import { lookAtAdapter, lookAtDriver, lookAtFolders, lookAtRuntime } from "./examine-machine.ts";
import { packageVersion } from "./package-root.ts";

type OnFinding = (finding: Finding) => void;

const proxyVariables = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
/** After the port, in order. */
const beyondPort = ["server", "token", "version", "clock", "websocket", "round trip", "bandwidth"];

async function examineMachine(runtimes: readonly RuntimeName[], say: OnFinding): Promise<void> {
  say(programFinding(`${packageVersion()}, protocol ${PROTOCOL_VERSION},`, process.versions.node));
  const driver = lookAtDriver();
  say(driverFinding(driver));
  const programs = await Promise.all(runtimes.map(lookAtRuntime));
  const there = runtimes.filter((_, i) => programs[i].kind === "found");
  for (const [i, runtime] of runtimes.entries()) {
    say(
      runtimeFinding(
        runtime,
        programs[i],
        there.some((other) => other !== runtime),
      ),
    );
    if (programs[i].kind === "found") say(adapterFinding(runtime, await lookAtAdapter(runtime), driver.hardware));
  }
  say(storageFinding(lookAtFolders()));
}

/** Plain http from another machine, where browsers withhold WebGPU, is not secure. */
function isSecure({ protocol, hostname }: URL): boolean {
  return protocol === "https:" || /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

async function examineNetwork(link: string, say: OnFinding): Promise<void> {
  const url = URL.canParse(link) ? new URL(link) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.hostname === "") {
    say(
      fail(
        "link",
        `${JSON.stringify(link.slice(0, 200))} is no link`,
        "it looks like http://192.168.1.20:8080/?token=TOKEN",
      ),
    );
    return;
  }
  // The token is nobody's to read.
  say(linkFinding(`${url.origin}${url.pathname}`, isSecure(url)));
  say(environmentFinding(proxyVariables.filter((name) => process.env[name])));
  const secure = url.protocol === "https:";
  const host = `${url.hostname}:${url.port || (secure ? 443 : 80)}`;
  const leave = (checks: readonly string[], why: string) => checks.forEach((check) => void say(skip(check, why)));
  const rest = secure ? ["tls", ...beyondPort] : beyondPort;

  const name = await askName(url);
  say(nameFinding(url.hostname, name));
  if (name.kind === "failed") return leave(["port", ...rest], "the name leads nowhere");
  const port = await askPort(url);
  say(portFinding(host, port));
  if (port.kind !== "open") return leave(rest, "the port does not answer");
  if (secure) {
    const tls = await askTls(url);
    const plain = tls.kind === "failed" && (await isCoordinator(new URL(url.pathname, `http://${host}`)));
    say(tlsFinding(host, tls, Date.now(), plain));
    if (tls.kind !== "trusted") return leave(beyondPort, "nothing is said to whom TLS does not vouch for");
  }
  const asked = await askServer(url);
  if ("failed" in asked) {
    const advice = secure
      ? "something else listens there; compare the port with the link that the coordinator prints"
      : "something else listens there, or wants https: compare with the link that the coordinator prints";
    say(fail("server", `no answer that is HTTP (${asked.failed})`, advice));
    return leave(beyondPort.slice(1), "no coordinator answers");
  }
  const { fact, skewMs, withinMs } = asked;
  const speaksTls = !secure && fact.answer === undefined && (await askTls(url)).kind !== "failed";
  const above = fact.answer === undefined && !speaksTls ? await coordinatorAbove(url) : undefined;
  if (above !== undefined) say(misplacedFinding(`${url.origin}${url.pathname}`, above));
  else say(serverFinding(url.origin, fact, speaksTls));
  if (fact.answer === undefined) return leave(beyondPort.slice(1), "no coordinator answers");
  say(tokenFinding(fact.answer, Boolean(url.searchParams.get("token"))));
  say(protocolFinding(fact.answer));
  say(clockFinding(skewMs, withinMs));
  const socket = await askSocket(url);
  say(socketFinding(socket));
  const roundTripsMs = socket.kind === "opened" ? socket.roundTripsMs : [];
  say(roundTripFinding(roundTripsMs));
  if (!("joinable" in fact.answer)) return leave(["bandwidth"], "the coordinator does not let us in");
  say(bandwidthFinding(await askDownload(url), roundTripsMs.length === 0 ? 0 : Math.min(...roundTripsMs)));
}

/** @param link of a run; without one only this machine is looked at */
export async function examine(
  link: string | undefined,
  runtimes: readonly RuntimeName[],
  onFinding: OnFinding,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const say = (finding: Finding) => {
    findings.push(finding);
    onFinding(finding);
  };
  await examineMachine(runtimes, say);
  if (link !== undefined) await examineNetwork(link, say);
  return findings;
}

const colours = { ok: "green", warn: "yellow", fail: "red", skip: "gray" } as const;
const MOST_COLUMNS = 120;

/** Prints as it goes. @returns the exit code */
export async function doctor(
  link: string | undefined,
  runtimes: readonly RuntimeName[],
  json: boolean,
  output: NodeJS.WriteStream = process.stdout,
): Promise<0 | 1> {
  const { NO_COLOR, TERM } = process.env;
  const coloured = output.isTTY === true && !NO_COLOR && TERM !== "dumb";
  const colour = (verdict: Verdict, text: string) => (coloured ? styleText(colours[verdict], text) : text);
  const columns = Math.min(output.columns ?? MOST_COLUMNS, MOST_COLUMNS);
  const findings = await examine(link, runtimes, (finding) => {
    const lines = json ? [JSON.stringify(finding)] : findingLines(finding, columns, colour);
    for (const line of lines) output.write(`${line}\n`);
  });
  if (!json) output.write(`${closingLine(findings)}\n`);
  return exitCodeOf(findings);
}

export const doctorHelp = `
Without a URL it looks at this machine alone: the GPU's driver, Deno and Chromium, whether a kernel computes right in
each, and the folders that workers write to. With one it goes on to the coordinator: name, port, certificate, whether a
coordinator answers, whether it takes the token and speaks this version, this machine's clock, the WebSocket (which
proxies and filters break first), round trip and bandwidth. It joins nothing and computes nothing for the run.

Of a class room's coordinator it takes the certificate that DENO_CERT names, as Deno workers do.

Each line says ok, warn (it works, but), fail (a worker cannot work) or skip (not tried after an earlier failure), and
after > what to do. Exit code 0, or 1 where something failed.

Examples:
  $ npx worker doctor
  $ npx worker doctor "https://example.org/?token=TOKEN"
  $ npx worker doctor "http://192.168.1.20:8080/?token=TOKEN" --runtime deno --json`;
