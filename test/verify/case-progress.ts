// How far a runtime is with its cases, for whoever waits: a line every few seconds, on standard error.

/** Between two lines. */
export const PROGRESS_EVERY_MS = 3000;

export class CaseProgress {
  readonly #runtime: string;
  readonly #cases: number;
  readonly #tell: (line: string) => void;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #begun = new Set<string>();
  #reports = 0;
  #last: string | undefined;

  /** @param cases that it has in all */
  constructor(runtime: string, cases: number, tell: (line: string) => void) {
    this.#runtime = runtime;
    this.#cases = cases;
    this.#tell = tell;
    this.#timer = setInterval(() => this.#tell(this.line()), PROGRESS_EVERY_MS);
  }

  /** A report of a case is in; with several tilings a case has several. */
  reported(file: string): void {
    this.#begun.add(file);
    this.#reports++;
    this.#last = file;
  }

  line(): string {
    const { size } = this.#begun;
    const last = this.#last === undefined ? "starting" : `${this.#reports} reports, the last of ${this.#last}`;
    return `${this.#runtime}: case ${size} of ${this.#cases}, ${last}`;
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
