// `coordinator track`: an exported tracker follows the targets of a data set on the workers that are there, and is
// scored as the data set's toolkit would; or results that are there already are.

import { createHash } from "node:crypto";
import path from "node:path";
import { type Command, Option } from "commander";
import { BitswarmError, failureText } from "../../shared/base/errors.ts";
import type { Box } from "../../shared/tracking/box.ts";
import { matlabClamp, trackOptions } from "../../shared/tracking/track-step.ts";
import { type TrackingBackend, trackingBackends } from "../../shared/wire/tracking.ts";
import { printable } from "../base/printable.ts";
import { makeFolders, writeDurably } from "../disk/durable-file.ts";
import { storageError } from "../disk/storage-error.ts";
import { readModelFile } from "../predict/model-file.ts";
import { readReach } from "../server/reach.ts";
import { type Films, failureLine, openFilms, parseBox, trackKinds } from "../tracking/films.ts";
import { claimResults, foundResults, requireResults } from "../tracking/job-folder.ts";
import { scoreFacts, trackReport } from "../tracking/report.ts";
import { writeSubmission } from "../tracking/submission.ts";
import { type ScoreProtocol, scoreProtocols } from "../tracking/track-score.ts";
import type { CommandTools } from "./command-tools.ts";
import { type Failure, followFilms } from "./follow-films.ts";
import { readDoor } from "./serve-door.ts";
import { chosenToken, collect, type ServeOptions, stopSignal, withServeOptions } from "./serve-options.ts";
import { facts, filmJson, filmLine, scoreJson, scoreOf, type TrackTerminal } from "./track-text.ts";

export interface TrackFlags extends ServeOptions {
  readonly data: string;
  readonly root?: string;
  readonly split?: string;
  readonly protocol?: ScoreProtocol;
  readonly sequence?: readonly string[];
  readonly network?: string;
  readonly out?: string;
  readonly results?: string;
  readonly zip?: string;
  readonly box?: string;
  readonly audit: number;
  readonly clampScale?: boolean;
  readonly backend?: TrackingBackend;
}

/** In a folder of results, beside the files of its sequences. */
const REPORT_FILE = "report.html";

const trackHelp = `
--data takes
  got10k, otb, uav123, uav20l, vot
      a data set as it is unpacked, in --root; --split of GOT-10k is val, test or train, of OTB tb50, tb100 or otb2013
  a folder
      of pictures in the order of their names, with --box: the target in the first, x,y,w,h, the corner counted from 1

Each sequence is one lease on a worker: local ones, and everybody who opens the link. A worker that goes costs its
sequence a new start. --out has a result and a time file a sequence, as the toolkits read them, and ${REPORT_FILE}. The same
command goes on with the first sequence that has no result. Of volunteers' answers a share (--audit) is asked for twice.

The protocol says how frames without a target count, and stands beside every number:
  got10k  frames in which the target is hidden do not; all frames of all sequences together (GOT-10k)
  all     every frame counts (the GOT-10k toolkit on OTB)
  drop    those without a target do not (the GOT-10k toolkit on UAV123)
  keep    those without a target are a miss in success, and a hit in precision (OTB's Matlab code)

--json prints {"event":"link","url"}, {"event":"lent","film","worker"}, a line a sequence,
{"event":"film","film","frames","fps","worker","checked","protocol"?,"score"?} or {"event":"failed","film","message"},
and at the end {"event":"done","path","films","failed","data","protocol","score","fps"}. The exit code is 1 where a sequence could not be followed.

Examples:
  $ npx coordinator track tracker.safetensors --data got10k --root ~/GOT-10k
  $ npx coordinator track runs/rbsf-20250131-154501-3fa9 --data otb --root ~/OTB --split tb100 --workers 4
  $ npx coordinator track tracker.safetensors --data got10k --root ~/GOT-10k --split test --zip submission.zip
  $ npx coordinator track tracker.safetensors --data frames --box 120,80,40,60
  $ npx coordinator track --data uav123 --root ~/UAV123 --results results/SiamFC --protocol keep
`;

const slug = (text: string) => text.replace(/[^\w.-]+/g, "-").replace(/^[.-]+|[.-]+$/g, "") || "tracker";

function clash(flags: TrackFlags, model: string | undefined): string | undefined {
  const { results, zip, clampScale, network, sequence = [] } = flags;
  if (results !== undefined && model !== undefined) return "--results scores files that are there: leave the model out";
  if (results !== undefined && clampScale) return "--clamp-scale changes how is tracked, and --results tracks nothing";
  if (results !== undefined && network !== undefined) return "--network is of a run's folder, and --results needs none";
  if (results === undefined && model === undefined) {
    return "name a tracker: a file that `export` wrote, or a run's folder; or --results, to score files that are there";
  }
  if (results !== undefined && zip !== undefined && flags.out !== undefined) {
    return "--out is of new results; --zip packs those of --results";
  }
  if (zip !== undefined && sequence.length > 0) {
    return "--zip packs a submission, which has every sequence: leave --sequence out; what is followed already is not followed again";
  }
  return undefined;
}

