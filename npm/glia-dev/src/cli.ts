// glia-dev: finds or starts Glia, then runs the project's own tool with its AI and Vectorize bindings pointed at it.
import { kHelp, parse_arguments, UsageError, type Arguments } from "./arguments.ts";
import { run_command, type Command } from "./child.ts";
import { Glia, type ServerInfo } from "./glia/glia.ts";
import { log_path } from "./glia/program.ts";
import { environment_with, preload_url, type Handover } from "./handover.ts";
import {
  call_line,
  connected_lines,
  missing_lines,
  mode_label,
  problem_line,
  refused_line,
  shown_line,
  style_for,
} from "./lines.ts";
import { find_wrangler, path_with_project, project_folder, project_name, ProjectError } from "./project.ts";
import { Relay } from "./relay.ts";
import { recorded } from "./tape/recorded.ts";
import { Tape } from "./tape/tape.ts";
import { kVersion } from "./version.ts";
import { kDefaultWeights } from "./weights/default_weights.ts";
import { fetch_missing } from "./weights/first_use.ts";
import { ensure_weights, WeightsError, type FetchOptions } from "./weights/weights.ts";

/** How long the tool's own start waits for Glia, so that the bindings table can name the weights. */
const kWaitForGliaMs = 4000;

/** The whole program; resolves with the exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    const parsed = parse_arguments(argv, process.env);
    if (parsed.help) return say(kHelp);
    if (parsed.version) return say(`glia-dev ${kVersion}\n`);
    if (parsed.fetch_weights) return await fetch_only(parsed);
    return await run(parsed);
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`glia-dev: ${error.message}\nType glia-dev --help for how it is used.\n`);
      return 2;
    }
    if (error instanceof ProjectError || error instanceof WeightsError) {
      process.stderr.write(`glia-dev: ${error.message}\n`);
      return 1;
    }
    throw error;
  }
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}

async function run(parsed: Arguments): Promise<number> {
  const folder = parsed.command === undefined ? project_folder(parsed.wrangler, process.cwd()) : process.cwd();
  const command = command_for(parsed, folder);
  const style = style_for(process.stderr, process.env);
  let relay: Relay | undefined;
  let info: ServerInfo | undefined;
  const print = (line: string): void => {
    if (!relay?.print(line)) process.stderr.write(`${line}\n`);
  };

  const { rehearsal } = parsed;
  const faults = rehearsal.apply(parsed.session, folder);
  const tape = Tape.for({
    record: rehearsal.record,
    replay: rehearsal.replay,
    replay_speed: rehearsal.replay_speed,
    show: rehearsal.show_io ? (line) => print(shown_line(line, style)) : undefined,
  });
  const on_refused = (model: string, problem: string): void => print(refused_line(model, problem, style));
  if (tape?.replays) {
    relay = new Relay({ glia: recorded, tape, on_refused });
    print(problem_line(`Answers come from the recordings in ${rehearsal.replay!}.`, style));
    return await run_replay(parsed, command, relay);
  }
  const glia = new Glia({
    url: parsed.url,
    may_start: !parsed.urlGiven,
    env: process.env,
    folder,
    project: project_name(folder),
    session: parsed.session,
    on_call: (event) => print(call_line(event, style)),
    on_connected: (connected, again) => {
      info = connected;
      const log = log_path(process.env, Number(parsed.url.port || 80));
      for (const line of connected_lines(connected, again, parsed.url, log, style)) print(line);
    },
    on_lost: (text) => print(problem_line(text, style)),
  });
  relay = new Relay({ glia, tape, on_refused, on_note: (text) => print(problem_line(text, style)) });
  if (faults !== undefined) print(problem_line(faults, style));
  try {
    const base = await relay.listen();
    glia.start();
    const first = await glia.ready_within(kWaitForGliaMs);
    if ("problem" in first) print(problem_line(first.problem, style));
    if (info !== undefined) {
      const { models, problems } = await fetch_missing(info.models, parsed.url, fetch_options(parsed));
      info = { ...info, models };
      const lines = problems.map((problem) => problem_line(problem, style));
      for (const line of lines.length > 0 ? lines : missing_lines(models, style)) print(line);
    }
    const handover = handover_of(parsed, base, mode_label(info?.models));
    const env = environment_with(command.env, handover, preload_url());
    return await run_command({ ...command, env }, parsed.command !== undefined);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new ProjectError(`there is no command ${command.program}`);
  } finally {
    await glia.close();
    relay.close();
    await tape?.flush().catch((error: Error) => print(problem_line(error.message, style)));
  }
}

/** The command with its env.AI answered from recordings: no program, no weights. */
async function run_replay(parsed: Arguments, command: Command, relay: Relay): Promise<number> {
  try {
    const handover = handover_of(parsed, await relay.listen(), "glia, recorded answers");
    const env = environment_with(command.env, handover, preload_url());
    return await run_command({ ...command, env }, parsed.command !== undefined);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new ProjectError(`there is no command ${command.program}`);
  } finally {
    relay.close();
  }
}

function handover_of(parsed: Arguments, relay: string, label: string): Handover {
  const own_command = parsed.command === undefined;
  return { relay, label, local_only: own_command, own_indexes: !own_command };
}

/** What --fetch-weights does. */
async function fetch_only(parsed: Arguments): Promise<number> {
  for (const weights of kDefaultWeights) await ensure_weights(weights, fetch_options(parsed)).then(console.log);
  return 0;
}

function fetch_options(parsed: Arguments): FetchOptions {
  const tag = style_for(process.stderr, process.env).green("[glia]");
  return { env: process.env, from: parsed.weights_from, terminal: process.stderr, tag };
}

function command_for(parsed: Arguments, folder: string): Command {
  const env = { ...process.env, PATH: path_with_project(folder, process.env.PATH) };
  if (parsed.command !== undefined) {
    const [program, ...rest] = parsed.command;
    return { program: program!, arguments: rest, cwd: process.cwd(), env };
  }
  const wrangler = find_wrangler(folder);
  return {
    program: process.execPath,
    arguments: [wrangler.script, "dev", "--local", ...parsed.wrangler],
    cwd: process.cwd(),
    env,
  };
}
