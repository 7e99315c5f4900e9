"""From a key to the changed answer, as a person sees it in Chromium: alone, and while newsroom trains with the bundled encoder, by the
weights that train and by the starter model. Beside it, what the model itself takes.

    python tests/bench/keys.py [--keys 80]
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from page import LONG, training, verdict
from playwright.sync_api import Page, sync_playwright

from mtl.settings.config import make_config
from tests.browser import FLAGS, App, answered_by, choose, find_chromium, open_tab, text_of, wait_for

ALONE_MS, BESIDE_MS = 80, 250  # p95
PAUSE = 120  # milliseconds between two keys of a quick typist
TEXT = "shares of Norlund Shipping fell in Oslo after Acme Airlines and the striker Ines Caldeira met in Lisbon "
# a key is answered by the first answer to its text or to a later one, when that is painted
WATCH = """() => {
  const box = document.querySelector('#answer .mtl-answer'), waiting = [];
  window.took = [];
  window.own = [];
  document.addEventListener('input', (event) => waiting.push([event.timeStamp, event.target.value]), true);
  new MutationObserver(() => requestAnimationFrame(() => setTimeout(() => {
    const last = waiting.findIndex(([, text]) => text === box.querySelector('.mtl-answers')?.dataset.text);
    for (const [at] of waiting.splice(0, last + 1)) window.took.push(performance.now() - at);
    if (last >= 0) window.own.push(parseFloat(document.querySelector('#about').textContent.match(/in (\\d+) ms/)[1]));
  }))).observe(box, {childList: true});
}"""


def type_text(page: Page, address: str, model: str, keys: int) -> tuple[float, float, float]:
    """Type so many keys: the median and the 95th percentile of what a person waits, and the median of what the model takes, in ms."""
    page.goto(address)
    open_tab(page, "Predict")
    wait_for("the models", lambda: text_of(page, "model"))
    page.wait_for_timeout(2000)  # a list of models that is still on its way would choose the run's again
    choose(page, "model", model)
    box = page.locator("#text textarea")
    box.fill("The first question loads the model")
    wait_for("an answer", lambda: model.lower() in answered_by(page))
    page.wait_for_timeout(10_000)  # a page that is opened has a step rehearsed, for the estimates
    box.fill("")
    page.evaluate(WATCH)
    for place in range(keys):
        page.keyboard.type(TEXT[place % len(TEXT)])
        page.wait_for_timeout(PAUSE)
    wait_for("all answers", lambda: page.evaluate("window.took.length") >= keys - 1)  # a blank alone is no text
    took = sorted(page.evaluate("window.took"))
    return median(took), took[int(0.95 * len(took))], median(page.evaluate("window.own"))


def say(what: str, found: tuple[float, float, float], bar: float) -> dict[str, float]:
    """Print what was found."""
    middle, late, own = found
    print(f"typing to answer, {what}: median {middle:.0f} ms, p95 {late:.0f} ms, {late / own:.1f} x the {own:.0f} ms that the model takes "
          f"(bar {bar} ms): {verdict(late <= bar)}", flush=True)
    return {f"{what}, median ms": middle, f"{what}, p95 ms": late, f"{what}, over the model's": late / own}


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keys", type=int, default=80)
    keys = parser.parse_args().keys
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        chromium = playwright.chromium.launch(executable_path=find_chromium(playwright.chromium.executable_path), args=FLAGS)
        app = App(Path(folder))
        app.start()
        try:
            found = say("alone", type_text(chromium.new_page(), app.url, "Starter", keys), ALONE_MS)
        finally:
            app.kill()
        with training(chromium, make_config(LONG)) as (app, run, _):
            for what, model in {"live weights of a run": "live weights", "the starter beside a run": "Starter"}.items():
                page = chromium.new_page()
                found |= say(what, type_text(page, f"{app.url}/?run={run.id}", model, keys), BESIDE_MS)
                page.close()
        chromium.close()
    print(json.dumps({name: round(value, 1) for name, value in found.items()}))


if __name__ == "__main__":
    main()
