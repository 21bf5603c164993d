// What deploy/ has for servers beside Caddy, each by its own tool: the unit by systemd, the compose file by Compose;
// and the image is built and started.

import { spawn, spawnSync } from "node:child_process";
import { cpSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { installPackage } from "../fixtures/installed-package.ts";
import { writeNoiseImages } from "../fixtures/noise-images.ts";
import { scratchFolder, tinyConfig } from "../fixtures/test-run.ts";
import { notOnLinux, testTool } from "../fixtures/test-tool.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const deploy = path.join(root, "deploy");

function run(program: string, parameters: readonly string[], options: { env?: NodeJS.ProcessEnv; cwd?: string } = {}) {
  const { env = {}, cwd = root } = options;
  const parent = { ...process.env, ...env };
  return spawnSync(program, parameters, { encoding: "utf8", env: parent, cwd, maxBuffer: 1 << 26 });
}

describe.skipIf(notOnLinux)("bitswarm.service", () => {
  const unit = path.join(deploy, "bitswarm.service");

  test("is a unit that systemd understands whole", () => {
    const { status, stdout, stderr } = run(testTool("systemd-analyze"), ["verify", unit]);
    expect({ status, said: stdout + stderr }).toEqual({ status: 0, said: "" });
  });

  test("lets the coordinator do little else than serve: its exposure is at most 2 of 10", () => {
    const flags = ["security", "--offline=true", "--threshold=20", "--no-pager", unit];
    const { status, stdout, stderr } = run(testTool("systemd-analyze"), flags);
    expect(status, stdout.slice(-300) + stderr).toBe(0);
  });
});

describe.skipIf(notOnLinux)("compose.yaml", () => {
  const compose = (env: NodeJS.ProcessEnv) =>
    run(testTool("docker-compose"), ["-f", path.join(deploy, "compose.yaml"), "config"], { env });

  test("is what Compose reads, with the coordinator in the proxy's network alone", () => {
    const { status, stdout, stderr } = compose({ BITSWARM_SITE: "example.org" });
    expect(status, stderr).toBe(0);
    expect(stdout).toContain("BITSWARM_PUBLIC_URL: https://example.org/");
    expect(stdout).toContain("network_mode: service:caddy");
    expect(stdout).toContain("--behind-proxy");
  });

  test("asks for the site's name where there is none", () => {
    const { status, stderr } = compose({ BITSWARM_SITE: "" });
    expect(status).not.toBe(0);
    expect(stderr).toContain("the name that volunteers open");
  });
});

/** Puts programs into a folder that becomes an image's root: themselves, their libraries, the loader. */
function putPrograms(programs: readonly string[], into: string): void {
  for (const program of programs) {
    const libraries = [...run("ldd", [program]).stdout.matchAll(/(\/\S+) \(0x/g)].map(([, file]) => file);
    for (const file of [program, ...libraries]) cpSync(file, path.join(into, file), { dereference: true });
  }
}

/** What the build of the image leaves, made here by this machine's npm. */
async function putBuilt(into: string): Promise<void> {
  const { folder } = await installPackage(await scratchFolder(), ["--omit=optional"]);
  cpSync(path.join(folder, "node_modules"), path.join(into, "app", "node_modules"), { recursive: true });
}

test.skipIf(notOnLinux)(
  "the image of the Dockerfile begins a run as nobody in particular, and goes on with it when it was killed",
  { timeout: 600_000 },
  async () => {
    const folder = await scratchFolder();
    const storage = ["--root", path.join(folder, "storage"), "--runroot", path.join(folder, "state")];
    const general = [...storage, "--storage-driver", "vfs"];
    const program = testTool("buildah");
    const buildah = (...parameters: string[]) => {
      const result = run(program, [...general, ...parameters]);
      expect(result.status, result.stderr).toBe(0);
      return result.stdout.trim();
    };
    const build = (...parameters: string[]) => buildah("build", "--isolation", "chroot", ...parameters);

    // In place of node:22, which no test fetches: this machine's Node, and what a shell script calls.
    const base = path.join(folder, "base");
    putPrograms([process.execPath, "/bin/sh", "/bin/ls", "/bin/mkdir", "/bin/chown", "/usr/bin/dirname"], base);
    if (process.execPath !== "/usr/bin/node") cpSync(process.execPath, path.join(base, "usr/bin/node"));
    writeFileSync(path.join(folder, "base.file"), "FROM scratch\nCOPY . /\n");
    build("-f", path.join(folder, "base.file"), "-t", "localhost/node", base);
    const built = path.join(folder, "built");
    await putBuilt(built);
    const stage = ["--build-context", `build=${built}`, "--build-arg", "NODE=localhost/node"];
    build(...stage, "-f", path.join(deploy, "Dockerfile"), "-t", "localhost/bitswarm", built);

    const container = buildah("from", "localhost/bitswarm");
    const { OCIv1 } = JSON.parse(buildah("inspect", container)) as {
      readonly OCIv1: {
        readonly config: { readonly Entrypoint: string[]; readonly Cmd: string[]; readonly User: string };
      };
    };
    const { Entrypoint, Cmd, User } = OCIv1.config;
    expect({ User, Cmd: Cmd[0] }).toEqual({ User: "1000:1000", Cmd: "/runs/run" });
    const data = path.join(folder, "data");
    await writeNoiseImages(data);
    const config = { ...tinyConfig, data: { kind: "idx", root: "/data" } };
    writeFileSync(path.join(data, "run.yaml"), JSON.stringify(config));
    const begin = async () => {
      const command = [...Entrypoint, "/runs/run", "/data/run.yaml", "--workers", "0", "--port", "0"];
      const mounts = ["--volume", `${data}:/data:ro`];
      const child = spawn(program, [
        ...general,
        "run",
        "--isolation",
        "chroot",
        ...mounts,
        container,
        "--",
        ...command,
      ]);
      const gone = new Promise<void>((resolve) => child.once("close", () => resolve()));
      let said = "";
      const link = await new Promise<string>((resolve, reject) => {
        for (const stream of [child.stdout, child.stderr]) {
          stream.on("data", (part) => {
            said += part;
            const [found] = /http:\S+\?token=\S+/.exec(said) ?? [];
            // The first checkpoint is there once it says what it waits for.
            if (found !== undefined && /nobody has joined/.test(said)) resolve(found);
          });
        }
        void gone.then(() => reject(new Error(`it ended: ${said}`)));
      });
      const { status } = await fetch(link);
      child.kill("SIGTERM");
      await gone;
      return { said, status, token: new URL(link).searchParams.get("token") };
    };
    const first = await begin();
    const second = await begin();
    expect([first.status, second.status]).toEqual([200, 200]);
    expect(second.token).toBe(first.token);
    expect(first.said).toContain("checkpoint of step 0");
    expect(second.said).not.toContain("checkpoint of step 0");
  },
);
