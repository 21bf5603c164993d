// The Caddyfile of deploy/ before a coordinator: a worker on a real device joins over TLS, clients are counted by their
// own addresses, and `worker doctor` sees what is missing.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { get } from "node:https";
import { expect, test } from "vitest";
import { readReach } from "../../coordinator/server/reach.ts";
import { WRONG_TOKENS_PER_MINUTE } from "../../coordinator/trust/address-limits.ts";
import type { Finding } from "../../worker/platform/node/doctor/finding.ts";
import { WorkerProcess } from "../e2e/worker-process.ts";
import { freePorts, startCaddy } from "../fixtures/caddy.ts";
import { builtProgram } from "../fixtures/programs.ts";
import { scratchFolder, startTestRun } from "../fixtures/test-run.ts";
import { notOnLinux } from "../fixtures/test-tool.ts";

/** What the built `worker doctor` says, by check. */
async function doctor(link: string, runtime: string, env: NodeJS.ProcessEnv) {
  const parameters = [builtProgram("worker"), "doctor", link, "--runtime", runtime, "--json"];
  const child = spawn(process.execPath, parameters, { env: { ...process.env, ...env } });
  let said = "";
  child.stdout.on("data", (part) => {
    said += part;
  });
  const [code] = await once(child, "close");
  const findings = said
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Finding);
  return { code, at: Object.fromEntries(findings.map((finding) => [finding.check, finding])) };
}

test.skipIf(notOnLinux)(
  "a Deno worker trains through Caddy over TLS, and who guesses tokens there is held off alone",
  { timeout: 300_000 },
  async () => {
    const [http, https] = await freePorts(2);
    const reach = readReach({ behindProxy: true, publicUrl: `https://localhost:${https}` });
    const { coordination, url, straightUrl } = await startTestRun({ reach, maxSteps: 1 });
    expect(url).toMatch(`https://localhost:${https}/?token=`);
    const { authority } = await startCaddy(await scratchFolder(), [http, https], new URL(straightUrl).host);
    const ca = readFileSync(authority);
    const statusFor = (localAddress: string, forged: string, link: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        const headers = { "x-forwarded-for": forged };
        get(new URL(link), { ca, localAddress, headers, agent: false }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        }).on("error", reject);
      });
    const guess = new URL("/?token=guess", url).href;
    let guesses = 1;
    // What a client writes of itself counts for nothing: it is one address, whatever it says.
    while ((await statusFor("127.0.0.2", `198.51.100.${guesses % 250}`, guess)) === 403) guesses++;
    expect(guesses).toBeGreaterThanOrEqual(WRONG_TOKENS_PER_MINUTE);
    expect(await statusFor("127.0.0.2", "", guess)).toBe(429);
    expect(await statusFor("127.0.0.3", "127.0.0.2", guess)).toBe(403);
    expect(await statusFor("127.0.0.3", "", url)).toBe(200);

    const doubtful = await doctor(url, "deno", {});
    expect(doubtful).toMatchObject({ code: 1, at: { tls: { verdict: "fail" }, token: { verdict: "skip" } } });
    expect(doubtful.at.tls.found).toMatch(/does not trust .*Caddy/);
    const doubting = (["deno", "browser"] as const).map((runtime) => new WorkerProcess(url, runtime));
    expect(await Promise.all(doubting.map(({ exited }) => exited))).toEqual([1, 1]);
    for (const { output } of doubting)
      expect(output).toMatch(/CERTIFICATE_INVALID: .* is not trusted here \(.*\/trust/);
    const env = { DENO_CERT: authority };
    const content = await doctor(url, "auto", env);
    expect(content.code, JSON.stringify(content.at)).toBe(0);
    for (const check of ["tls", "token", "version", "websocket"]) {
      expect(content.at[check], check).toMatchObject({ verdict: "ok" });
    }
    // Both compute right on whatever this machine has.
    for (const runtime of ["Deno", "browser"])
      expect(content.at[`gpu in ${runtime}`].found).toContain("computes right");

    const worker = new WorkerProcess(url, "deno", { env });
    const { step } = await coordination.done;
    expect(await worker.exited, worker.output).toBe(0);
    expect(step).toBe(1);
  },
);
