// Runs the command with the user's terminal, passes signals on, and leaves nothing of it running.
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { constants } from "node:os";

export interface Command {
  program: string;
  arguments: string[];
  cwd: string;
  env: NodeJS.ProcessEnv;
}

/** Ctrl-C reaches the whole foreground group by itself; only a signal to us alone has to be passed on, after this. */
const kInterruptGraceMs = 250;
/** npm passes a Ctrl-C on that we had already: signals this close together are one. */
const kSameSignalMs = 1000;
/** After a second signal, or this long after the first, what is left is killed. */
const kKillAfterMs = 5000;

/**
 * Resolves with the exit status a shell would show. Rejects when the program cannot be started.
 * `keeps_interrupts`: on a terminal the command decides for itself what Ctrl-C does and whether it ends.
 */
export function run_command(command: Command, keeps_interrupts: boolean): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command.program, command.arguments, { cwd: command.cwd, env: command.env, stdio: "inherit" });
    let ended_by: NodeJS.Signals | undefined;
    let first_at = 0;
    const handlers = new Map<NodeJS.Signals, () => void>();
    let kill_timer: NodeJS.Timeout | undefined;

    const on_signal = (signal: NodeJS.Signals): void => {
      if (signal === "SIGINT" && keeps_interrupts && process.stdin.isTTY) return;
      if (ended_by !== undefined) {
        if (performance.now() - first_at > kSameSignalMs) kill_tree(child);
        return;
      }
      ended_by = signal;
      first_at = performance.now();
      if (signal === "SIGINT") setTimeout(() => child.kill(signal), kInterruptGraceMs).unref();
      else child.kill(signal);
      kill_timer = setTimeout(() => kill_tree(child), kKillAfterMs);
    };
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      const handler = (): void => on_signal(signal);
      handlers.set(signal, handler);
      process.on(signal, handler);
    }
    const finish = (): void => {
      clearTimeout(kill_timer);
      for (const [signal, handler] of handlers) process.off(signal, handler);
    };
    child.once("error", (error) => {
      finish();
      reject(error);
    });
    child.once("exit", (code, signal) => {
      finish();
      resolve(ended_by !== undefined ? 128 + constants.signals[ended_by] : (code ?? 128 + constants.signals[signal!]));
    });
  });
}

/** The last resort: SIGKILL to the child and all below it. */
function kill_tree(child: ChildProcess): void {
  if (child.pid === undefined) return;
  for (const pid of [...descendants(child.pid), child.pid]) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // Gone already.
    }
  }
}

/** Process ids below `root`, deepest last. */
function descendants(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const [pid, parent] of process_table()) children.set(parent, [...(children.get(parent) ?? []), pid]);
  const found: number[] = [];
  for (const queue = [root]; queue.length > 0;) {
    const next = children.get(queue.shift()!) ?? [];
    found.push(...next);
    queue.push(...next);
  }
  return found;
}

function process_table(): Array<[pid: number, parent: number]> {
  if (process.platform !== "linux") {
    const listed = execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" });
    return listed
      .trim()
      .split("\n")
      .map((line) => line.trim().split(/\s+/).map(Number) as [number, number]);
  }
  const table: Array<[number, number]> = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      // The program's name, in parentheses, may hold spaces; the parent follows the state after the last one.
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      table.push([Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1])]);
    } catch {
      // Ended meanwhile.
    }
  }
  return table;
}
