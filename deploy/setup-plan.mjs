// Decides what this machine lacks and which commands bring it; pure, so that every kind of machine can be tested on one.

/** @typedef {import("./setup.d.mts").Probe} Probe */
/** @typedef {import("./setup.d.mts").Item} Item */
/** @typedef {import("./setup.d.mts").ItemName} ItemName */

export const fashionHome = "https://github.com/zalandoresearch/fashion-mnist";

/** The whole of Fashion-MNIST (arXiv:1708.07747): compressed sizes as published, hashes of the decompressed content. */
export const fashionFiles = [
  {
    name: "train-images-idx3-ubyte.gz",
    bytes: 26_421_880,
    sha256: "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
  },
  {
    name: "train-labels-idx1-ubyte.gz",
    bytes: 29_515,
    sha256: "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
  },
  {
    name: "t10k-images-idx3-ubyte.gz",
    bytes: 4_422_102,
    sha256: "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
  },
  {
    name: "t10k-labels-idx1-ubyte.gz",
    bytes: 5_148,
    sha256: "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
  },
];

const chromiumNames = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const icdFolders = ["/usr/share/vulkan/icd.d", "/usr/local/share/vulkan/icd.d", "/etc/vulkan/icd.d"];
const chromiumFolders = ["/usr/lib/chromium", "/usr/lib64/chromium", "/usr/lib/chromium-browser", "/opt/google/chrome"];
/** Debian's own, by which packages of any of its suites are signed. */
const debianKeys = "/usr/share/keyrings/debian-archive-keyring.gpg";
const softwareDriver = /^(lvp|vk_swiftshader)_icd.*\.json$/;

/**
 * Programs that only tests start, and that check what deploy/ has or what the coordinator writes. Debian's package of a
 * program that would begin to serve once it is installed is only unpacked, into a folder of the user's.
 * @type {readonly import("./setup.d.mts").TestTool[]}
 */
const testTools = [
  { name: "caddy", purpose: "the test of deploy/Caddyfile", unpacked: true },
  { name: "buildah", purpose: "the test of deploy/Dockerfile" },
  { name: "docker-compose", purpose: "the test of deploy/compose.yaml" },
  { name: "systemd-analyze", purpose: "the test of deploy/bitswarm.service" },
  { name: "certutil", purpose: "the class room's test, in which Chromium trusts a certificate" },
  { name: "promtool", purpose: "the test of /metrics", unpacked: true },
  { name: "ip", purpose: "tests that cut a cluster's network apart" },
  { name: "check-model", purpose: "the test of ONNX files, which the standard's own Python package checks" },
  // Debian 12's 2.9.10 cannot fence (nats-server#4320), and before 2.10.23 a kill loses streams (#6888).
  {
    name: "nats-server",
    purpose: "tests of runs on many machines",
    unpacked: true,
    least: "2.10.23",
    suite: "trixie",
    folder: "usr/sbin",
  },
];

/** Where packages are unpacked. @param {Pick<Probe, "home">} probe */
export function toolsFolder(probe) {
  return `${probe.home}/.cache/bitswarm/tools`;
}

/** @param {Pick<Probe, "env" | "home">} probe */
export function fashionFolders(probe) {
  const named = probe.env.BITSWARM_DATA;
  const standard = ["/usr/share/datasets/fashion-mnist", `${probe.home}/.cache/bitswarm/fashion-mnist`];
  return named ? [named, ...standard] : standard;
}

/**
 * @param {Probe} probe
 * @param {{ readonly tests?: boolean }} [wanted] `tests`: what `npm test` starts, too
 * @returns {import("./setup.d.mts").Plan}
 */
export function plan(probe, { tests = false } = {}) {
  const system = systemOf(probe);
  const tools = tests ? testTools.map((tool) => testTool(probe, tool)) : [];
  const machine = [chromium(probe), vulkanLoader(probe), vulkanDriver(probe), fashion(probe), deno(probe), cpu(probe)];
  const items = [...machine, ...tools];
  const missing = new Set(items.filter((item) => !item.present).map((item) => item.name));
  const toUnpack =
    system.installer === "apt-get" ? testTools.filter((tool) => tool.unpacked && missing.has(tool.name)) : [];
  /** @param {readonly import("./setup.d.mts").TestTool[]} tools */
  const packagesOf = (tools) => tools.flatMap(({ name }) => packageNames["apt-get"]?.[name] ?? []);
  const packages = packagesFor(system, probe, missing).filter((name) => !packagesOf(toUnpack).includes(name));
  // Whose own Debian has no package that is new enough: that of another suite, which runs there as well.
  const ofSuite = toUnpack.filter((tool) => tool.suite !== undefined && probe.exists(debianKeys));
  const unpacked = packagesOf(toUnpack.filter((tool) => !ofSuite.includes(tool)));
  const canInstall = system.installer === "apt-get" && probe.uid === 0 && packages.length > 0;
  return {
    items,
    packages,
    unpacked,
    unpackedOf: ofSuite.flatMap((tool) => {
      return packagesOf([tool]).map((name) => ({ suite: String(tool.suite), package: name }));
    }),
    canInstall,
    commands: commandsFor(system, probe, packages),
    hints: hintsFor(system, probe, missing),
  };
}