/**
 * @param stopping aborts where somebody wants it to end
 * @returns whether every sequence has been followed
 * @throws CONFIG_INVALID for options that do not fit, and what reading the data set, the model and the door throws
 */
export async function trackCommand(
  where: string | undefined,
  flags: TrackFlags,
  terminal: TrackTerminal,
  stopping: AbortSignal,
): Promise<boolean> {
  const { line, print, tell } = terminal;
  const wrong = clash(flags, where);
  if (wrong !== undefined) throw new BitswarmError("CONFIG_INVALID", wrong);
  const box: Box | undefined = flags.box === undefined ? undefined : parseBox(flags.box);
  const { data, root, split, sequence: sequences } = flags;
  const films = await openFilms({ data, root, split, sequences, box });
  const protocol = protocolOf(films, flags.protocol);
  const failed: Failure[] = films.unfit.map(({ name, error }) => ({ film: name, message: failureText(error) }));
  for (const { film, message } of failed) {
    line(printable(failureLine(film, message)));
    print({ event: "failed", film, message });
  }
  let folder: string;
  let network: string | undefined;
  let found: Pick<Awaited<ReturnType<typeof foundResults>>, "followed" | "missing">;
  let title: string;
  if (flags.results !== undefined) {
    folder = flags.results;
    await requireResults(folder);
    title = `${films.title}: results of ${path.basename(path.resolve(folder))}`;
    const there = await foundResults(folder, films);
    found = there;
    for (const one of found.followed) {
      line(filmLine(one, protocol, ""));
      print({ event: "film", film: one.film.name, frames: one.film.frames.length, ...filmJson(one, protocol) });
    }
    const without = there.missing.map(({ name, spellings }) => ({
      film: name,
      message: `no file of ${spellings.join(" or ")} is in ${folder}`,
    }));
    const unreadable = there.wrong.map(({ name, error }) => ({ film: name, message: failureText(error) }));
    for (const { film, message } of [...without, ...unreadable]) {
      failed.push({ film, message });
      line(printable(failureLine(film, message)));
      print({ event: "failed", film, message });
    }
  } else {
    const token = await chosenToken(flags);
    const reach = readReach(flags);
    const door = await readDoor(flags, reach);
    for (const note of door.notes) tell(note);
    const { bytes, model, notices } = await readModelFile(where ?? "", flags.network);
    for (const notice of notices) tell(notice);
    const { tracking } = model;
    if (!tracking) {
      throw new BitswarmError(
        "MODEL_INVALID",
        `the ${model.network.title} of ${model.provenance.run} names classes and follows nothing; \`evaluate\` measures it`,
      );
    }
    network = `${printable(model.network.title)} of ${printable(model.provenance.run)}, step ${model.provenance.step}`;
    title = `${films.title}: ${network}`;
    folder = flags.out ?? path.join("runs", `track-${slug(model.provenance.run)}-${slug(films.title)}`);
    const clamp = flags.clampScale === true;
    await claimResults(folder, {
      model: createHash("sha256").update(bytes).digest("hex"),
      data: films.title,
      ...(box ? { box: [box.x, box.y, box.w, box.h].join(",") } : {}),
      ...(clamp ? { clampScale: true } : {}),
    });
    const there = await foundResults(folder, films);
    if (there.wrong.length > 0) throw there.wrong[0].error;
    if (there.followed.length > 0) {
      line(
        `${there.followed.length} of ${films.films.length} sequences have results in ${folder}, and are not followed again`,
      );
    }
    const { exemplar, instance, context, stride } = tracking;
    const options = { ...trackOptions, exemplar, instance, context, stride, ...(clamp && { clampScale: matlabClamp }) };
    const given = { model: bytes, name: `Tracking ${films.title}`, options, out: folder, flags, door, reach, token };
    const more =
      there.missing.length === 0
        ? { followed: [], failed: [] }
        : await followFilms(there.missing, films, protocol, given, terminal, stopping);
    failed.push(...more.failed);
    const byName = new Map([...there.followed, ...more.followed].map((one) => [one.film.name, one]));
    const followed = films.films.map(({ name }) => byName.get(name)).filter((one) => one !== undefined);
    found = { followed, missing: films.films.filter(({ name }) => !byName.has(name)) };
  }
  const complete = found.missing.length === 0 && failed.length === 0;
  const track = found.followed.length === 0 ? undefined : scoreOf(found.followed, protocol);
  const packed = flags.results === undefined || flags.out !== undefined;
  const reportFolder = flags.out ?? folder;
  const report = path.join(reportFolder, REPORT_FILE);
  if (packed) {
    await makeFolders(reportFolder);
    const page = trackReport(
      { title, data: films.title, ...(network === undefined ? {} : { network }), failed },
      track,
    );
    await writeDurably(report, page).catch((error) => {
      throw storageError(error, report);
    });
  }
  const all = films.films.length + films.unfit.length;
  if (track) {
    const of =
      found.followed.length === all
        ? `${all} sequence${all === 1 ? "" : "s"}`
        : `${found.followed.length} of ${all} sequences`;
    line(`\n${films.title}, ${of}, protocol ${track.protocol}: ${facts(scoreFacts(track))}`);
  } else if (found.followed.length > 0) {
    line(`\n${films.title}: ${found.followed.length} of ${all} sequences are followed; there is no truth to score by`);
  }
  if (packed) line(`report: ${report}`);
  print({
    event: "done",
    path: folder,
    films: found.followed.length,
    failed: all - found.followed.length,
    data: films.title,
    protocol: track?.protocol ?? null,
    score: track ? scoreJson(track) : null,
    fps: track?.fps ?? null,
  });
  if (flags.zip !== undefined) {
    // After the score: that of what was followed is worth reading where a submission lacks a sequence.
    const names = [...films.films, ...films.unfit].map(({ name }) => name);
    await writeSubmission(flags.zip, folder, films.layout, names);
    line(`submission: ${flags.zip}`);
  }
  return complete;
}

