// Text and bytes: the two UTF-8 classes that every runtime has and that the ES2023 library does not declare.

declare class TextEncoder {
  encode(text: string): Uint8Array<ArrayBuffer>;
}

declare class TextDecoder {
  constructor(label: string, options: { readonly fatal: boolean; readonly ignoreBOM: boolean });
  decode(bytes: Uint8Array): string;
}

const encoder = new TextEncoder();
// A byte-order mark is kept, so that decoding and encoding again gives the same bytes.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** UTF-8 bytes of `text`; a lone surrogate becomes U+FFFD. */
export function encodeText(text: string): Uint8Array<ArrayBuffer> {
  return encoder.encode(text);
}

/**
 * The text of UTF-8 bytes. Throws a TypeError where they are not UTF-8; a caller at an edge turns it into its own code.
 */
export function decodeText(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}
