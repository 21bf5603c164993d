// A response as a picture: dark where nothing answers, light where the target is likeliest.

/** From the least to the greatest, red, green and blue. */
const shades = [
  [16, 20, 44],
  [62, 44, 132],
  [176, 60, 118],
  [244, 142, 76],
  [255, 240, 190],
] as const;

/** @param share from 0 to 1 */
function shadeOf(share: number): readonly number[] {
  const at = share * (shades.length - 1);
  const low = Math.min(Math.floor(at), shades.length - 2);
  return [0, 1, 2].map((c) => Math.round(shades[low]![c]! + (shades[low + 1]![c]! - shades[low]![c]!) * (at - low)));
}

/** Each of the maps as pixels, all by one scale, so that they can be compared. @param values [maps][cells] */
export function heatMaps(values: Float32Array, maps: number): readonly Uint8ClampedArray<ArrayBuffer>[] {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    least = Math.min(least, value);
    most = Math.max(most, value);
  }
  const cells = values.length / maps;
  return Array.from({ length: maps }, (_, map) => {
    const rgba = new Uint8ClampedArray(4 * cells);
    for (let i = 0; i < cells; i++) {
      const share = most > least ? (values[map * cells + i]! - least) / (most - least) : 0;
      rgba.set([...shadeOf(share), 255], 4 * i);
    }
    return rgba;
  });
}
