// How many bytes something has, as people are told it: in KiB of 1024 everywhere, and in MiB and GiB of those.

const units = ["KiB", "MiB", "GiB", "TiB"] as const;

/** Three digits: `11.9 KiB`, `136 KiB`, `1.49 MiB`; less than a KiB in bytes. */
export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${Math.round(bytes)} bytes`;
  let count = bytes / 1024;
  let unit = 0;
  // What would be written with four digits is the next unit's.
  while (count >= 999.5 && unit < units.length - 1) {
    count /= 1024;
    unit++;
  }
  return `${count >= 999.5 ? Math.round(count) : count.toPrecision(3)} ${units[unit]}`;
}
