"""The ledger's own cost: the same request billed and unbilled in turn, and billed requests a second of 64 clients."""
import statistics
import subprocess

from .figures import BUILD, report, wanted

NAMES = ["quota.overhead", "quota.billed_requests"]


def run():
    figure = lambda *words: float(subprocess.run([str(BUILD / "bench/quota_bench"), *words], check=True, capture_output=True, text=True).stdout)
    for name, words, unit, bar in (("quota.overhead", ("overhead", "500"), "ms", "bar 1 ms a request, median of 500 pairs"),
                                   ("quota.billed_requests", ("rate", "1"), "requests/s", "bar 2,000, each durable before its answer ends")):
        if wanted(name):
            values = [figure(*words) for _ in range(7)]
            report(name, statistics.median(values), unit=unit, note=bar, values=values)
