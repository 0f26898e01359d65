"""Runs every comparison, us and the peer in turn, and prints one line each:
NAME ratio=R ours=X peer=Y unit=U  spread=Q1..Q3 pairs=N  (R above 1: we are better)
R is the median of the pairs' ratios. Figures without a peer print ours and the bar. A CSV goes to bench/results/.
Slow figures end with 0; a broken promise (another text, something left behind) is said as WRONG and ends with 1.
usage: bench/run [NAME…]   (a prefix is enough; `plots` draws the pictures, --list names everything)"""
import csv
import datetime
import os
import platform
import re
import sys
import time

from cases import agent, chat, embed, neighbour, plots, quota, serve, shape1b, vectors
from cases.figures import PAIRS, ROOT, THREADS, names, rows, wrong

CASES = [chat, shape1b, embed, serve, agent, neighbour, quota, vectors, plots]


def cpu_name():
    with open("/proc/cpuinfo") as f:
        return next((line.split(":")[1].strip() for line in f if line.startswith("model name")), platform.machine())


def write_csv(cpu):
    out = ROOT / "bench/results" / (re.sub(r"[^A-Za-z0-9]+", "-", cpu).strip("-").lower() + f"-{os.cpu_count()}.csv")
    out.parent.mkdir(exist_ok=True)
    kept = []
    if out.exists():  # what this run did not measure stays
        with out.open(newline="") as f:
            measured = {row[0] for row in rows}
            kept = [row for row in list(csv.reader(f))[1:] if row and row[0] not in measured]
    with out.open("w", newline="") as f:
        csv.writer(f, lineterminator="\n").writerows([["name", "ratio", "ours", "peer", "unit", "note"], *kept, *rows])
    print(f"# wrote {out.relative_to(ROOT)}")


def main():
    names.extend(name for case in CASES for name in case.NAMES)
    if sys.argv[1:] == ["--list"]:
        return print(*names, sep="\n")
    unknown = [given for given in sys.argv[1:] if not any(name.startswith(given) for name in names)]
    if unknown:
        sys.exit(f"no such comparison: {' '.join(unknown)}; bench/run --list names them")
    cpu = cpu_name()
    print(f"# {cpu}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}, {datetime.date.today()}, {PAIRS} pairs, {THREADS} threads", flush=True)
    start = time.monotonic()
    for case in CASES:
        case.run()
    print(f"# {time.monotonic() - start:.0f} s")
    if rows:
        write_csv(cpu)
    sys.exit(1 if wrong else 0)


main()
