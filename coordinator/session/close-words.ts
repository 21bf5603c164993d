// Why a socket closed, in words for whoever reads the terminal (RFC 6455, 7.4.1).

const words: Readonly<Record<number, string>> = {
  1000: "it said goodbye",
  1001: "its tab or its program was closed",
  1005: "it closed the connection and gave no reason",
  1006: "the connection broke off",
  1009: "a message was larger than it takes",
  1011: "it ran into an error",
  1012: "it is being started again",
};

/** @param code of the close frame, or one that stands for its lack */
export function closeInWords(code: number): string {
  return words[code] ?? `the socket closed with code ${code}`;
}
