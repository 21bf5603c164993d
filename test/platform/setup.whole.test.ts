// Rules of the set-up script: what it decides for each kind of machine, and what it does on this one.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import {
  downloadFashion,
  fashionFiles,
  fashionFolders,
  type ItemName,
  machineProbe,
  type Plan,
  type Probe,
  plan,
  toolsFolder,
} from "../../deploy/setup.mjs";

const debian = 'ID=debian\nVERSION_ID="12"\n';
const ubuntu = "ID=ubuntu\nID_LIKE=debian\n";
const fashion = "/usr/share/datasets/fashion-mnist";
const complete = {
  "/usr/bin/chromium": "ELF",
  "/usr/bin/apt-get": "ELF",
  "/usr/lib/x86_64-linux-gnu/libvulkan.so.1": "ELF",
  "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json": "{}",
  "/etc/os-release": debian,
  "/proc/cpuinfo": "flags\t\t: sse4_1 popcnt avx2\n",
  "/app/node_modules/@deno/linux-x64-glibc/deno": "ELF",
  ...Object.fromEntries(fashionFiles.map((file) => [`${fashion}/${file.name}`, "gz"])),
};

interface Machine {
  readonly without?: readonly string[];
  readonly files?: Readonly<Record<string, string>>;
  readonly probe?: Partial<Probe>;
}

/** A complete Debian machine for root, less the files that `without` begins, plus some. */
function machine({ without = [], files = {}, probe = {} }: Machine = {}): Probe {
  const kept = Object.entries(complete).filter(([file]) => !without.some((start) => file.startsWith(start)));
  const disk = new Map([...kept, ...Object.entries(files)]);
  return {
    platform: "linux",
    arch: "x64",
    uid: 0,
    home: "/root",
    env: {},
    exists: (file) => disk.has(file),
    size: (file) => disk.get(file)?.length,
    list: (directory) =>
      [...disk.keys()].filter((file) => path.dirname(file) === directory).map((file) => path.basename(file)),
    read: (file) => disk.get(file) ?? "",
    which: (name) => [`/usr/bin/${name}`, `/bin/${name}`].find((file) => disk.has(file)),
    version: (program) => /\d+\.\d+\.\d+/.exec(disk.get(program) ?? "")?.[0] ?? "",
    packageFolder: (name) => (disk.has(`/app/node_modules/${name}/deno`) ? `/app/node_modules/${name}` : undefined),
    ...probe,
  };
}

const missing = (decided: Plan): ItemName[] => decided.items.filter((item) => !item.present).map((item) => item.name);
const install = "apt-get install -y --no-install-recommends";

