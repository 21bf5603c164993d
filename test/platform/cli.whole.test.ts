// Rules of the program `worker`, run as a person runs it: built, in a process of its own.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { builtProgram } from "../fixtures/programs.ts";
import { type PageServer, servePage } from "./fixtures/page-server.ts";
import { commandLine, descendants, environment, survivors } from "./fixtures/processes.ts";

const children: ChildProcess[] = [];
let server: PageServer;
beforeAll(async () => {
  server = await servePage();
});
afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  await server.close();
});

function start(parameters: string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [builtProgram("worker"), ...parameters], { env: { ...process.env, ...env } });
  children.push(child);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    stderr += text;
  });
  const exit = once(child, "close").then(([code]) => ({ code, stdout, stderr }));
  const said = async (text: string) => {
    while (!stderr.includes(text) && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(stderr).toContain(text);
  };
  return { child, exit, said };
}

test("worker join --json prints a line for every worker that joined or ended, and ends with the run", async () => {
  const parameters = ["join", server.link("ends"), "--runtime", "browser", "--name", "attic", "--json"];
  const { code, stdout, stderr } = await start(parameters).exit;
  expect(code, stderr).toBe(0);
  expect(
    stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)),
  ).toEqual([
    { event: "joined", runtime: "browser", slot: 1, worker: "attic" },
    { event: "ended", runtime: "browser", slot: 1 },
  ]);
});

test.concurrent.each([
  { how: "SIGINT", leave: (child: ReturnType<typeof start>["child"]) => child.kill("SIGINT"), flags: [] },
  { how: "SIGTERM", leave: (child: ReturnType<typeof start>["child"]) => child.kill("SIGTERM"), flags: [] },
  {
    how: "the end of its input",
    leave: (child: ReturnType<typeof start>["child"]) => child.stdin.end(),
    flags: ["--parent-watch"],
  },
])("worker join leaves on $how with exit code 0 and takes the browser along", async ({ leave, flags }) => {
  const { child, exit, said } = start(["join", server.link("stays"), "--runtime", "browser", ...flags]);
  await said("joined as w1");
  const pids = descendants(child.pid!);
  leave(child);
  expect(await exit).toMatchObject({ code: 0, stdout: "" });
  expect(await survivors(pids, 30_000)).toEqual([]);
});

test.concurrent("worker join --throttle tells its pages, and on SIGUSR1 they finish and it ends with 0", async () => {
  const { child, exit, said } = start(["join", server.link("finishes"), "--runtime", "browser", "--throttle", "0.5"]);
  await said("joined as w1");
  expect(server.opened.find((search) => search.includes("finishes"))).toContain("throttle=0.5");
  child.kill("SIGUSR1");
  await said("has answered what it held, and left");
  expect((await exit).code).toBe(0);
});

test.concurrent.each([
  [["join", "nonsense"], "error CONFIG_INVALID: "],
  [["join", "http://127.0.0.1:8080/"], "error TOKEN_INVALID: "],
  [["join", "http://127.0.0.1:8080/?token=t", "--count", "0"], "It must be a whole number from 1 to 64."],
  [["join", "http://127.0.0.1:8080/?token=t", "--throttle", "0"], "It must be a number from 0.1 to 1."],
  [["join", "http://127.0.0.1:8080/?token=t", "--runtime", "firefox"], "Allowed choices are auto, deno, browser."],
  [["join"], "error CONFIG_INVALID: there is no link: give the one that the coordinator printed"],
  [["leave"], "unknown command"],
])("worker %j fails with %s", async (parameters, message) => {
  const { code, stdout, stderr } = await start(parameters).exit;
  expect(stderr).toContain(message);
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
});

test("worker join takes its link from standard input or from BITSWARM_LINK, which what it starts does not inherit", async () => {
  const piped = start(["join", "-", "--runtime", "browser", "--parent-watch"]);
  piped.child.stdin.write(`${server.link("stays")}\n`);
  await piped.said("joined as w1");
  piped.child.stdin.end();
  expect((await piped.exit).code).toBe(0);
  const told = start(["join", "--runtime", "browser"], { BITSWARM_LINK: server.link("stays") });
  await told.said("joined as w1");
  for (const pid of descendants(told.child.pid!)) {
    expect(environment(pid)).not.toContain("BITSWARM_LINK");
    expect(commandLine(pid)).not.toContain("token=");
  }
  told.child.kill("SIGTERM");
  expect((await told.exit).code).toBe(0);
});

test("worker join --runtime browser without a browser says what to do", async () => {
  const env = { CHROMIUM_PATH: "/nowhere/chromium" };
  const { code, stderr } = await start(["join", server.link("ends"), "--runtime", "browser"], env).exit;
  expect({ code, stderr }).toEqual({
    code: 1,
    stderr: "error RUNTIME_MISSING: CHROMIUM_PATH names /nowhere/chromium, which does not exist: correct or unset it\n",
  });
});

test("worker --help, worker join --help and worker doctor --help show examples", async () => {
  for (const [parameters, command] of [
    [["--help"], "join"],
    [["join", "--help"], "join"],
    [["doctor", "--help"], "doctor"],
  ] as const) {
    const { code, stdout } = await start([...parameters]).exit;
    expect(code).toBe(0);
    expect(stdout).toContain(`$ npx worker ${command} "http://192.168.1.20:8080/?token=TOKEN"`);
  }
});
