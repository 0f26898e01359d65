"""One busy program beside us: two cores for three threads. Speed may fall by its share and little more."""
import statistics
import subprocess
import sys

from . import peer
from .figures import PAIRS, PYTHON, SMOLLM2, glia_worker, quartiles, report, wanted

NAMES = ["serve.busy_neighbour.prefill", "serve.busy_neighbour.decode"]


class Neighbour:
    def __enter__(self):
        self.process = subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE)
        self.process.stdout.readline()

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def fall(worker, line):
    alone = worker.seconds(line)
    with Neighbour():
        beside = worker.seconds(line)
    return 100 * (1 - alone / beside)


def run():
    work = [w for w in ((NAMES[0], "prefill 512", True), (NAMES[1], "decode 48 1", False)) if wanted(w[0])]
    if not work:
        return
    ours = glia_worker()
    for name, line, prompt in work:
        other = peer.best(PYTHON, SMOLLM2, line, 1, prompt)
        ours.seconds(line), other.seconds(line)
        falls = [(fall(ours, line), fall(other, line)) for _ in range(PAIRS)]
        us, them = zip(*falls)
        low, high = quartiles(them)
        report(name, statistics.median(us), unit="% slower", values=us,
               note=f"bar 60; peer {statistics.median(them):.0f} ({low:.0f}..{high:.0f})")
        other.close()
    ours.close()
