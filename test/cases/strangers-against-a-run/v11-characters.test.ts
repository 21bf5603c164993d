// Names and reasons of strangers are shown in one line of characters that can be looked at, wherever they are shown.

import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import { printable, printableJson, SHOWN_CHARACTERS } from "../../../coordinator/base/printable.ts";
import { eventLine } from "../../../coordinator/program/progress-text.ts";
import { workerId } from "../../../shared/base/ids.ts";
import { startTestRun } from "../../fixtures/test-run.ts";

/** What text can do to the text around it. */
const tricks: readonly (readonly [string, string])[] = [
  ["an escape sequence", "\u001b[2J\u001b]0;owned\u0007"],
  ["a C1 control, which some terminals take for an escape", "\u009b31mred\u0085next"],
  ["separators of lines and paragraphs", "one\u2028two\u2029three\r\nfour"],
  ["marks that turn the direction of writing", "\u202etxt.exe\u202c\u2066a\u2069\u200f\u061c"],
  ["unpaired surrogates", "a\ud800b\udc00"],
  ["what has no width", "a\u200b\u200d\u2060\ufeff\u00adb\u034f\u3164\u115f"],
  ["tags and variation selectors", "\u{e0041}\u{e007f}\ufe0f\u{e0100}"],
  ["private and unassigned code points", "\ue000\u{10ffff}\uffff"],
];
const unseen = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;

test.each(tricks)("%s does nothing to a line of the terminal", (_, text) => {
  const adapter = { vendor: "", architecture: "", description: text, software: false };
  const worker = workerId("w1");
  const events = [
    { type: "joined", worker, account: "a", name: text, runtime: "node", adapter },
    { type: "left", worker, code: "LEFT", message: text },
    { type: "worker-suspended", worker, code: "GONE", message: text },
    { type: "returned", worker, reason: "error", detail: text },
    { type: "refused", worker, code: "CONTRIBUTION_STALE", message: text },
  ] as const;
  for (const event of events) {
    const line = eventLine(event) ?? "";
    expect(line).not.toMatch(unseen);
    expect(line).toContain("?");
  }
});

test("letters of any script, signs and emoji are shown as they are", () => {
  for (const text of ["Zoë's GTX 1080", "Ирина", "東京 №1", "naïve e\u0301", "🚀", "עברית", "हिन्दी"]) {
    expect(printable(text)).toBe(text);
  }
});

test("a name that is too long is cut, by whole characters; marks do not pile up", () => {
  expect(printable("🚀".repeat(500))).toBe(`${"🚀".repeat(SHOWN_CHARACTERS)}…`);
  expect(printable(`a${"\u0301".repeat(400)}b`)).toBe("a\u0301\u0301b");
});

test("any text is shown in a bounded line of characters that can be looked at", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 600 }), fc.nat(40), (text, most) => {
      const shown = printable(text, most);
      expect(shown).not.toMatch(unseen);
      expect([...shown].length).toBeLessThanOrEqual(most + 1);
    }),
  );
});

test("a line of the log has the same value, in characters that can be looked at", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
      const line = printableJson({ [text]: text });
      expect(line).not.toMatch(unseen);
      expect(JSON.parse(line)).toEqual({ [text]: text });
    }),
  );
  for (const [, text] of tricks) expect(JSON.parse(printableJson({ text }))).toEqual({ text });
});

test("a run's log has what strangers call themselves, and can be looked at in a terminal", async () => {
  const { connect, coordination, run, events } = await startTestRun();
  // Unpaired surrogates do not get through UTF-8.
  const name = Buffer.from(tricks.map(([, text]) => text).join("")).toString();
  const worker = await connect().join({ name });
  worker.close();
  coordination.stop();
  await coordination.done;
  expect(await events()).toContainEqual(expect.objectContaining({ type: "joined", name }));
  expect((await readFile(run.directory.eventsPath, "utf8")).replaceAll("\n", "")).not.toMatch(unseen);
});
