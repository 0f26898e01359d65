"""Throughput and latency against the number of streams, ours and llama.cpp's, as pictures in bench/results/.
All streams of a point arrive together, with prompts of 64 tokens and answers of 32."""
import io

from . import peer
from .figures import PYTHON, ROOT, SMOLLM2, glia_worker, report, wanted

NAMES = ["plots.concurrency"]
STREAMS = (1, 2, 4, 8, 16, 32, 64)
PROMPT, ANSWER = 64, 32
OURS, PEER, INK, GRID = "#c2410c", "#475569", "#1f2937", "#e5e7eb"


def measured():
    """For each number of streams, ours and the peer's: answer tokens a second, ms to the first token, ms between tokens."""
    ours = glia_worker()
    other = peer.best(PYTHON, SMOLLM2, f"together 8 {PROMPT} {ANSWER}", 8, True)
    points = []
    for streams in STREAMS:
        other.words("set " + " ".join([*(w for w in other.chosen if not w.startswith("sequences=")), f"sequences={streams}"]))
        line = f"together {streams} {PROMPT} {ANSWER}"
        runs = [[list(map(float, w.words(line))) for w in (ours, other)] for _ in range(3 if streams <= 8 else 2)]
        sides = []
        for side in zip(*runs):
            seconds, first, between = (min(values) for values in zip(*side))
            sides.append((streams * ANSWER / seconds, first * 1e3, between * 1e3))
        points.append(sides)
        print(f"#   {streams:2} streams: {sides[0][0]:5.0f} tok/s, first token {sides[0][1]:5.0f} ms, between {sides[0][2]:5.1f} ms; "
              f"peer {sides[1][0]:5.0f}, {sides[1][1]:5.0f}, {sides[1][2]:5.1f}", flush=True)
    banners = ours.banner[6:], other.banner.split()[1:3]
    ours.close(), other.close()
    return points, banners


def draw(points, banners):
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image
    plt.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10, "axes.edgecolor": INK, "axes.labelcolor": INK, "text.color": INK,
                         "xtick.color": INK, "ytick.color": INK})
    figure, axes = plt.subplots(1, 3, figsize=(12.6, 4.3), layout="constrained")
    panels = (("Throughput", "answer tokens a second, all streams", "higher is better", False),
              ("Time to the first token", "milliseconds, median stream", "lower is better", True),
              ("Between tokens", "milliseconds, median", "lower is better", True))
    for i, (axis, (title, unit, better, log)) in enumerate(zip(axes, panels)):
        for side, (colour, label) in enumerate(((OURS, "Glia"), (PEER, "llama.cpp"))):
            values = [point[side][i] for point in points]
            axis.plot(STREAMS, values, "o-", color=colour, linewidth=2, markersize=5, label=label)
            axis.annotate(f"{label}\n{values[-1]:,.0f}", (STREAMS[-1], values[-1]), xytext=(8, 0), textcoords="offset points", va="center",
                          color=colour, fontweight="bold")
        axis.set_xscale("log", base=2)
        axis.set_xticks(STREAMS, [str(s) for s in STREAMS])
        axis.set_xlim(0.85, STREAMS[-1] * 3.2)
        if log:
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter(lambda v, _: f"{v:,.0f}" if v >= 1 else f"{v:g}")
        else:
            axis.set_ylim(0)
            axis.yaxis.set_major_formatter(lambda v, _: f"{v:,.0f}")
        axis.set_title(f"{title} ({better})", loc="left", fontsize=11, fontweight="bold")
        axis.set_xlabel("streams at once")
        axis.set_ylabel(unit)
        axis.grid(True, color=GRID, linewidth=0.8)
        axis.spines[["top", "right"]].set_visible(False)
    ours, (package, version) = banners
    figure.suptitle(f"SmolLM2-135M Q4_1, prompts of {PROMPT} tokens, answers of {ANSWER}, 2 threads\nGlia on {ours.removeprefix('glia ')}; "
                    f"{package} {version}, native build, its best settings", x=0.01, ha="left", fontsize=9.5)
    out = ROOT / "bench/results/concurrency.png"
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=110)
    Image.open(drawn).convert("RGB").quantize(64).save(out, optimize=True)  # a third of the bytes
    print(f"# drew {out.relative_to(ROOT)}")


def run():
    if not wanted(NAMES[0]):
        return
    points, banners = measured()
    last = points[-1]
    report(NAMES[0], last[0][0], last[1][0], "tok/s", note=f"{STREAMS[-1]} streams; bench/results/concurrency.png has the others")
    draw(points, banners)
