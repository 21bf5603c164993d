// The little of the Deno namespace that the worker uses, so that it type-checks without Deno's own library.

declare const Deno: {
  readonly args: readonly string[];
  readonly stdin: { readonly readable: ReadableStream<Uint8Array> };
  readonly build: { readonly os: string };
  addSignalListener(signal: "SIGINT" | "SIGTERM", handler: () => void): void;
  exit(code: number): never;
  readTextFile(path: string): Promise<string>;
  writeTextFile(path: string, text: string, options?: { readonly mode?: number }): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  stat(path: string): Promise<{ readonly size: number }>;
  readonly pid: number;
};
