// A reduction over the lanes of a workgroup, in one order: halves are joined until one value is left.

/** Every lane's variable `part` becomes the reduction of all lanes'; `cell` is a workgroup array of one f32 a lane. */
export function laneReduce(lanes: number, part: string, join: (a: string, b: string) => string): string {
  if (lanes === 1) return "";
  return `
cell[local] = ${part};
workgroupBarrier();
for (var reach = ${lanes / 2}u; reach > 0u; reach /= 2u) {
  if (local < reach) { cell[local] = ${join("cell[local]", "cell[local + reach]")}; }
  workgroupBarrier();
}
${part} = cell[0];
workgroupBarrier();`;
}
