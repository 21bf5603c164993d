// What a round with gateways waits for, in words.

export interface CrowdView {
  readonly workers: number;
  readonly collected: number;
  readonly wanted: number;
  /** Gateways, each with the samples that it has not covered, and since when it is silent. */
  readonly owing: readonly { readonly id: string; readonly samples: number; readonly silentMs: number }[];
}

/** From so long on silence is said. */
const SAID_FROM_MS = 600;

const count = (number: number, noun: string) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

/** @param rounds what the rounds say where nobody owes anything */
export function gatewaysReason(rounds: string, { workers, collected, wanted, owing }: CrowdView): string {
  const samples = `${collected.toLocaleString("en")}/${wanted.toLocaleString("en")} samples`;
  const crowd = `${count(owing.length, "gateway")}, ${count(workers, "volunteer")}, ${samples}`;
  const [slowest] = owing
    .filter((one) => one.samples > 0)
    .sort((a, b) => b.silentMs - a.silentMs || b.samples - a.samples);
  if (!slowest) return workers === 0 ? `${crowd}, waits for volunteers` : `${crowd}, ${rounds}`;
  const { id, silentMs } = slowest;
  const silent =
    silentMs >= SAID_FROM_MS ? `silent ${(silentMs / 1000).toFixed(1)} s` : count(slowest.samples, "sample");
  return `${crowd}, waits for ${id} (${silent})`;
}
