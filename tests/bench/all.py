"""Every benchmark of speed and memory, one after the other, and a table with their bars.

    python tests/bench/all.py [--results FILE]

About 20 minutes on two cores, with nothing else running. `--results` names a file in which what was measured is kept; what it has already
is not measured again."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).resolve().parent
COMMANDS = {"training": ["training.py"], "prediction": ["prediction.py", "--all", "--limit", "300", "--engine", "auto", "int8"],
            "page": ["page.py"], "start": ["start.py"], "growth": ["growth.py"], "padding": ["padding.py", "share"]}


def rows(found: dict[str, dict[str, Any]]) -> list[tuple[str, str, str, bool]]:
    """What was asked, what was measured, the bar, and whether it is met."""
    table: list[tuple[str, str, str, bool]] = []

    def at_least(what: str, value: float, bar: float, show: Callable[[float], str]) -> None:
        table.append((what, show(value), f"at least {show(bar)}", value >= bar))

    def at_most(what: str, value: float, bar: float, show: Callable[[float], str]) -> None:
        table.append((what, show(value), f"at most {show(bar)}", value <= bar))

    def times(value: float) -> str:
        return f"{value:.1f} x"

    def share(value: float) -> str:
        return f"{value:.0%}"

    def unit(name: str, digits: int = 0) -> Callable[[float], str]:
        return lambda value: f"{value:.{digits}f} {name}"

    loops, guess, rounded = found["training"]["loops"], found["prediction"]["ours, auto"], found["prediction"]["ours, int8"]
    page, start, growth, padding = (found[name] for name in ("page", "start", "growth", "padding"))
    at_least("training, against the textbook loop", loops["textbook"]["same_work_x"], 30, times)
    at_least("training, against Trainer", loops["trainer"]["same_work_x"], 2.5, times)
    at_least("training, against Trainer with batches by length", loops["trainer, by length"]["same_work_x"], 2.5, times)
    at_least("training, of what `torch.mm` can do", loops["ours, embeddings trained"]["roof_share"], 0.45, share)
    at_least("one sentence in 8 bits, against two pipelines", rounded["one: times faster"], 3, times)
    at_least("one sentence in fp32", guess["one: times faster"], 3, times)
    at_most("one sentence, p95 over the median", guess["one: p95 / median"], 3, times)
    at_least("10,000 sentences in 8 bits, against two pipelines", rounded["many: times faster"], 6, times)
    at_least("10,000 sentences in fp32", guess["many: times faster"], 6, times)
    at_most("a prediction while training, p95", page["live weights, p95 ms"], 400, unit("ms"))
    at_most("5 open pages cost training", page["visitors cost"], 0.05, share)
    at_most("`python app.py` to the first page", start["page"], 8, unit("s", 1))
    at_most("`python -m mtl --help`", start["help"], 1.5, unit("s", 1))
    at_most("Start to the first point, warm", start["warm"], 3, unit("s", 1))
    at_most("Start to the first point, pressed as soon as the page can be used", start["cold"], 6, unit("s", 1))
    at_most("the same, pressed 15 s later", start["read"], 6, unit("s", 1))
    at_most("time per token, 100,000 rows over 1,000", growth["time per token"], 1.1, times)
    at_most("memory of training, 100,000 rows over 1,000", growth["memory"], 1.1, times)
    at_most("a poll of a run of 100,000 steps", max(size for name, size in growth.items() if name.endswith("KiB")), 50, unit("KiB"))
    at_most("its time", max(took for name, took in growth.items() if name.endswith("poll ms")), 20, unit("ms"))
    at_most("500 runs, the slowest list", max(took for name, took in growth.items() if name.endswith("first, ms")), 300, unit("ms"))
    at_most("the app with a training on SNIPS", page["resident GB"], 1.6, unit("GB", 2))
    at_least("real subwords, SNIPS", padding["snips, packed"], 0.95, share)
    at_least("real subwords, newsroom", padding["newsroom, packed"], 0.95, share)
    return table


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path)
    options = parser.parse_args()
    found = json.loads(options.results.read_text()) if options.results and options.results.exists() else {}
    for name, (file, *flags) in COMMANDS.items():
        if name not in found:
            done = subprocess.run([sys.executable, HERE / file, *flags], stdout=subprocess.PIPE, text=True, check=True)
            print(done.stdout, flush=True)
            found[name] = json.loads(done.stdout.splitlines()[-1])
            if options.results:
                options.results.write_text(json.dumps(found, indent=1))
    table = "| | measured | bar | |\n|---|---|---|---|\n" + "".join(
        f"| {what} | {value} | {bar} | {'met' if is_met else 'missed'} |\n" for what, value, bar, is_met in rows(found))
    if not torch.cuda.is_available():
        table += "| all of it on a GPU | not measured | | there is none here |\n"
    print(table)


if __name__ == "__main__":
    main()
