// Whether the machine runs on its battery, where the browser tells: Chromium does, by a call that the DOM library does
// not know.

interface BatteryManager extends EventTarget {
  readonly charging: boolean;
}

/** Calls back now and at each change; never where the browser does not tell. */
export async function watchPower(onPower: (onBattery: boolean) => void): Promise<void> {
  const { getBattery } = navigator as { readonly getBattery?: () => Promise<BatteryManager> };
  if (!getBattery) return;
  try {
    const battery = await getBattery.call(navigator);
    const tell = () => onPower(!battery.charging);
    battery.addEventListener("chargingchange", tell);
    tell();
  } catch {
    // A policy may forbid to ask.
  }
}
