// How vectors are written: JSON that a stranger reads without a library, bytes in hex or, where they are many, base64.

/** Bytes of a typed array, little-endian as every machine of ours is. */
export function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

export function hex(view: ArrayBufferView): string {
  return Buffer.from(bytesOf(view)).toString("hex");
}

export function base64(view: ArrayBufferView): string {
  return Buffer.from(bytesOf(view)).toString("base64");
}

export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(text, "hex"));
}

export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(Buffer.from(text, "base64"));
}

export function floatsFromBase64(text: string): Float32Array<ArrayBuffer> {
  return new Float32Array(fromBase64(text).buffer);
}

/** Two levels of a value a line each, what is deeper on the line of its parent. */
export function vectorText(value: unknown): string {
  const lines = (of: unknown, depth: number): string => {
    if (depth === 0 || typeof of !== "object" || of === null) return JSON.stringify(of);
    const indent = "  ".repeat(3 - depth);
    const items = Array.isArray(of)
      ? of.map((one) => lines(one, depth - 1))
      : Object.entries(of).map(([key, one]) => `${JSON.stringify(key)}: ${lines(one, depth - 1)}`);
    const [open, close] = Array.isArray(of) ? "[]" : "{}";
    return items.length === 0
      ? `${open}${close}`
      : `${open}\n${indent}${items.join(`,\n${indent}`)}\n${indent.slice(2)}${close}`;
  };
  return `${lines(value, 2)}\n`;
}
