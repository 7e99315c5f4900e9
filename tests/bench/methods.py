"""The table of methods in the README.md beside this file: newsroom, every balancing and sampling, several seeds; and what a step costs.

    python tests/bench/methods.py scores --folder FOLDER      # validation scores; what is in FOLDER already is not trained again
    python tests/bench/methods.py cost                        # alternating steps in one process, medians
    python tests/bench/methods.py table --folder FOLDER       # the table of what `scores` left in FOLDER

Every run has one thread, and as many run beside each other as there are cores: that is faster than one run on all of them.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from mtl.model.machine import cores
from mtl.settings.config import make_config
from mtl.settings.methods import METHODS

TASKS = ("topic", "sentiment", "entities")
VARIANTS = {f"joint, {balancing}": {"balancing": balancing} | ({"weights": {"entities": 3.0}} if balancing == "fixed" else {})
            for balancing in METHODS}
# newsroom labels every row for every task: tasks of one size are drawn alike by proportional, temperature and annealed sampling
VARIANTS |= {f"{sampling}, equal": {"sampling": sampling, "balancing": "equal"} for sampling in ("alternating", "proportional")}


def train(values: dict, file: Path) -> None:
    """One run; its best validation scores go into `file`."""
    from mtl.runs.events import Evaluated, RunStarted
    from mtl.training.loop import train

    with tempfile.TemporaryDirectory() as folder:
        start, seen = time.perf_counter(), []
        for event in train(make_config(values), Path(folder)):
            if isinstance(event, RunStarted):
                steps = event.total_steps
            if isinstance(event, Evaluated) and event.split == "validation":
                seen.append(event)
        best = max(seen, key=lambda event: event.score)
    scores = {task: scores.get("f1", scores.get("accuracy")) for task, scores in best.scores.items()}
    file.write_text(json.dumps({"scores": scores, "everything right": best.everything_right, "steps": steps,
                                "seconds": time.perf_counter() - start}))


def scores(options: argparse.Namespace) -> None:
    """Every variant with every seed, each in a forked process, so that torch is imported once."""
    import mtl.training.loop  # noqa: F401 - before the forks

    options.folder.mkdir(parents=True, exist_ok=True)
    running = 0
    for seed in range(1, options.seeds + 1):
        for name, settings in VARIANTS.items():
            file = options.folder / f"{name.replace(', ', '-')}-{seed}.json"
            if file.exists():
                continue
            if running == (options.jobs or cores()):
                os.wait()
                running -= 1
            # as many steps for all: where a row is there for one task, or a step, an epoch is longer
            values = {"epochs": options.epochs if settings.get("sampling", "joint") == "joint" else 100, "seed": seed, "threads": 1,
                      "batch_size": 32, "max_steps": 59 * options.epochs, "eval_every": 59, "frozen_layers": options.frozen_layers,
                      "diagnose_every": 0} | settings
            if os.fork() == 0:
                status = 1
                try:
                    train(values, file)
                    print(f"{name}, seed {seed}: {file.read_text()}", flush=True)
                    status = 0
                finally:
                    os._exit(status)
            running += 1
    while running:
        os.wait()
        running -= 1
    table(options)


def table(options: argparse.Namespace) -> None:
    """Mean and standard deviation over seeds, as Markdown."""
    print("| sampling, balancing | " + " | ".join(TASKS) + " | mean | everything right | seeds |\n|---" + "|---" * 6 + "|")
    for name in VARIANTS:
        found = [json.loads(file.read_text()) for file in sorted(options.folder.glob(f"{name.replace(', ', '-')}-?.json"))]
        if found:
            columns = [[run["scores"][task] for run in found] for task in TASKS]
            columns += [[statistics.mean(run["scores"].values()) for run in found], [run["everything right"] for run in found]]
            print(f"| {name} | " + " | ".join(_spread(values) for values in columns) + f" | {len(found)} |")


def _spread(values: list[float]) -> str:
    return f"{100 * statistics.mean(values):.1f}" + (f" ({100 * statistics.stdev(values):.1f})" if len(values) > 1 else "")


def cost(options: argparse.Namespace) -> None:
    """Time of a step relative to the plain sum, on newsroom's jointly labelled rows and on rows of one task each; and of a look at how the
    tasks get along."""
    from mtl.runs.events import StepDone
    from mtl.training.loop import train

    variants = {name: {"balancing": name} | ({"weights": {"entities": 3.0}} if name == "fixed" else {}) for name in METHODS}
    for sampling in ("joint", "proportional"):
        with tempfile.TemporaryDirectory() as folder:
            runs = {}
            for name, settings in (variants | {"looking": {"balancing": "equal", "diagnose_every": 1}}).items():
                config = make_config({"diagnose_every": 0, "quick_looks": False, "sampling": sampling, "device": "cpu",
                                      "precision": "fp32"} | settings)
                (Path(folder) / name).mkdir()
                runs[name] = train(config, Path(folder) / name)
            times = {name: [] for name in runs}
            for _ in range(options.rounds + 1):  # the first one also loads the data and the encoder, and is left out below
                for name, events in runs.items():
                    start = time.perf_counter()
                    next(event for event in events if isinstance(event, StepDone))
                    times[name].append(time.perf_counter() - start)
        ratios = {name: statistics.median(took / plain for took, plain in zip(of[1:], times["equal"][1:], strict=True))
                  for name, of in times.items()}
        print(f"{sampling}, median of {options.rounds} steps, the plain sum {1000 * statistics.median(times['equal'][1:]):.0f} ms a step")
        for name, ratio in ratios.items():
            print(f"  {name:<12} x {ratio:.2f}" + (f": every 10 steps, {100 * (ratio - 1) / 10:.1f} %" if name == "looking" else ""))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["scores", "cost", "table"])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "mtl-methods")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--frozen-layers", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    {"scores": scores, "cost": cost, "table": table}[options.what](options)


if __name__ == "__main__":
    main()
