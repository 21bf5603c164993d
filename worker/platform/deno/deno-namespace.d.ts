// The little of the Deno namespace that the worker uses, so that it type-checks without Deno's own library.

declare const Deno: {
  readonly args: readonly string[];
  readonly stdin: { readonly readable: ReadableStream<Uint8Array> };
  readonly build: { readonly os: string };
  addSignalListener(signal: "SIGINT" | "SIGTERM" | "SIGUSR1", handler: () => void): void;
  exit(code: number): never;
  readTextFile(path: string): Promise<string>;
  writeTextFile(path: string, text: string, options?: { readonly mode?: number }): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  stat(path: string): Promise<{ readonly size: number; readonly mtime: Date | null }>;
  readFile(path: string | URL): Promise<Uint8Array<ArrayBuffer>>;
  writeFile(path: string, bytes: Uint8Array): Promise<void>;
  mkdir(path: string, options: { readonly recursive: boolean }): Promise<void>;
  remove(path: string): Promise<void>;
  readDir(path: string): AsyncIterable<{ readonly name: string }>;
  utime(path: string, used: Date, changed: Date): Promise<void>;
  readonly pid: number;
};
