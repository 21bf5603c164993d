// Help fits the window that it is read in, and says the same in any.

import { expect, test } from "vitest";
import { helpText } from "../../../shared/base/help-text.ts";
import { displayWidth } from "../../../shared/base/terminal-text.ts";

const long =
  "a sentence that goes on for a while, so that it has to be broken somewhere before the line of help ends there,";
const help = `
${long}
and says more on the next one.
A line of its own.
  example.yaml          the shipped example, which anybody may train on two cores within a few minutes and a cup of tea
  other.yaml            another

Examples:
  $ npx coordinator start imagenet-resnet18.yaml --set data.store=STORE --set teacher.file=resnet18.safetensors
      ImageNet from a store of \`coordinator import\`, with a teacher that nobody has to train, on as many as come today
`;

test("as it is written, where there is room or no window", () => {
  expect(helpText(help)).toBe(help);
  expect(helpText(help, 120)).toBe(help);
});

test.each([79, 60])(
  "in %i columns every line but commands fits, paragraphs are filled, and no word is lost",
  (columns) => {
    const text = helpText(help, columns);
    const lines = text.split("\n");
    expect(lines.filter((line) => displayWidth(line) > columns)).toEqual([expect.stringMatching(/^ {2}\$ npx /)]);
    expect(text.split(/\s+/)).toEqual(help.split(/\s+/));
    // What was one sentence over two lines is filled; what began a line still does.
    const [, first, second] = lines;
    expect(displayWidth(`${first} ${second!.split(" ")[0]}`)).toBeGreaterThan(columns);
    expect(lines).toContain("A line of its own.");
    expect(lines).toContain("  other.yaml            another");
  },
);

test("what a name means is broken under itself", () => {
  const lines = helpText(help, 60).split("\n");
  const at = lines.findIndex((line) => line.startsWith("  example.yaml"));
  expect(lines[at + 1]).toMatch(/^ {24}\S/);
});
