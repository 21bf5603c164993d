// What the program lends to commands that stand in files of their own.

export interface CommandTools {
  /** The number that a text is. @throws commander's error */
  readonly wholeNumber: (least: number, most: number) => (text: string) => number;
  /** A help with its commands as they are found from where the person is. */
  readonly asPasted: (help: string) => string;
  /** Tells a person what is not output. */
  readonly tell: (line: string) => void;
}
