"""What grows with a run, with the data and with the runs, and what must not.

    python tests/bench/growth.py [polls] [registry] [training] [--rows 1000 10000 100000]

polls     a page's polls while a run of 100,000 steps goes on: their bytes and milliseconds
registry  500 runs on disk: the menus and the opening of the page, first and again
training  800 steps of the tiny encoder (what is measured is our part, not its products of matrices), over all of few rows several times or
          over a part of many, drawn at random; a process per number of rows: time per token, and the peak of the process's own memory
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}

from mtl.jobs.queue import Jobs
from mtl.runs.events import CheckpointSaved, Evaluated, Event, GradientConflict, RunStarted, StatusChanged, StepDone
from mtl.runs.folder import Run, create_run
from mtl.settings.config import make_config

STEPS, LOGGED = 100_000, 1000
RUNS, TRAINED = 500, 800
KEY = "an owner's key"
POLL_KIB, POLL_MS, MENU_MS, GROWTH = 2, 20, 300, 1.1
SCORES = {"classification": ["accuracy", "macro_f1"], "tagging": ["f1", "precision", "recall", "accuracy"]}


def verdict(is_met: bool) -> str:
    """For the end of a line."""
    return "ok" if is_met else "missed"


def told_by(tasks: int, labels: int, evaluations: int, steps: int = STEPS, logged: int = LOGGED) -> Iterator[Event]:
    """The events of a run as the trainer logs them, to its last step but one."""
    draws = random.Random(tasks)
    names = {f"task {number}": "tagging" if number % 3 == 2 else "classification" for number in range(tasks)}
    facts = {name: {"kind": kind, "labels": [f"label {label}" for label in range(labels)], "train_rows": 9000, "validation_rows": 1000,
                    "weight": 1.0, "main_score": SCORES[kind][0]} for name, kind in names.items()}
    yield RunStarted(0, steps + 1, steps // evaluations, facts, 9000, 1000, 22_000_000, "cpu", "fp32", 2, 1, 7)
    yield StatusChanged("running")
    every = max(1, steps // logged)
    for step in range(every, steps + 1, every):
        epoch = step * evaluations / steps
        yield StepDone(step, epoch, {name: draws.random() for name in names}, draws.random() / 1e4, draws.random(), 300 * draws.random(),
                       step / 10, {name: draws.random() for name in names})
        if step % (2 * every) == 0:
            yield GradientConflict(step, {name: draws.random() for name in names},
                            [[one, other, draws.uniform(-1, 1)] for one in names for other in names if one < other])
        if step % max(every, steps // evaluations) == 0:
            yield Evaluated(step, epoch, "validation", {name: draws.random() for name in names},
                            {name: {score: draws.random() for score in SCORES[kind]} for name, kind in names.items()}, draws.random(),
                            draws.random(), draws.random() < 0.1, 1.0)
            yield CheckpointSaved(step, "last", 0.1)


def write(run: Run, events: Iterator[Event]) -> Run:
    """Log them all at once."""
    lines = [json.dumps({"event": type(event).__name__, "time": 1.8e9 + number, **vars(event)}) for number, event in enumerate(events)]
    with open(run.log.path, "a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return run


class Server:
    """The page's server in this process, asked over HTTP as a page asks it."""

    def __init__(self, root: Path) -> None:
        from mtl.ui.app import build_app, launch_options

        self.jobs = Jobs(root)
        self.demo = build_app(self.jobs)
        self.demo.launch(prevent_thread_lock=True, quiet=True, **launch_options(self.jobs))
        self._line = HTTPConnection("127.0.0.1", self.demo.server_port)

    def hang_up(self) -> None:
        """Before a silence, after which the server would have done so; the next call connects anew."""
        self._line.close()

    def live(self, run_id: str, cursor: str) -> tuple[dict, int, float]:
        """The answer of the live feed, its bytes and its milliseconds."""
        start = time.perf_counter()
        self._line.request("GET", f"/mtl/live?run={run_id}&cursor={cursor}")
        told = self._line.getresponse().read()
        return json.loads(told), len(told), 1000 * (time.perf_counter() - start)

    def call(self, handler: str, *data: object) -> tuple[list, int, float]:
        """The answer of the handler called so, its bytes and its milliseconds."""
        number = next(number for number, made in self.demo.fns.items() if made.fn and made.fn.__qualname__ == handler)
        asked = json.dumps({"data": data, "fn_index": number, "session_hash": "growth"})
        start = time.perf_counter()
        self._line.request("POST", "/gradio_api/run/predict", asked, {"Content-Type": "application/json"})
        answer = self._line.getresponse()
        told = answer.read()
        milliseconds = 1000 * (time.perf_counter() - start)
        assert answer.status == 200, told
        return json.loads(told)["data"], len(told), milliseconds