describe("plan", () => {
  test("has nothing to do on a complete machine", () => {
    expect(plan(machine())).toMatchObject({ packages: [], canInstall: false, commands: [], hints: [] });
    expect(missing(plan(machine()))).toEqual([]);
  });

  test("installs on Debian as root, in one command", () => {
    const bare = plan(machine({ without: ["/usr/bin/chromium", "/usr/lib/x86", "/usr/share/"] }));
    expect(missing(bare)).toEqual(["chromium", "vulkan loader", "vulkan driver", "fashion-mnist"]);
    expect(bare.canInstall).toBe(true);
    expect(bare.commands).toEqual([
      "apt-get update",
      `${install} chromium libvulkan1 mesa-vulkan-drivers dataset-fashion-mnist`,
    ]);
  });

  test("only prints, with sudo, for anyone but root", () => {
    const asUser = plan(machine({ without: ["/usr/bin/chromium"], probe: { uid: 1000 } }));
    expect(asUser.canInstall).toBe(false);
    expect(asUser.commands).toEqual(["sudo apt-get update", `sudo ${install} chromium`]);
  });

  test("names Chrome on Ubuntu, where the package and its program only start a snap", () => {
    const stub = { "/usr/bin/chromium-browser": "#!/bin/sh\nexec /snap/bin/chromium\n", "/etc/os-release": ubuntu };
    const decided = plan(machine({ without: ["/usr/bin/chromium", "/usr/share/datasets"], files: stub }));
    expect(missing(decided)).toEqual(["chromium", "fashion-mnist"]);
    expect(decided.packages).toEqual(["dataset-fashion-mnist"]);
    expect(decided.hints.join("\n")).toMatch(/snap.*google-chrome-stable/);
    expect(missing(plan(machine({ files: { ...stub, "/usr/bin/google-chrome": "ELF" } })))).toEqual([]);
  });

  test.each([
    ["ID=fedora\n", "sudo dnf install -y chromium"],
    ['ID=manjaro\nID_LIKE="arch"\n', "sudo pacman -S --needed chromium"],
  ])("knows the installer of %j", (release, command) => {
    const files = { "/etc/os-release": release };
    const decided = plan(machine({ without: ["/usr/bin/chromium"], files, probe: { uid: 1000 } }));
    expect(decided).toMatchObject({ canInstall: false, commands: [command] });
  });

  test("wants no Vulkan on macOS, and finds Chrome among the applications", () => {
    const probe = { platform: "darwin", arch: "arm64", uid: 501, home: "/Users/me" };
    const bare = plan(machine({ without: ["/usr", "/app", "/etc"], probe }));
    expect(missing(bare)).toEqual(["chromium", "fashion-mnist", "deno"]);
    expect(bare.commands).toEqual(["brew install --cask google-chrome"]);
    const chrome = { "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome": "" };
    expect(missing(plan(machine({ without: ["/usr", "/app", "/etc"], files: chrome, probe })))).not.toContain(
      "chromium",
    );
  });

  test("takes CHROMIUM_PATH and BITSWARM_DATA at their word, and installs nothing for a wrong one", () => {
    const wrong = plan(machine({ probe: { env: { CHROMIUM_PATH: "/opt/none" } } }));
    expect(missing(wrong)).toEqual(["chromium"]);
    expect(wrong).toMatchObject({ packages: [], canInstall: false });
    expect(wrong.hints).toEqual(["unset CHROMIUM_PATH, or let it name the program of an installed Chromium"]);
    const files = Object.fromEntries(fashionFiles.map((file) => [`/data/${file.name.slice(0, -3)}`, "idx"]));
    const own = machine({ without: [fashion], files, probe: { env: { BITSWARM_DATA: "/data" } } });
    expect(plan(own).items.find((item) => item.name === "fashion-mnist")).toMatchObject({
      present: true,
      detail: "/data",
    });
  });

  test("says where the four files come from and belong when one is missing", () => {
    const decided = plan(machine({ without: [`${fashion}/t10k`] }));
    expect(missing(decided)).toEqual(["fashion-mnist"]);
    const [hint] = decided.hints;
    for (const file of fashionFiles) expect(hint).toContain(file.name);
    expect(hint).toMatch(
      /github\.com\/zalandoresearch\/fashion-mnist.*\/root\/\.cache\/bitswarm\/fashion-mnist.*BITSWARM_DATA/,
    );
  });

  test("counts a GPU only with its driver, and any software driver without one", () => {
    const none = ["/usr/share/vulkan"];
    const driver = (files: Readonly<Record<string, string>>) =>
      plan(machine({ without: none, files })).items.find((item) => item.name === "vulkan driver");
    expect(driver({})?.present).toBe(false);
    expect(driver({ "/dev/dri/renderD128": "" })?.present).toBe(false);
    expect(driver({ "/dev/dri/renderD128": "", "/usr/share/vulkan/icd.d/radeon_icd.x86_64.json": "{}" })).toMatchObject(
      {
        present: true,
        detail: "hardware, /dev/dri/renderD128",
      },
    );
    expect(driver({ "/usr/lib/chromium/vk_swiftshader_icd.json": "{}" })).toMatchObject({ present: true });
  });

  test("wants what only tests start where tests are to run, and unpacks what would begin to serve", () => {
    const bare = machine({ files: { "/usr/bin/systemd-analyze": "ELF" } });
    expect(missing(plan(bare))).toEqual([]);
    const forTests = plan(bare, { tests: true });
    expect(missing(forTests)).toEqual([
      "caddy",
      "buildah",
      "docker-compose",
      "certutil",
      "promtool",
      "ip",
      "check-model",
      "nats-server",
    ]);
    expect(forTests).toMatchObject({
      packages: ["buildah", "docker-compose", "libnss3-tools", "iproute2", "python3-onnx"],
      unpacked: ["caddy", "prometheus", "nats-server"],
      canInstall: true,
    });
    const installed = ["buildah", "docker-compose", "certutil", "ip", "check-model"];
    const tools = installed.map((name) => [`/usr/bin/${name}`, "ELF"]);
    const programs = `${toolsFolder({ home: "/root" })}/usr/bin`;
    const unpacked = [
      ...[`${programs}/caddy`, `${programs}/promtool`, "/usr/bin/systemd-analyze"].map((path) => [path, "ELF"]),
      [path.join(toolsFolder({ home: "/root" }), "usr/sbin/nats-server"), "nats-server: v2.10.27"],
    ];
    expect(missing(plan(machine({ files: Object.fromEntries([...tools, ...unpacked]) }), { tests: true }))).toEqual([]);
    const fedora = machine({ files: { "/etc/os-release": "ID=fedora\n" }, probe: { uid: 1000 } });
    expect(plan(fedora, { tests: true })).toMatchObject({
      unpacked: [],
      commands: [
        "sudo dnf install -y caddy buildah docker-compose systemd nss-tools golang-github-prometheus iproute python3-onnx",
      ],
    });
  });

  test("takes a nats-server that can fence, and Debian 13's where this Debian has none", () => {
    const keys = { "/usr/share/keyrings/debian-archive-keyring.gpg": "keys" };
    const found = (version: string) => {
      const files = { ...keys, "/usr/bin/nats-server": `nats-server: v${version}` };
      const decided = plan(machine({ files }), { tests: true });
      return { item: decided.items.find(({ name }) => name === "nats-server"), unpackedOf: decided.unpackedOf };
    };
    for (const version of ["2.10.23", "2.11.0", "3.0.0"])
      expect(found(version)).toMatchObject({ item: { present: true }, unpackedOf: [] });
    for (const version of ["2.9.10", "2.10.22", "1.99.99"]) {
      const { item, unpackedOf } = found(version);
      expect(item).toMatchObject({ present: false, detail: expect.stringContaining(`is ${version}; 2.10.23`) });
      expect(unpackedOf).toEqual([{ suite: "trixie", package: "nats-server" }]);
    }
  });

  test("names a processor that is too old only when the processor says so", () => {
    expect(missing(plan(machine({ files: { "/proc/cpuinfo": "flags : sse2 ssse3\n" } })))).toEqual(["cpu"]);
    expect(missing(plan(machine({ without: ["/proc"] })))).toEqual([]);
  });
});

