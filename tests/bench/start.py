"""How long a person waits at the start: for the command line's help, for the page, and for the first point of a first run.

    python tests/bench/start.py [--rounds 5] [--browser-rounds 3]

Prints medians beside their bars. Importing torch and gradio is timed in the same minutes and is the ratio's other side: a slow machine is
slow at both. Each round of the browser starts the app twice. Once the first run is started as soon as the page can be used, which is cold
(torch is being loaded since the page was served), and then another one, which is warm; once it is started by somebody who reads the page
for some seconds first.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from playwright.sync_api import Page, sync_playwright

from tests.browser import FLAGS, ROOT, App, address, can_press, find_chromium, status, text_of, wait_for

BARS = {"help": 1.5, "page": 8.0, "cold": 6.0, "read": 6.0, "warm": 3.0}  # seconds
READS = 15.0
HAS_POINT = """() => Object.keys(document.querySelector('#curves .mtl-curves')?.mtlCurves.series() ?? {}).some(
    name => name.endsWith(' train'))"""


def seconds_of(act: Callable[[], object]) -> float:
    """How long `act` takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def python(*arguments: str) -> float:
    """Seconds that a Python process takes."""
    return seconds_of(lambda: subprocess.run([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True))


def first_point(page: Page) -> float:
    """Seconds from pressing Start to the first point drawn; the run is stopped then."""
    before = address(page)
    page.locator("#start").click()
    start = time.perf_counter()
    wait_for("the new run", lambda: address(page) != before)
    page.wait_for_function(f"() => !({HAS_POINT})()", polling=20, timeout=60_000)  # what was drawn belonged to the run before
    page.wait_for_function(HAS_POINT, polling=50, timeout=60_000)
    seconds = time.perf_counter() - start
    wait_for("a run that can be stopped", lambda: can_press(page)["stop"])
    page.locator("#stop").click()
    wait_for("the run to stop", lambda: status(page) == "stopped")
    return seconds


def browse(rounds: int) -> dict[str, list[float]]:
    """A page and each way to start for each round, in Chromium; nothing without one."""
    times: dict[str, list[float]] = {"page": [], "cold": [], "warm": [], "read": []}
    with sync_playwright() as playwright:
        program = find_chromium(playwright.chromium.executable_path)
        chromium = program and playwright.chromium.launch(executable_path=program, args=FLAGS)
        for is_read in [False, True] * (rounds if chromium else 0):
            with tempfile.TemporaryDirectory() as folder:
                app = App(Path(folder))
                times["page"].append(seconds_of(app.start))
                try:
                    page = chromium.new_page()
                    page.goto(app.url)
                    wait_for("the data to be understood", lambda page=page: "rows" in text_of(page, "findings"))
                    if is_read:
                        page.wait_for_timeout(1000 * READS)
                        times["read"].append(first_point(page))
                    else:
                        times["cold"].append(first_point(page))
                        times["warm"].append(first_point(page))
                    page.close()
                finally:
                    app.kill()
        if chromium:
            chromium.close()
    return times


def start_app() -> float:
    """Seconds from `python app.py` to the first page served."""
    with tempfile.TemporaryDirectory() as folder:
        app = App(Path(folder))
        seconds = seconds_of(app.start)
        app.kill()
    return seconds


def main() -> None:
    """Measure, compare with the bars, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="of --help, of the page, and half as many imports")
    parser.add_argument("--browser-rounds", type=int, default=3, help="0: no browser")
    options = parser.parse_args()
    times = browse(options.browser_rounds)
    times["page"] += [start_app() for _ in range(options.rounds - len(times["page"]))]
    times["help"] = [python("-m", "mtl", "--help") for _ in range(options.rounds)]
    for name in ("torch", "gradio"):
        times[name] = [python("-c", f"import {name}") for _ in range((options.rounds + 1) // 2)]
    found = {name: median(seconds) for name, seconds in times.items() if seconds}
    told = {"help": ("python -m mtl --help", "torch"), "page": ("python app.py to the first page", "gradio"),
            "cold": ("Start to the first point, cold", "torch"), "read": (f"the same, {READS:g} s later", "torch"),
            "warm": ("Start to the first point, warm", "torch")}
    print(f"import torch {found['torch']:.2f} s, import gradio {found['gradio']:.2f} s")
    for name, (what, other) in told.items():
        if name in found:
            print(f"{what:<32} {found[name]:5.2f} s ({min(times[name]):.2f} to {max(times[name]):.2f}), "
                  f"{found[name] / found[other]:4.1f} x import {other}; bar {BARS[name]:g} s: "
                  f"{'ok' if found[name] <= BARS[name] else 'missed'}", flush=True)
    print(json.dumps({name: round(seconds, 3) for name, seconds in found.items()}))


if __name__ == "__main__":
    main()
