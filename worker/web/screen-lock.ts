// Keeps the screen on while it is wanted. Browsers take the lock back whenever the page is not seen, and give it anew.

export class ScreenLock {
  #wanted = false;
  #lock: WakeLockSentinel | undefined;
  #asking = false;

  static get possible(): boolean {
    return "wakeLock" in navigator;
  }

  /** May be called at any time, and often. */
  want(wanted: boolean): void {
    this.#wanted = wanted;
    if (!wanted) this.#release();
    else if (!document.hidden) void this.#ask();
  }

  #release(): void {
    this.#lock?.release().catch(() => undefined);
    this.#lock = undefined;
  }

  async #ask(): Promise<void> {
    if (!ScreenLock.possible || this.#asking || this.#lock?.released === false) return;
    this.#asking = true;
    try {
      this.#lock = await navigator.wakeLock.request("screen");
    } catch {
      // An empty battery, say, refuses it.
    } finally {
      this.#asking = false;
    }
    if (!this.#wanted) this.#release();
  }
}
