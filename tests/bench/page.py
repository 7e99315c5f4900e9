"""The page while a training has both cores: what a prediction takes, what open pages cost the training, what the app holds in memory.

    python tests/bench/page.py [predictions] [pages] [memory] [--snips FOLDER]

predictions  of the Predict tab, over HTTP as the page asks after a press, while newsroom trains with the bundled encoder
pages        the training's pace without pages, with the requests of fifty visitors (their browsers run on machines of their own), and with
             one page open in Chromium on the same cores, in turn; and what the visitors wait for an answer
memory       the most that the app had resident, with a page open, while it trained on SNIPS (JSONL files of tokens, tags and intent)
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import psutil
from playwright.sync_api import Browser, sync_playwright

from mtl.runs.events import LogReader, StepDone
from mtl.runs.folder import Run, create_run
from mtl.settings.config import RunConfig, make_config
from tests.browser import FLAGS, App, can_press, find_chromium, points, status, step, wait_for

VISITORS, WINDOW, SETTLE, LOADED = 50, 7.0, 2.5, 6.0
CALLS = 40
PREDICTION_MS, MEMORY_GB = 400, 1.6
COST, PAGE_COST, ANSWER_MS = 0.18, 0.10, (23, 181, 1370)  # half of what fifty visitors cost and waited for at first: p50, p95, p99
WORDS = ["the", "of", "and", "to", "in", "is", "it", "was", "for", "on", "are", "as", "with", "his", "they", "at"]
# does not end and is not evaluated meanwhile, and on newsroom logs every step
LONG = {"epochs": 30, "eval_every": 1_000_000, "device": "cpu", "precision": "fp32"}


def verdict(is_met: bool) -> str:
    """For the end of a line."""
    return "ok" if is_met else "missed"


@contextmanager
def training(chromium: Browser, config: RunConfig) -> Iterator[tuple[App, Run, psutil.Process]]:
    """An app that trains `config`, started by a person on a page that is closed then."""
    with tempfile.TemporaryDirectory() as folder:
        app = App(Path(folder))
        app.start()
        try:
            process = next(child for child in psutil.Process().children() if "app.py" in child.cmdline())
            run = create_run(app.runs, config)
            page = chromium.new_page()
            page.goto(f"{app.url}/?run={run.id}")
            wait_for("resume to be enabled", lambda: can_press(page)["resume"])
            page.locator("#resume").click()
            wait_for("the training", lambda: status(page) == "running" and step(page) > 2, 120)
            page.close()
            yield app, run, process
        finally:
            app.kill()


# Predictions


def ask(app: App, handler: int, choice: str, text: str) -> float:
    """Milliseconds from the question to the answer, through the queue as the page goes."""
    session, start = uuid.uuid4().hex, time.perf_counter()
    question = json.dumps({"number": 1, "text": text, "model": choice, "how": "pressed"})
    body = json.dumps({"data": [question], "fn_index": handler, "session_hash": session}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{app.url}/gradio_api/queue/join", body, {"Content-Type": "application/json"})):
        pass
    with urllib.request.urlopen(f"{app.url}/gradio_api/queue/data?session_hash={session}", timeout=60) as stream:
        for line in stream:
            told = json.loads(line[5:]) if line.startswith(b"data:") else {}
            if told.get("msg") == "process_completed":
                assert told["success"], told
                return 1000 * (time.perf_counter() - start)
    raise AssertionError("the answer never came")


def predictions(chromium: Browser) -> dict[str, float]:
    """Median and 95th percentile, for the weights of the run that trains and for the starter model."""
    found = {}
    with training(chromium, make_config(LONG)) as (app, run, _):
        page = json.load(urllib.request.urlopen(f"{app.url}/config"))
        answer = next(part["id"] for part in page["components"] if part["props"].get("elem_id") == "answer")
        handler = next(event["id"] for event in page["dependencies"] if [answer, "select"] in map(list, event["targets"]))
        for what, choice in {"live weights": f"{run.id}/live", "starter model": "starter"}.items():
            ask(app, handler, choice, "The first question loads the model.")
            took = sorted(ask(app, handler, choice, f"Oslo and Acme met in Lisbon {number} times.") for number in range(CALLS))
            middle, late = median(took), took[int(0.95 * CALLS)]
            found |= {f"{what}, median ms": middle, f"{what}, p95 ms": late}
            print(f"{what}, while training: median {middle:.0f} ms, p95 {late:.0f} ms, most {took[-1]:.0f} ms (bar {PREDICTION_MS} ms): "
                  f"{verdict(late <= PREDICTION_MS)}", flush=True)
    return found


# What open pages cost


def pace(run: Run, seconds: float) -> float:
    """Sentences a second of training time, from the steps that the run logs in the next `seconds`."""
    begin = time.time()
    time.sleep(seconds)
    steps = [logged for logged in LogReader(run.log.path).read() if isinstance(logged.event, StepDone)]
    before = next(logged.event for logged in reversed(steps) if logged.time < begin)
    after = [logged.event for logged in steps if logged.time >= begin]
    took = [later.seconds - earlier.seconds for earlier, later in zip([before, *after], after, strict=False)]
    return sum(step.sentences_per_second * part for step, part in zip(after, took, strict=True)) / sum(took)


class Visitor(threading.Thread):
    """Asks what an open page asks, once a second; `took` are the milliseconds of each answer."""

    def __init__(self, app: App, run: Run) -> None:
        super().__init__(daemon=True)
        self.line, self.run_id = HTTPConnection(app.url.removeprefix("http://")), run.id
        self.took: list[float] = []
        self.ended = threading.Event()
        self.start()

    def run(self) -> None:
        cursor = ""
        while not self.ended.wait(1):
            start = time.perf_counter()
            self.line.request("GET", f"/mtl/live?run={self.run_id}&cursor={cursor}")
            answer = self.line.getresponse()
            told = answer.read()
            self.took.append(1000 * (time.perf_counter() - start))
            cursor = json.loads(told)["cursor"] if answer.status == 200 else cursor


@contextmanager
def visitors(app: App, run: Run, took: list[float]) -> Iterator[None]:
    """VISITORS of them, not all at once; what their answers took is added to `took`."""
    here = []
    for _ in range(VISITORS):
        here.append(Visitor(app, run))
        time.sleep(1 / VISITORS)
    yield
    for visitor in here:
        visitor.ended.set()
    for visitor in here:
        visitor.join()
        took += visitor.took[1:]  # the first answer is the whole run


@contextmanager
def open_page(chromium: Browser, app: App, run: Run) -> Iterator[None]:
    """One page that shows the run."""
    page = chromium.new_page()
    page.goto(f"{app.url}/?run={run.id}")
    wait_for("the curves", lambda: points(page), 120)
    time.sleep(LOADED)  # what it costs to load a page is no part of what an open one costs
    yield
    page.close()


def even_rows(folder: Path, rows: int = 2000, words: int = 24) -> dict[str, object]:
    """Sentences of one length, so that every step is as long as the others; as the settings of a run."""
    draws = random.Random(1)
    for name in ("train", "validation"):
        lines = [json.dumps({"text": " ".join(draws.choices(WORDS, k=words)), "label": draws.choice("ab")}) for _ in range(rows)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return {"source": "files"} | {f"{name}_files": (str(folder / f"{name}.jsonl"),) for name in ("train", "validation")}


def pages(chromium: Browser, rounds: int = 8) -> dict[str, float]:
    """The paces, in turn."""
    paces: dict[str, list[float]] = {"alone": [], "visitors": [], "one page": []}
    took: list[float] = []
    with tempfile.TemporaryDirectory() as folder, training(chromium, make_config(LONG | even_rows(Path(folder)))) as (app, run, _):
        beside = {"alone": nullcontext, "visitors": lambda: visitors(app, run, took), "one page": lambda: open_page(chromium, app, run)}
        for name in list(beside) * rounds:
            with beside[name]():
                time.sleep(SETTLE)
                paces[name].append(pace(run, WINDOW))
    cost = {name: median(1 - here / alone for here, alone in zip(paces[name], paces["alone"], strict=True)) for name in paces}
    took.sort()
    late = dict(zip(("p50", "p95", "p99"), (took[int(share * len(took))] for share in (0.5, 0.95, 0.99)), strict=True))
    print(f"training alone {median(paces['alone']):.1f} sentences/s; {VISITORS} visitors cost {cost['visitors']:.1%} (bar {COST:.0%}): "
          f"{verdict(cost['visitors'] <= COST)}; one page in Chromium on the same cores costs {cost['one page']:.1%} "
          f"(bar {PAGE_COST:.0%}): {verdict(cost['one page'] <= PAGE_COST)}", flush=True)
    print(f"{len(took)} answers: " + ", ".join(f"{name} {milliseconds:.0f} ms" for name, milliseconds in late.items()) +
          f" (bar {ANSWER_MS}): {verdict(all(one <= most for one, most in zip(late.values(), ANSWER_MS, strict=True)))}", flush=True)
    return {"alone": median(paces["alone"]), "visitors cost": cost["visitors"], "one page costs": cost["one page"]} | {
        f"visitors, {name} ms": milliseconds for name, milliseconds in late.items()}


# Memory


def memory(chromium: Browser, snips: Path) -> dict[str, float]:
    """The peak of the app's resident memory, some steps after its first evaluation."""
    config = make_config(LONG | {"source": "files", "train_files": (str(snips / "train.jsonl"),),
                                 "validation_files": (str(snips / "validation.jsonl"),)})
    with training(chromium, config) as (app, run, process):
        page = chromium.new_page()
        page.goto(f"{app.url}/?run={run.id}")
        wait_for("some steps", lambda: step(page) > 12, 120)
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if ":" in line)
    peak, own = (int(lines[name].split()[0]) / 1024**2 for name in ("VmHWM", "RssAnon"))
    print(f"the app with a training on SNIPS: {peak:.2f} GB resident at most, {own:.2f} GB its own (bar {MEMORY_GB} GB): "
          f"{verdict(peak <= MEMORY_GB)}", flush=True)
    return {"resident GB": peak, "own GB": own}


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help="predictions, pages, memory (default: all)")
    parser.add_argument("--snips", type=Path, default=Path(__file__).resolve().parents[3] / "shared" / "data" / "snips")
    options = parser.parse_args()
    parts, found = options.parts or ["predictions", "pages", "memory"], {}
    with sync_playwright() as playwright:
        program = find_chromium(playwright.chromium.executable_path)
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS)
        if "predictions" in parts:
            found |= predictions(chromium)
        if "pages" in parts:
            found |= pages(chromium)
        if "memory" in parts and options.snips.is_dir():
            found |= memory(chromium, options.snips)
        chromium.close()
    print(json.dumps({name: round(value, 3) for name, value in found.items()}))


if __name__ == "__main__":
    main()
