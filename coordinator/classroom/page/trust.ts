// Sees when this device trusts the certificate, by asking for something over https, and goes on where that is known.

const EVERY_MS = 2000;
const LATE_MS = 5000;
/** To read what has happened. */
const READ_MS = 1500;

const { goal, probe } = document.documentElement.dataset;
const trusted = document.getElementById("trusted");
const waiting = document.getElementById("waiting");

async function look(secure: string): Promise<void> {
  // What nobody looks at need not ask.
  if (document.visibilityState === "visible") {
    try {
      await fetch(secure, { mode: "no-cors", cache: "no-store", signal: AbortSignal.timeout(LATE_MS) });
      if (trusted) trusted.hidden = false;
      if (waiting) waiting.textContent = "";
      if (goal !== undefined) setTimeout(() => location.replace(goal), READ_MS);
      return;
    } catch {
      const then = goal === undefined ? "says so" : "goes on by itself";
      if (waiting) waiting.textContent = `This page ${then} as soon as your device trusts the certificate.`;
    }
  }
  setTimeout(() => void look(secure), EVERY_MS);
}

if (probe !== undefined) void look(probe);