describe("setup", () => {
  const script = fileURLToPath(new URL("../../deploy/setup.mjs", import.meta.url));
  const run = (parameters: string[], env: NodeJS.ProcessEnv = {}) =>
    spawnSync(process.execPath, [script, ...parameters], { encoding: "utf8", env: { ...process.env, ...env } });

  test("is silent where all is there, and lists everything when asked", () => {
    for (const tests of [false, true]) {
      const flags = ["--check", ...(tests ? ["--tests"] : [])];
      expect(run(flags)).toMatchObject({ status: 0, stdout: "" });
      const lines = run([...flags, "--verbose"])
        .stdout.trim()
        .split("\n");
      expect(lines).toHaveLength(plan(machineProbe(), { tests }).items.length);
    }
  });

  test("--check reports what is missing, with exit code 1, and changes nothing", () => {
    const home = mkdtempSync(path.join(tmpdir(), "bitswarm-test-"));
    onTestFinished(() => rmSync(home, { recursive: true }));
    const result = run(["--check"], { CHROMIUM_PATH: "/nowhere/chromium", HOME: home });
    expect(result.status).toBe(1);
    expect(result.stdout).toMatch(/^setup: MISSING chromium \(.*\): CHROMIUM_PATH names \/nowhere\/chromium/);
    expect(readdirSync(home)).toEqual([]);
  });

  test("refuses an option that it does not know", () => {
    expect(run(["--force"])).toMatchObject({ status: 2, stdout: expect.stringContaining("--force is not an option") });
  });
});

describe("downloadFashion", () => {
  const served = new Map<string, Buffer>();
  beforeAll(() => {
    const probe = machineProbe();
    const source = fashionFolders(probe).find((folder) => existsSync(path.join(folder, fashionFiles[0]!.name)));
    if (source === undefined) throw new Error("Fashion-MNIST is not on this machine: run `npm run setup`");
    for (const file of fashionFiles) served.set(`/${file.name}`, readFileSync(path.join(source, file.name)));
  });

  async function mirror(files: ReadonlyMap<string, Buffer>): Promise<{ base: string; folder: string }> {
    const server = createServer((request, response) => {
      const body = files.get(request.url ?? "");
      response.writeHead(body ? 200 : 404).end(body);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const home = mkdtempSync(path.join(tmpdir(), "bitswarm-test-"));
    onTestFinished(() => {
      server.close();
      rmSync(home, { recursive: true });
    });
    const { port } = server.address() as AddressInfo;
    return { base: `http://127.0.0.1:${port}`, folder: path.join(home, "cache/fashion-mnist") };
  }

  test("puts the four files in place", async () => {
    const { base, folder } = await mirror(served);
    await downloadFashion(folder, base);
    expect(readdirSync(folder).sort()).toEqual(fashionFiles.map((file) => file.name).sort());
    expect(readdirSync(path.dirname(folder))).toEqual(["fashion-mnist"]);
  });

  test("leaves nothing behind when one file has another content or is not there", async () => {
    const name = "/t10k-labels-idx1-ubyte.gz";
    const forged = await mirror(new Map([...served, [name, gzipSync(Buffer.alloc(10_008))]]));
    await expect(downloadFashion(forged.folder, forged.base)).rejects.toThrow(/t10k-labels.* has the content/);
    const partial = await mirror(new Map([...served].filter(([file]) => file !== name)));
    await expect(downloadFashion(partial.folder, partial.base)).rejects.toThrow(/t10k-labels.* answered 404/);
    expect([forged, partial].flatMap(({ folder }) => readdirSync(path.dirname(folder)))).toEqual([]);
  });
});
