// The thread of a large run's numbers: does what it is told, one thing after another. What is no fault of a peer or a
// person ends it.

import { parentPort, workerData } from "node:worker_threads";
import { BitswarmError } from "../../shared/base/errors.ts";
import { assembleState } from "../state/training-state.ts";
import { TrainingCore } from "./training-core.ts";
import type { ThreadCalls, ThreadOrder, ThreadQuestion, ThreadReply, ThreadStart } from "./training-messages.ts";

type Value = ThreadCalls[keyof ThreadCalls]["gets"];

/** An answer, and the buffers that go with it for good. */
interface Answer {
  readonly value: Value;
  readonly transfer: readonly ArrayBuffer[];
}

const plain = (value: Value): Answer => ({ value, transfer: [] });
const buffersOf = (arrays: readonly (Uint8Array | undefined)[]) => [
  ...new Set(arrays.flatMap((array) => (array ? [array.buffer as ArrayBuffer] : []))),
];

function answer(core: TrainingCore, question: ThreadQuestion): Answer {
  switch (question.call) {
    case "parameters": {
      const { versions, ...rest } = core.parameters(question.request);
      const posted = versions.map(({ contents, ...version }) => ({
        ...version,
        contents: contents && { ...contents, whole: contents.whole() },
      }));
      const frames = posted.flatMap(({ contents }) => [contents?.whole, contents?.change?.frame]);
      return { value: { ...rest, versions: posted }, transfer: buffersOf(frames) };
    }
    case "check":
      return plain(core.check(question.slot, question.bytes));
    case "compare":
      return plain(core.compare(question.a, question.b));
    case "partial": {
      const value = core.partial(question.facts);
      return { value, transfer: [value.buffer] };
    }
    case "checkPartial":
      return plain(core.checkPartial(question.number, question.key, question.bytes));
    case "seal":
      return plain(core.seal());
    case "apply":
      return plain(core.apply(question.place));
    case "parametersHash":
      return plain(core.parametersHash(question.network));
    case "restore":
      core.restore(question.parts);
      return plain(null);
    case "checkpoint": {
      const value = core.checkpoint(question.run);
      return { value, transfer: buffersOf([...value.files.values()].map(({ bytes }) => bytes)) };
    }
    default:
      return question satisfies never;
  }
}

function obey(core: TrainingCore, order: ThreadOrder): void {
  switch (order.call) {
    case "open":
      core.open(order.terms);
      break;
    case "commit":
      core.commit(order.slot, order.scale, order.of);
      break;
    case "commitPartial":
      core.commitPartial(order.number);
      break;
    case "add":
      core.add(order.work, order.of);
      break;
    default:
      order satisfies never;
  }
}

function replyTo(
  core: TrainingCore,
  question: ThreadQuestion,
): { reply: ThreadReply; transfer: readonly ArrayBuffer[] } {
  const { id } = question;
  try {
    const { value, transfer } = answer(core, question);
    return { reply: { kind: "answer", id, value }, transfer };
  } catch (error) {
    if (!(error instanceof BitswarmError)) throw error;
    const { code, message } = error;
    return { reply: { kind: "failed", id, code, message }, transfer: [] };
  }
}

if (!parentPort) throw new RangeError("training-thread is a thread's program");
const port = parentPort;
const { config, dataset, parts, runTag } = workerData as ThreadStart;
const core = new TrainingCore(assembleState(config, dataset, parts), runTag);
port.on("message", (message: ThreadQuestion | ThreadOrder) => {
  if (!("id" in message)) {
    obey(core, message);
    return;
  }
  const { reply, transfer } = replyTo(core, message);
  port.postMessage(reply, transfer);
});
port.postMessage({ kind: "ready" } satisfies ThreadReply);
