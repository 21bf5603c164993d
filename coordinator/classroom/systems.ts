// How a device is told to trust a certificate, on each system that lends GPUs in class rooms.

/** In the order of the page. */
export const systemNames = ["windows", "macos", "chromeos", "android", "ios", "linux", "firefox"] as const;
export type SystemName = (typeof systemNames)[number];

export interface System {
  readonly title: string;
  readonly steps: readonly string[];
  /** For whoever looks after many devices, or likes a terminal. */
  readonly command?: string;
  /** Where it is taken off again. */
  readonly undo: string;
}

/** @param file as the certificate is called where it was downloaded @param name as systems list it */
export function systemsFor(file: string, name: string): Readonly<Record<SystemName, System>> {
  return {
    windows: {
      title: "Windows: Chrome, Edge, Firefox",
      steps: [
        `Open ${file} and choose “Install Certificate…”.`,
        "Choose “Current User”, then “Place all certificates in the following store”, “Browse…”, “Trusted Root Certification Authorities”.",
        "Windows shows the fingerprint and asks: say Yes. Start the browser again.",
      ],
      command: `certutil -user -addstore Root ${file}`,
      undo: `certmgr.msc, Trusted Root Certification Authorities: delete “${name}”.`,
    },
    macos: {
      title: "macOS: Safari, Chrome, Edge, Firefox",
      steps: [
        `Open ${file}: Keychain Access adds it to the keychain “login”.`,
        `Find “${name}” there, open it, and under “Trust” set “Secure Sockets Layer (SSL)” to “Always Trust”.`,
      ],
      command: `security add-trusted-cert -r trustRoot -p ssl -k ~/Library/Keychains/login.keychain-db ${file}`,
      undo: `Keychain Access: delete “${name}”.`,
    },
    chromeos: {
      title: "ChromeOS (Chromebook)",
      steps: [
        "Type chrome://certificate-manager into the address bar (on older versions chrome://settings/certificates, “Authorities”).",
        `Under “Local certificates”, “Installed by you”, “Trusted Certificates” choose “Import” and take ${file}.`,
        "Where a school looks after the Chromebook, it can hand the file to all of them: Admin console, Devices, Networks, Certificates.",
      ],
      undo: `the same page: delete “${name}”.`,
    },
    android: {
      title: "Android: Chrome",
      steps: [
        "Open Settings and search for “CA certificate” (Security, Encryption & credentials, Install a certificate).",
        `Choose “Install anyway” and take ${file} from the downloads.`,
      ],
      undo: `Settings, “User credentials” or “Trusted credentials”, “User”: remove “${name}”.`,
    },
    ios: {
      title: "iPhone and iPad: Safari",
      steps: [
        "Allow the download. In Settings tap “Profile Downloaded” and “Install”.",
        `Then Settings, General, About, Certificate Trust Settings: switch “${name}” on.`,
      ],
      undo: `Settings, General, VPN & Device Management: remove “${name}”.`,
    },
    linux: {
      title: "Linux: Chromium, Chrome",
      steps: [
        "Type chrome://certificate-manager into the address bar.",
        `Under “Local certificates”, “Installed by you”, “Trusted Certificates” choose “Import” and take ${file}.`,
      ],
      command: `certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n "${name}" -i ${file}`,
      undo: `the same page: delete “${name}”.`,
    },
    firefox: {
      title: "Firefox on Linux and Android, or where it asks on its own",
      steps: [
        "Settings, “Privacy & Security”, “View Certificates…”, “Authorities”, “Import…”.",
        `Take ${file} and tick “Trust this CA to identify websites”.`,
      ],
      undo: `the same list: “Delete or Distrust…” for “${name}”.`,
    },
  };
}

/** The one whose steps a visitor needs, by what their browser says of itself; undefined where it does not say. */
export function systemOf(userAgent: string): SystemName | undefined {
  if (/CrOS/.test(userAgent)) return "chromeos";
  if (/iPhone|iPad|iPod/.test(userAgent)) return "ios";
  if (/Windows/.test(userAgent)) return "windows";
  if (/Macintosh/.test(userAgent)) return "macos";
  if (/Firefox\//.test(userAgent)) return "firefox";
  if (/Android/.test(userAgent)) return "android";
  return /Linux|X11/.test(userAgent) ? "linux" : undefined;
}