def polls(folder: Path, times: int = 40) -> dict[str, float]:
    """A page's worth of polls for an ordinary and for a large run."""
    found = {}
    for what, shape in {"3 tasks, 100 evaluations": (3, 6, 100), "8 tasks of 200 labels, 2,000 evaluations": (8, 200, 2000)}.items():
        root = folder / f"runs {len(found)}"
        run = write(create_run(root, make_config({}), KEY), told_by(*shape))
        server, events = Server(root), list(told_by(*shape))[-4:]
        with run.lock():
            told, first, first_took = server.live(run.id, "")
            sizes, waits = [], []
            for number in range(times):
                later = {"step": STEPS + 1 + number, "seconds": STEPS / 10 + 3 * number}
                for event in (StepDone(**vars(events[0]) | later), events[1], *[events[2]] * (number % 4 == 0)):
                    run.log.append(event)
                time.sleep(0.3)  # for less, all pages get the same answer
                told, size, took = server.live(run.id, told["cursor"])
                sizes.append(size / 1024)
                waits.append(took)
        found |= {f"{what}: first KiB": first / 1024, f"{what}: KiB": max(sizes), f"{what}: poll ms": median(waits)}
        print(f"{what}: first {first / 1024:.1f} KiB in {first_took:.0f} ms; then at most {max(sizes):.2f} KiB, "
              f"median {median(waits):.1f} ms: {verdict(max(sizes) <= POLL_KIB and median(waits) <= POLL_MS)} "
              f"(bar {POLL_KIB} KiB, {POLL_MS} ms)", flush=True)
    return found


def registry(folder: Path) -> dict[str, float]:
    """What lists runs on the page, with 500 of them."""
    events = [*told_by(3, 6, 10, steps=500), StatusChanged("finished", "Finished.")]
    for number in range(RUNS):
        run = write(create_run(folder, make_config({"seed": number}), KEY), iter(events))
        for name in ("best", "last"):
            (run.folder / name).mkdir()
            (run.folder / name / "manifest.json").write_text(json.dumps({"facts": {"step": 500}, "files": {}}))
    server, browser = Server(folder), {"key": KEY, "run": run.id, "comparison": ""}
    calls = {"the page is opened": ("build_app.<locals>.restore", browser), "the menu of runs": ("Menu.refresh", browser),
             "the menu of models": ("PredictTab.list_models", browser, run.id, "")}
    found = {}
    server.call("TrainTab.show", "", {"key": KEY, "run": ""})  # what the first answer of any server waits for
    server.jobs.loaded()  # the app loads torch in the background; that is no part of a list
    server.hang_up()
    for what, call in calls.items():
        first, again = server.call(*call)[2], median(server.call(*call)[2] for _ in range(5))
        found |= {f"{what}, first, ms": first, f"{what}, again, ms": again}
        print(f"{RUNS} runs, {what}: first {first:.0f} ms, again {again:.0f} ms (bar {MENU_MS} ms): {verdict(first <= MENU_MS)}",
              flush=True)
    return found


def train(rows: int, folder: Path) -> dict[str, float]:
    """The steps over so many rows, in this process."""
    from data_size import Watch, write_file

    from mtl.runs.events import Evaluated as Looked
    from mtl.training.loop import train
    from mtl.training.trainer import Trainer

    write_file(folder / "rows.jsonl", rows)
    config = make_config({"source": "files", "train_files": (str(folder / "rows.jsonl"),), "encoder": "tiny",
                          "epochs": -(-TRAINED * 32 // rows), "max_steps": TRAINED, "batch_size": 32, "max_length": 64,
                          "device": "cpu", "threads": 1})
    watch, tokens, seconds, prepared = Watch(), 0, 0.0, 0.0
    begin = time.perf_counter()

    def count(trainer: Trainer) -> bool:
        nonlocal tokens
        tokens = int(trainer.train_split.lengths.sum() * trainer.total_steps / trainer.steps_per_epoch)
        return False

    for event in train(config, folder, between_steps=count):
        if isinstance(event, StepDone):
            seconds = event.seconds
        if isinstance(event, Looked):
            prepared = prepared or time.perf_counter() - begin
    watch.end()
    return {"rows": rows, "tokens": tokens, "seconds": seconds, "own": watch.own, "prepared": prepared}


def training_of(sizes: list[int]) -> dict[str, float]:
    """Every size in a process of its own, compared with the smallest."""
    found: dict[str, float] = {}
    seen = []
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([sys.executable, __file__, "--one", str(rows), folder], capture_output=True, text=True, check=True)
        seen.append(json.loads(done.stdout.splitlines()[-1]))
        pace, own = 1e6 * seen[-1]["seconds"] / seen[-1]["tokens"], seen[-1]["own"]
        found |= {f"{rows} rows, us a token": pace, f"{rows} rows, MB": own}
        print(f"{rows:>8,} rows, {seen[-1]['tokens']:>9,} tokens trained: prepared after {seen[-1]['prepared']:.1f} s, then "
              f"{seen[-1]['seconds']:.2f} s ({pace:.2f} us a token), own memory {own:,.0f} MB", flush=True)
    pace, own = (seen[-1][key] / seen[-1].get(per, 1) / (seen[0][key] / seen[0].get(per, 1)) for key, per in
                 (("seconds", "tokens"), ("own", "")))
    print(f"{sizes[0]:,} -> {sizes[-1]:,} rows: time per token x {pace:.2f} (bar {GROWTH}): {verdict(pace <= GROWTH)}; "
          f"own memory x {own:.2f} (bar {GROWTH}): {verdict(own <= GROWTH)}")
    return found | {"time per token": pace, "memory": own}


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help="polls, registry, training (default: all)")
    parser.add_argument("--rows", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(train(int(options.one[0]), Path(options.one[1]))))
        return
    parts, found = options.parts or ["polls", "registry", "training"], {}
    for part, measure in {"polls": polls, "registry": registry}.items():
        if part in parts:
            with tempfile.TemporaryDirectory() as folder:
                found |= measure(Path(folder))
    if "training" in parts:
        found |= training_of(options.rows)
    print(json.dumps({name: round(value, 2) for name, value in found.items()}))


if __name__ == "__main__":
    main()