/** @throws CONFIG_INVALID for a protocol that the data set has no use for, or where there is no truth to score by */
function protocolOf({ title, protocol: usual, layout }: Films, chosen: ScoreProtocol | undefined) {
  if (chosen === undefined) return usual;
  if (usual === undefined) {
    throw new BitswarmError(
      "CONFIG_INVALID",
      `--protocol ${chosen} says how boxes count against the truth, and of ${printable(title)} none is here: leave it out`,
    );
  }
  if (chosen === "got10k" && layout !== "got10k") {
    throw new BitswarmError(
      "CONFIG_INVALID",
      `--protocol got10k is of GOT-10k; of ${title} there are all, drop and keep`,
    );
  }
  return chosen;
}

function share(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= 0 && value <= 1) return value;
  throw new BitswarmError("CONFIG_INVALID", `--audit must be a share from 0 to 1; got ${text}`);
}

/** Adds the command. */
export function addTrackCommand(program: Command, { asPasted, tell }: CommandTools): void {
  withServeOptions(
    program
      .command("track")
      .description("follow targets through films with an exported tracker, and score it as the toolkits do")
      .argument("[model]", "a file that `export` wrote, or a run's folder"),
  )
    .requiredOption("--data <kind|folder>", `what to follow: ${trackKinds.join(", ")}, or a folder of pictures`)
    .option("--root <folder>", "of the data set")
    .option("--split <list>", "which of the data set's lists")
    .addOption(new Option("--protocol <protocol>", "how frames without a target count").choices(scoreProtocols))
    .option("--sequence <name|n>", "this sequence alone, by name or number; may be repeated", collect)
    .option("--network <name>", "of a run's folder: another network than the one it is for, such as teacher")
    .option("--box <x,y,w,h>", "of a folder of pictures: the target in the first, the corner counted from 1")
    .option("--out <folder>", "of the results; by default runs/track-<run>-<data>")
    .option("--results <folder>", "score result files that are there, without a model")
    .option("--zip <file>", "pack the results as a submission")
    .option("--clamp-scale", "keep the search within a fifth and five times its first size, as the Matlab original")
    .addOption(
      new Option(
        "--backend <kind>",
        "what workers compute with; unless given a GPU where there is a real one, else the processor",
      ).choices(trackingBackends),
    )
    .option("--audit <share>", "of volunteers' sequences that are followed twice and compared, 0 to 1", share, 0.1)
    .addHelpText("after", asPasted(trackHelp))
    .action(async (model: string | undefined, flags: TrackFlags) => {
      const stopping = stopSignal();
      const json = flags.json === true;
      let printed: Promise<void> = Promise.resolve();
      const write = (stream: NodeJS.WriteStream, text: string) => {
        printed = new Promise((resolve) => stream.write(`${text}\n`, () => resolve()));
      };
      const terminal: TrackTerminal = {
        line: (text) => write(json ? process.stderr : process.stdout, text),
        print: (value) => {
          if (json) write(process.stdout, JSON.stringify(value));
        },
        tell,
        screen: json ? process.stderr : process.stdout,
      };
      const complete = await trackCommand(model, flags, terminal, stopping);
      await printed;
      if (!complete) process.exitCode = 1;
    });
}
