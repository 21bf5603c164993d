// A program with words that nobody else uses, written here only: leases, logs, checkpoints, resume and export go by
// them. RBCN's own lists with other names, so that all there is in a program is in it: a network that is needed and not
// trained, a partner, passes of two phases.
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { z } from "zod";
import { readNewestCheckpoint } from "../../coordinator/checkpoint/checkpoint.ts";
import { readCommitLog } from "../../coordinator/checkpoint/commit-log.ts";
import { exportModel } from "../../coordinator/checkpoint/export.ts";
import { reopenRun } from "../../coordinator/run/open-run.ts";
import { defineMethod } from "../../shared/model/methods/method.ts";
import { methods } from "../../shared/model/methods/methods.ts";
import { trainingProgram } from "../../shared/model/methods/programs.ts";
import { rbcn, rbcnSchema } from "../../shared/model/methods/rbcn.ts";
import type { MethodProgram } from "../../shared/model/phases.ts";
import type { LeaseMessage } from "../../shared/wire/protocol.ts";
import { startTestRun, stepHashes, workToTheEnd } from "../fixtures/test-run.ts";

/** Each of RBCN's words and the one that stands for it here. */
const words: Readonly<Record<string, string>> = {
  teacher: "guide",
  student: "pupil",
  discriminators: "critics",
  bn: "calm",
  "evaluate-teacher": "examine-guide",
  "evaluate-student": "examine-pupil",
};

/** The same program in other words: names change, and kinds, titles and roles do not. */
function inOtherWords({ outline, passes }: MethodProgram): MethodProgram {
  const of = (word: string) => words[word] ?? word;
  const { primary, networks, phases } = outline;
  return {
    outline: {
      primary: of(primary),
      networks: networks.map((network) => ({
        ...network,
        name: of(network.name),
        partners: network.partners.map((partner) => ({ ...partner, name: of(partner.name) })),
      })),
      phases: phases.map((phase) => ({
        ...phase,
        name: of(phase.name),
        network: of(phase.network),
        partners: phase.partners.map(of),
        needs: phase.needs.map(of),
        losses: phase.losses.map(({ teacher, partner, ...loss }) => ({
          ...loss,
          ...(teacher === undefined ? {} : { teacher: of(teacher) }),
          ...(partner === undefined ? {} : { partner: of(partner) }),
        })),
      })),
    },
    passes: passes.map((pass) => ({ ...pass, phase: of(pass.phase) })),
  };
}

let remove = () => {};
beforeAll(() => {
  remove = methods.add(
    defineMethod({
      kind: "in-other-words",
      schema: rbcnSchema.extend({ kind: z.literal("in-other-words") }),
      objective: () => ({ kind: "adversarial" }),
      tunes: () => true,
      create: rbcn,
      phases: (_, run) => inOtherWords(trainingProgram(run)),
    }),
  );
});
afterAll(() => remove());

const config = { method: { kind: "in-other-words" } };

test("every round of a run is named by the program's words, and its folder too", async () => {
  const run = await startTestRun({ config });
  const worker = run.connect();
  const leased = new Set<string>();
  await worker.join();
  expect(worker.welcome.program).toMatchObject({ primary: "pupil", networks: [{ name: "guide" }, { name: "pupil" }] });
  const take = worker.take.bind(worker);
  worker.take = async () => {
    const message = await take();
    if (message !== "closed" && message.type === "lease") leased.add(described(message));
    return message;
  };
  await worker.work();
  const { finished, checkpoint } = await run.coordination.done;
  expect(finished).toBe(true);
  expect([...leased]).toEqual([
    "guide of guide",
    "examine-guide of guide",
    "pupil of pupil beside critics against guide",
    "calm of pupil",
    "examine-pupil of pupil",
  ]);
  const commits = await readCommitLog(run.run.directory.path);
  const phases = commits.flatMap((record) => (record.type === "step" ? [record.phase] : [record.type]));
  expect(new Set(phases)).toEqual(new Set(["guide", "evaluate", "pupil", "calm"]));
  expect((await readdir(checkpoint)).sort()).toEqual(
    ["critics", "guide", "model", "optimizer", "replica"]
      .map((file) => `${file}.safetensors`)
      .toSpliced(2, 0, "manifest.json"),
  );
  const { manifest } = await readNewestCheckpoint(run.run.directory.path);
  expect(Object.keys(manifest.paramsHash)).toEqual(["guide", "pupil"]);
  expect(manifest.network).toBe("pupil");
  const out = join(run.run.directory.path, "out.safetensors");
  expect(basename((await exportModel(run.run.directory.path, out)).path)).toBe("out.safetensors");
});

test("a run that is resumed in the midst of a phase ends with the bits of the run that was not", async () => {
  const whole = await startTestRun({ config });
  await workToTheEnd(whole, 1);
  const first = await startTestRun({ config, maxSteps: 10 });
  await workToTheEnd(first, 1);
  const second = await startTestRun({ open: await reopenRun(first.run.directory.path) });
  await workToTheEnd(second, 2);
  expect(await stepHashes(second)).toEqual(await stepHashes(whole));
});

function described({ phase, network, partners, frozen }: LeaseMessage): string {
  const [beside, against] = [Object.keys(partners), Object.keys(frozen)].map((names) => names.join(" and "));
  return `${phase} of ${network}${beside && ` beside ${beside}`}${against && ` against ${against}`}`;
}
