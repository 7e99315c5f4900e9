"""The page while a training has both cores: what a prediction takes, what open pages cost the training, what the app holds in memory.

    python tests/bench/page.py [predictions] [pages] [memory] [--snips FOLDER]

predictions  of the Predict tab, over HTTP as the page asks, while newsroom trains with the bundled encoder
pages        the training's pace with 5 pages open in Chromium against none, in turn; beside it what Chromium took, which runs on the same
             cores here but not on a visitor's machine, and what the server took (all threads of the app but the two that train)
memory       the most that the app had resident, with a page open, while it trained on SNIPS (JSONL files of tokens, tags and intent)
"""

import argparse
import json
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import psutil
from playwright.sync_api import Browser, sync_playwright

from mtl.config import RunConfig, make_config
from mtl.events import StepDone, read_events
from mtl.runs import Run, create_run
from tests.browser import FLAGS, App, can_press, find_chromium, status, step, wait_for

PAGES, WINDOW, SETTLE = 5, 15.0, 6.0
CALLS = 40
PREDICTION_MS, COST, MEMORY_GB = 400, 0.05, 1.6
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
    body = json.dumps({"data": [choice, "auto", text], "fn_index": handler, "session_hash": session}).encode()
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
        button = next(part["id"] for part in page["components"] if part["props"].get("elem_id") == "predict")
        handler = next(event["id"] for event in page["dependencies"] if [button, "click"] in map(list, event["targets"]))
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
    steps = [logged for logged in read_events(run.log.path) if isinstance(logged.event, StepDone)]
    before = next(logged.event for logged in reversed(steps) if logged.time < begin)
    after = [logged.event for logged in steps if logged.time >= begin]
    took = [later.seconds - earlier.seconds for earlier, later in zip([before, *after], after, strict=False)]
    return sum(step.sentences_per_second * part for step, part in zip(after, took, strict=True)) / sum(took)


def cpu(process: psutil.Process) -> tuple[float, float]:
    """CPU seconds so far: of all but the two busiest threads of the app, and of everything else that this process started."""
    threads = sorted(thread.user_time + thread.system_time for thread in process.threads())
    others = [child for child in psutil.Process().children(recursive=True) if child.pid != process.pid]
    return sum(threads[:-2]), sum(sum(child.cpu_times()[:2]) for child in others if child.is_running())


def pages(chromium: Browser, rounds: int = 2) -> dict[str, float]:
    """The pace without and with pages, in turn."""
    paces: dict[bool, list[float]] = {False: [], True: []}
    server: dict[bool, list[float]] = {False: [], True: []}
    browser = []
    with training(chromium, make_config(LONG)) as (app, run, process):
        shown = [chromium.new_page() for _ in range(PAGES)]
        for is_open in [False, True] * rounds:
            for page in shown:
                page.goto(f"{app.url}/?run={run.id}" if is_open else "about:blank")
            time.sleep(SETTLE)
            before, start = cpu(process), time.perf_counter()
            paces[is_open].append(pace(run, WINDOW))
            after, took = cpu(process), time.perf_counter() - start
            server[is_open].append(60 * (after[0] - before[0]) / took)
            if is_open:
                browser.append((after[1] - before[1]) / took)
    without, beside = median(paces[False]), median(paces[True])
    cost, own = 1 - beside / without, median(server[True]) - median(server[False])
    share = own / 60 / psutil.cpu_count()
    print(f"training alone {without:.1f} sentences/s, beside {PAGES} open pages {beside:.1f}: they cost {cost:.1%}, Chromium's own work "
          f"included ({median(browser):.2f} cores)")
    print(f"the server took {own:.1f} CPU seconds a minute for {PAGES} pages, {share:.1%} of the cores (bar {COST:.0%}): "
          f"{verdict(share <= COST)}", flush=True)
    return {"alone": without, "beside pages": beside, "cost": cost, "chromium cores": median(browser), "server CPU s/min": own}


# Memory


def memory(chromium: Browser, snips: Path) -> dict[str, float]:
    """The peak of the app's resident memory, some steps after its first evaluation."""
    config = make_config(LONG | {"source": "files", "train_files": (str(snips / "train.jsonl"),), "dev_files": (str(snips / "dev.jsonl"),)})
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
