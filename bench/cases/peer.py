"""llama.cpp at its best: a short search over what it lets one choose, for each piece of work of each model."""
from .figures import ROOT, THREADS, Worker

shown = set()  # banners


def settings(sequences, prompt):
    """Yields what to try against the best so far: one choice after the other, the best kept."""
    yield from ({"flash": f} for f in (1, 0))
    if prompt:
        yield from ({"ubatch": u} for u in (256, 128))
    if sequences > 1:
        yield {"unified": 1}
    yield from ({"threads": t} for t in range(1, THREADS))


def best(python, model, line, sequences, prompt):
    """A worker set to its fastest for `line`; what was tried is printed."""
    worker = Worker([python, ROOT / "bench/peers/llama_worker.py", model])
    chosen = {"threads": THREADS, "flash": 1, "ubatch": 512, "unified": 0, "sequences": sequences}
    fastest, tried = None, []
    for change in settings(sequences, prompt):
        now = {**chosen, **change}
        worker.words("set " + " ".join(f"{k}={v}" for k, v in now.items()))
        worker.seconds(line)
        seconds = min(worker.seconds(line) for _ in range(2))
        tried.append(f"{next(iter(change.items()))[0]}={next(iter(change.values()))} {seconds * 1e3:.0f} ms")
        if fastest is None or seconds < fastest:
            fastest, chosen = seconds, now
    worker.chosen = [f"{k}={v}" for k, v in chosen.items()]
    worker.words("set " + " ".join(worker.chosen))
    if worker.banner not in shown:
        shown.add(worker.banner)
        print(f"# peer: {worker.banner[6:]}", flush=True)
    print(f"#   {' '.join(worker.chosen)}; tried for `{line}`: {', '.join(tried)}", flush=True)
    return worker
