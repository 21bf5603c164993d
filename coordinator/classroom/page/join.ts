// Keeps the slide up to date: how many are in, and how far the run is.

/** As GET /status says it, so far as it is shown. */
interface Status {
  readonly state: string;
  readonly workers: number;
  readonly step: number;
  readonly steps: number;
  readonly samplesPerSecond: number;
}

const EVERY_MS = 2000;
const LATE_MS = 10_000;

function element(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the slide has no #${id}`);
  return found;
}

/** What is not another text is not said again by a screen reader. */
function say(id: string, text: string): void {
  const found = element(id);
  if (found.textContent !== text) found.textContent = text;
}

function show({ state, workers, step, steps, samplesPerSecond }: Status): void {
  say("workers", String(workers));
  say("noun", workers === 1 ? "GPU is" : "GPUs are");
  const speed = samplesPerSecond > 0 ? `, ${Math.round(samplesPerSecond)} images a second` : "";
  say("progress", state === "done" ? "The training is done. Thank you!" : `Step ${step} of ${steps}${speed}`);
}

async function look(): Promise<void> {
  try {
    const response = await fetch(`./status${location.search}`, { signal: AbortSignal.timeout(LATE_MS) });
    if (!response.ok) throw new Error(String(response.status));
    show((await response.json()) as Status);
  } catch {
    say("progress", "The computer that runs this does not answer just now.");
  }
  setTimeout(look, EVERY_MS);
}

/** A projector must not go dark while people get in. */
async function stayAwake(): Promise<void> {
  if (document.visibilityState !== "visible") return;
  await navigator.wakeLock?.request("screen").catch(() => undefined);
}

const root = document.documentElement;
element("theme").addEventListener("click", () => {
  const dark =
    root.dataset.theme === undefined
      ? matchMedia("(prefers-color-scheme: dark)").matches
      : root.dataset.theme === "dark";
  root.dataset.theme = dark ? "light" : "dark";
});
const full = element("full");
if (!document.fullscreenEnabled) full.hidden = true;
full.addEventListener("click", () => {
  if (document.fullscreenElement) void document.exitFullscreen();
  else void root.requestFullscreen().catch(() => undefined);
});
document.addEventListener("fullscreenchange", () => {
  full.textContent = document.fullscreenElement ? "Leave full screen" : "Full screen";
});
document.addEventListener("visibilitychange", () => void stayAwake());
void stayAwake();
void look();