/**
 * @param {Probe} probe
 * @returns {Item}
 */
function chromium(probe) {
  const purpose = "browser workers and the browser tests";
  /** @param {boolean} present @param {string} detail @returns {Item} */
  const item = (present, detail) => ({ name: "chromium", present, purpose, detail });
  const named = probe.env.CHROMIUM_PATH;
  if (named)
    return item(
      probe.exists(named),
      probe.exists(named) ? named : `CHROMIUM_PATH names ${named}, which does not exist`,
    );
  let stub = "";
  for (const name of chromiumNames) {
    const path = probe.which(name);
    // Ubuntu's package is a script that only points at the snap, whose confinement hides temporary profiles.
    if (path && /\/snap\/bin\//.test(probe.read(path))) stub = path;
    else if (path) return item(true, path);
  }
  const place = applicationPaths(probe).find((path) => probe.exists(path));
  if (place) return item(true, place);
  return item(
    false,
    stub ? `${stub} only starts the snap` : `no ${chromiumNames.join(", ")} on PATH, and CHROMIUM_PATH is not set`,
  );
}

/** @param {Probe} probe */
function applicationPaths(probe) {
  if (probe.platform === "darwin") {
    return ["Google Chrome", "Chromium"].map((name) => `/Applications/${name}.app/Contents/MacOS/${name}`);
  }
  if (probe.platform === "win32") {
    const roots = [probe.env.PROGRAMFILES, probe.env["PROGRAMFILES(X86)"], probe.env.LOCALAPPDATA];
    return roots.filter(Boolean).map((root) => `${root}\\Google\\Chrome\\Application\\chrome.exe`);
  }
  return [];
}

/**
 * @param {Probe} probe
 * @returns {Item}
 */
function vulkanLoader(probe) {
  const purpose = "WebGPU in Deno";
  if (probe.platform !== "linux") return { name: "vulkan loader", present: true, purpose, detail: "not needed here" };
  const triplet = probe.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
  const folders = [`/usr/lib/${triplet}`, "/usr/lib64", "/usr/lib", "/lib64", "/usr/local/lib"];
  const found = folders.map((folder) => `${folder}/libvulkan.so.1`).find((path) => probe.exists(path));
  return { name: "vulkan loader", present: found !== undefined, purpose, detail: found ?? "no libvulkan.so.1" };
}

/**
 * @param {Probe} probe
 * @returns {Item}
 */
function vulkanDriver(probe) {
  const purpose = "WebGPU in Deno";
  /** @param {boolean} present @param {string} detail @returns {Item} */
  const item = (present, detail) => ({ name: "vulkan driver", present, purpose, detail });
  if (probe.platform !== "linux") return item(true, "the system's own");
  const installed = icdFolders.flatMap((folder) => probe.list(folder).map((name) => `${folder}/${name}`));
  const vendor = installed.find((path) => !softwareDriver.test(fileName(path)) && /icd.*\.json$/.test(fileName(path)));
  const node = probe.list("/dev/dri").find((name) => name.startsWith("renderD"));
  const nvidia = probe.exists("/dev/nvidiactl") && installed.find((path) => fileName(path).startsWith("nvidia"));
  if (nvidia) return item(true, `NVIDIA, ${nvidia}`);
  if (node && vendor) return item(true, `hardware, /dev/dri/${node}`);
  const beside = chromiumFolders
    .map((folder) => `${folder}/vk_swiftshader_icd.json`)
    .find((path) => probe.exists(path));
  const software = installed.find((path) => softwareDriver.test(fileName(path))) ?? beside;
  return software
    ? item(true, `software, ${software}`)
    : item(false, "no driver for a GPU here, and no software driver");
}

/** @param {string} path */
function fileName(path) {
  return path.slice(path.lastIndexOf("/") + 1);
}

/**
 * @param {Probe} probe
 * @returns {Item}
 */
function fashion(probe) {
  const purpose = "the default data set and the convergence tests";
  /** @param {string} folder @param {string} name */
  const has = (folder, name) =>
    (probe.size(`${folder}/${name}`) ?? probe.size(`${folder}/${name.slice(0, -3)}`) ?? 0) > 0;
  const folders = fashionFolders(probe);
  const found = folders.find((folder) => fashionFiles.every((file) => has(folder, file.name)));
  return {
    name: "fashion-mnist",
    present: found !== undefined,
    purpose,
    detail: found ?? `not in ${folders.join(" or ")}`,
  };
}

/**
 * @param {Probe} probe
 * @returns {Item}
 */
function deno(probe) {
  const purpose = "Deno workers";
  const target = `${probe.platform}-${probe.arch}${probe.platform === "linux" ? "-glibc" : ""}`;
  const program = probe.platform === "win32" ? "deno.exe" : "deno";
  const folder = probe.packageFolder(`@deno/${target}`);
  const path =
    folder && probe.exists(`${folder}/${program}`)
      ? `${folder}/${program}`
      : (probe.env.DENO_PATH ?? probe.which("deno"));
  const present = path !== undefined && probe.exists(path);
  return {
    name: "deno",
    present,
    purpose,
    detail: present ? String(path) : `the npm package @deno/${target} is not installed`,
  };
}

/**
 * @param {Probe} probe
 * @param {import("./setup.d.mts").TestTool} tool
 * @returns {Item}
 */
function testTool(probe, { name, purpose, least, folder = "usr/bin" }) {
  if (probe.platform !== "linux") return { name, present: true, purpose, detail: "not needed here" };
  const unpacked = `${toolsFolder(probe)}/${folder}/${name}`;
  const places = [probe.which(name), probe.exists(unpacked) ? unpacked : undefined].filter((at) => at !== undefined);
  const found = places.find((at) => least === undefined || !isOlder(probe.version(at), least));
  if (found !== undefined) return { name, present: true, purpose, detail: found };
  const old = places.map((at) => `${at} is ${probe.version(at) || "of no version that it tells"}`).join(", ");
  const detail = old === "" ? `no ${name} on PATH` : `${old}; ${least} or later is needed`;
  return { name, present: false, purpose, detail };
}

/** Whether a version, of three numbers, is before another. @param {string} version @param {string} least */
function isOlder(version, least) {
  const numbers = /(\d+)\.(\d+)\.(\d+)/.exec(version)?.slice(1).map(Number) ?? [0, 0, 0];
  const wanted = least.split(".").map(Number);
  const at = wanted.findIndex((number, i) => number !== numbers[i]);
  return at >= 0 && numbers[at] < wanted[at];
}

/**
 * @param {Probe} probe
 * @returns {Item}
 */
function cpu(probe) {
  const purpose = "WebAssembly SIMD, and software adapters";
  if (probe.platform !== "linux" || probe.arch !== "x64") {
    return { name: "cpu", present: true, purpose, detail: probe.arch };
  }
  const flags = new Set((/^flags\s*:(.*)$/m.exec(probe.read("/proc/cpuinfo"))?.[1] ?? "").trim().split(/\s+/));
  const known = ["sse4_1", "popcnt", "avx2", "fma", "avx512f"].filter((flag) => flags.has(flag));
  // A file system without /proc says nothing about the processor: only a list without SSE4.1 does.
  const present = flags.size < 2 || flags.has("sse4_1");
  return {
    name: "cpu",
    present,
    purpose,
    detail: present ? known.join(" ") || "unknown" : "this processor has no SSE4.1",
  };
}

/** @param {Probe} probe */
function systemOf(probe) {
  const release = probe.platform === "linux" ? probe.read("/etc/os-release") : "";
  /** @param {string} key */
  const value = (key) => new RegExp(`^${key}="?([^"\n]*)`, "m").exec(release)?.[1] ?? "";
  const names = `${value("ID")} ${value("ID_LIKE")}`.split(" ");
  const ubuntu = names.includes("ubuntu");
  const installer =
    names.includes("debian") || ubuntu
      ? probe.which("apt-get") && "apt-get"
      : names.includes("fedora")
        ? "dnf"
        : names.includes("arch")
          ? "pacman"
          : probe.platform === "darwin"
            ? "brew"
            : probe.platform === "win32"
              ? "winget"
              : undefined;
  return { installer, ubuntu };
}

/** @type {Readonly<Record<string, Partial<Record<ItemName, string>>>>} */
const packageNames = {
  "apt-get": {
    chromium: "chromium",
    "vulkan loader": "libvulkan1",
    "vulkan driver": "mesa-vulkan-drivers",
    "fashion-mnist": "dataset-fashion-mnist",
    caddy: "caddy",
    buildah: "buildah",
    "docker-compose": "docker-compose",
    "systemd-analyze": "systemd",
    certutil: "libnss3-tools",
    promtool: "prometheus",
    ip: "iproute2",
    "check-model": "python3-onnx",
    "nats-server": "nats-server",
  },
  dnf: {
    chromium: "chromium",
    "vulkan loader": "vulkan-loader",
    "vulkan driver": "mesa-vulkan-drivers",
    caddy: "caddy",
    buildah: "buildah",
    "docker-compose": "docker-compose",
    "systemd-analyze": "systemd",
    certutil: "nss-tools",
    promtool: "golang-github-prometheus",
    ip: "iproute",
    "check-model": "python3-onnx",
  },
  pacman: {
    chromium: "chromium",
    "vulkan loader": "vulkan-icd-loader",
    "vulkan driver": "vulkan-swrast",
    caddy: "caddy",
    buildah: "buildah",
    "docker-compose": "docker-compose",
    "systemd-analyze": "systemd",
    certutil: "nss",
    promtool: "prometheus",
    ip: "iproute2",
    "check-model": "python-onnx",
    "nats-server": "nats-server",
  },
  brew: { chromium: "--cask google-chrome" },
  winget: { chromium: "Google.Chrome" },
};

/** @param {ReturnType<typeof systemOf>} system @param {Probe} probe @param {ReadonlySet<ItemName>} missing */
function packagesFor(system, probe, missing) {
  const names = packageNames[system.installer ?? ""] ?? {};
  return [...missing].flatMap((name) => {
    const useless = name === "chromium" && (system.ubuntu || probe.env.CHROMIUM_PATH);
    return names[name] && !useless ? [names[name]] : [];
  });
}

/** @param {ReturnType<typeof systemOf>} system @param {Probe} probe @param {readonly string[]} packages */
function commandsFor(system, probe, packages) {
  if (packages.length === 0) return [];
  const sudo = probe.uid === 0 ? "" : "sudo ";
  const list = packages.join(" ");
  switch (system.installer) {
    case "apt-get":
      return [`${sudo}apt-get update`, `${sudo}apt-get install -y --no-install-recommends ${list}`];
    case "dnf":
      return [`${sudo}dnf install -y ${list}`];
    case "pacman":
      return [`${sudo}pacman -S --needed ${list}`];
    default:
      return [`${system.installer} install ${list}`];
  }
}

/** @param {ReturnType<typeof systemOf>} system @param {Probe} probe @param {ReadonlySet<ItemName>} missing */
function hintsFor(system, probe, missing) {
  const hints = [];
  if (missing.has("chromium")) {
    if (probe.env.CHROMIUM_PATH) hints.push("unset CHROMIUM_PATH, or let it name the program of an installed Chromium");
    else if (system.ubuntu) {
      hints.push(
        "Ubuntu's package chromium is only a snap, which cannot be driven from here: install google-chrome-stable from https://www.google.com/chrome/, or let CHROMIUM_PATH name a Chromium",
      );
    } else if (!system.installer)
      hints.push("install Chromium or Google Chrome, or let CHROMIUM_PATH name its program");
  }
  if ((missing.has("vulkan loader") || missing.has("vulkan driver")) && !system.installer)
    hints.push("install the Vulkan loader and your GPU's driver, or Mesa's lavapipe");
  if (missing.has("fashion-mnist")) {
    const files = fashionFiles.map((file) => file.name).join(", ");
    hints.push(
      `Fashion-MNIST: ${files} from ${fashionHome} (data/fashion/) into ${fashionFolders(probe).at(-1)}, or let BITSWARM_DATA name their folder`,
    );
  }
  if (missing.has("deno"))
    hints.push(
      "deno comes with `npm ci`; where npm has no build of it for this system, use --runtime browser or let DENO_PATH name the program",
    );
  if (missing.has("nats-server")) {
    hints.push(
      "nats-server 2.10.23 or later: Debian 13's package, or the program from https://github.com/nats-io/nats-server/releases on PATH",
    );
  }
  if (missing.has("cpu")) hints.push("a processor of this age cannot run the workers: use another machine");
  return hints;
}
