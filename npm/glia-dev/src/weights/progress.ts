// How far a fetch is: a bar that is drawn anew on a terminal, a line for each quarter elsewhere.

export interface Progress {
  at(bytes: number, total: number | undefined): void;
  end(): void;
}

const kRedrawMs = 100;
const kBarCells = 24;

export interface Terminal {
  isTTY?: boolean | undefined;
  columns?: number | undefined;
  write(text: string): unknown;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 10e6 ? 1 : 0)} MB`;
}

/** `tag` begins each line; `now` in milliseconds. */
export function make_progress(to: Terminal, tag: string, now: () => number = () => performance.now()): Progress {
  return to.isTTY === true && process.env.TERM !== "dumb" ? bar(to, tag, now) : lines(to, tag);
}

function bar(to: Terminal, tag: string, now: () => number): Progress {
  let drawn_at = -Infinity;
  let begun: { at: number; bytes: number } | undefined;
  let drawn = false;
  return {
    at(bytes, total) {
      const time = now();
      begun ??= { at: time, bytes };
      if (time - drawn_at < kRedrawMs && bytes !== total) return;
      drawn_at = time;
      drawn = true;
      const part = total ? Math.min(1, bytes / total) : 0;
      const cells = Math.round(part * kBarCells);
      const seconds = (time - begun.at) / 1000;
      const rate = seconds > 0.5 ? (bytes - begun.bytes) / seconds : 0;
      const left = rate > 0 && total ? `, ${Math.ceil((total - bytes) / rate)} s left` : "";
      const figures = `${megabytes(bytes)}${total ? ` of ${megabytes(total)}` : ""}${left}`;
      const text = total ? `${"█".repeat(cells)}${"░".repeat(kBarCells - cells)} ${figures}` : figures;
      to.write(`\r\x1b[K${tag} ${text}`);
    },
    end() {
      if (drawn) to.write("\r\x1b[K");
      drawn = false;
    },
  };
}

function lines(to: Terminal, tag: string): Progress {
  let quarters = 0;
  return {
    at(bytes, total) {
      if (!total) return;
      const reached = Math.floor((bytes / total) * 4);
      if (reached <= quarters || reached >= 4) return;
      quarters = reached;
      to.write(`${tag} ${reached * 25} % of ${megabytes(total)}\n`);
    },
    end() {},
  };
}
