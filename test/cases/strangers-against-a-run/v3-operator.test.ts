// Who is local is known by a secret, not by an address: over loopback, where everybody is behind a proxy on the same
// machine, the link's token makes a stranger and the operator's an own worker.

import { readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { reopenRun } from "../../../coordinator/run/open-run.ts";
import { parseConfig } from "../../../shared/run/config.ts";
import { openTestRun, startTestRun } from "../../fixtures/test-run.ts";

const tight = { config: { maxWorkers: 2, trust: { socketsPerAddress: 2, joinsPerMinute: 2 } } };

/** What a worker is told that is not let in, or that it was. */
async function joining(worker: ReturnType<Awaited<ReturnType<typeof startTestRun>>["connect"]>): Promise<string> {
  try {
    await worker.opened();
  } catch {
    return "refused";
  }
  worker.send(worker.hello());
  const answer = await worker.take();
  if (answer === "closed") return answer;
  return answer.type === "error" ? answer.code : answer.type;
}

test("Z43 a worker over loopback with the link's token is a stranger: it answers a canary first", async () => {
  const { connect, connectStranger } = await startTestRun();
  const stranger = connectStranger();
  stranger.onCanary = undefined;
  await stranger.join();
  expect(await stranger.next("canary")).toMatchObject({ type: "canary" });
  // The operator's own is asked for none, and is leased work at once.
  const own = connect();
  own.onCanary = undefined;
  await own.join();
  expect(await own.lease()).toMatchObject({ type: "lease" });
});

test("Z43 strangers over loopback have the limits of an address, and keep no own worker out", async () => {
  const { connect, connectStranger } = await startTestRun(tight);
  const strangers = [await connectStranger().join(), await connectStranger().join()];
  expect(await joining(connectStranger())).toBe("refused");
  // Neither sockets, nor hellos, nor room are spent for them.
  for (let i = 0; i < 3; i++) await connect().join();
  strangers[0].send({ type: "leave" });
  await strangers[0].closed;
  expect(await joining(connectStranger())).toBe("RATE_LIMITED");
});

test("an own worker that is cut off comes back to its session, and is its own still", async () => {
  const { connect } = await startTestRun({ ...tight, limits: { graceMs: 20_000 } });
  const worker = await connect().join();
  const lease = await worker.lease();
  worker.close();
  await worker.closed;
  expect(await connect({ after: worker }).resume([lease.lease])).toEqual([lease.lease]);
});

test("H11 HTTP takes the operator's token as it takes the link's", async () => {
  const { coordination, url } = await startTestRun();
  const { localUrl } = coordination.server;
  expect(new URL(localUrl).searchParams.get("token")).not.toBe(new URL(url).searchParams.get("token"));
  for (const link of [url, localUrl]) expect((await fetch(link.replace("/?", "/status?"))).status).toBe(200);
});

test("K16 the tokens are files that only their user can read, and so is the operator's link", async () => {
  const { run, coordination, url } = await startTestRun();
  const { path } = run.directory;
  const [token, operatorToken] = [url, coordination.server.localUrl].map((link) =>
    new URL(link).searchParams.get("token"),
  );
  expect((await readFile(join(path, "token"), "utf8")).trim()).toBe(token);
  expect((await readFile(join(path, "operator-token"), "utf8")).trim()).toBe(operatorToken);
  expect(JSON.parse(await readFile(join(path, "coordinator.json"), "utf8")).url).toBe(coordination.server.localUrl);
  for (const file of ["token", "operator-token", "dashboard-token", "coordinator.json"]) {
    expect((await stat(join(path, file))).mode & 0o777, file).toBe(0o600);
  }
});

test("K16 each resume makes another operator's token: who made or saw a folder before is not its operator", async () => {
  const opened = await openTestRun();
  const started = await startTestRun({ open: opened, maxSteps: 1 });
  const worker = await started.connect().join();
  await worker.work();
  await started.coordination.done;
  const file = join(opened.directory.path, "operator-token");
  const before = (await readFile(file, "utf8")).trim();
  for (const found of [before, undefined]) {
    if (found === undefined) await rm(file);
    const again = await reopenRun(opened.directory.path);
    await again.log.close();
    await again.claim.release();
    expect((await readFile(file, "utf8")).trim()).toBe(again.directory.operatorToken);
    expect(again.directory.operatorToken).toMatch(/^operator-[\w-]{22}$/);
    expect(again.directory.operatorToken).not.toBe(before);
    expect(again.directory.token).toBe(opened.directory.token);
  }
});

test("a stored configuration with the field that exempted addresses loads, and the field is gone", () => {
  const { trust } = parseConfig({ trust: { limitLoopback: true, joinsPerMinute: 9 } });
  expect(trust).toMatchObject({ joinsPerMinute: 9 });
  expect(trust).not.toHaveProperty("limitLoopback");
});
