// One process at a time for a task, across processes of this machine. The system frees the place when its holder ends,
// however that was, so there is no stale lock.
import { createHash } from "node:crypto";
import { rmSync } from "node:fs";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Linux's abstract sockets leave no file. Elsewhere the file of an ended holder is taken away. */
function place_of(task: string): string {
  const name = `glia-${createHash("sha256").update(task).digest("hex").slice(0, 32)}`;
  return process.platform === "linux" ? `\0${name}` : join(tmpdir(), name);
}

/** Runs `work` while no other process runs a work of the same `task`; `on_wait` is called once when it has to wait. */
export async function exclusively<T>(task: string, work: () => Promise<T>, on_wait: () => void): Promise<T> {
  const place = place_of(task);
  let told = false;
  for (;;) {
    const held = await hold(place);
    if (held !== undefined) {
      try {
        return await work();
      } finally {
        held.close();
      }
    }
    if (!told) on_wait();
    told = true;
    await released(place);
  }
}

/** Undefined when another has it. */
function hold(place: string): Promise<{ close: () => void } | undefined> {
  return new Promise((resolve, reject) => {
    const waiting = new Set<net.Socket>();
    const server = net.createServer((socket) => {
      waiting.add(socket.on("error", () => {}).on("close", () => waiting.delete(socket)));
    });
    server.once("error", (error: NodeJS.ErrnoException) =>
      error.code === "EADDRINUSE" ? resolve(undefined) : reject(error),
    );
    server.listen(place, () =>
      resolve({
        close() {
          server.close();
          for (const socket of waiting) socket.destroy();
        },
      }),
    );
  });
}

/** Resolves when the holder has ended or is done. */
function released(place: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = net.connect(place);
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" && !place.startsWith("\0")) rmSync(place, { force: true });
    });
    socket.on("close", () => setTimeout(resolve, 20));
    socket.resume();
  });
}
