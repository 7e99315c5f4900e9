"""What the tests of the page share: a browser, the app as a process of its own, and readings of what a person would see. Everything is
polled with generous limits, because the machine may be slow; nothing here says how fast it has to be."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from playwright.sync_api import Error, Page

ROOT = Path(__file__).resolve().parent.parent
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]
PATIENCE = 120.0  # seconds after which what did not happen will not
# what may have the focus after a button; a stopped run is queued at first, when it cannot be paused
HEIRS = {"pause": ("resume",), "resume": ("pause", "status"), "stop": ("status", "resume")}


def find_chromium(own: str = "") -> str | None:
    """The path of a Chromium on this machine, `own` being Playwright's; None if there is none."""
    # without a window of its own it draws every page in half the time
    names = ("chromium-headless-shell", "/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
    candidates = [*(shutil.which(name) or "" for name in names), own]
    return next((path for path in candidates if path and Path(path).is_file()), None)


def wait_for(what: str, look: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """The first true answer of `look`; fails, saying `what` was waited for and what was last seen, if there is none in time."""
    end = time.monotonic() + seconds
    while True:
        try:
            seen = look()
        except Error as error:  # the page is being drawn anew
            seen, trouble = None, error
        else:
            trouble = seen
        if seen:
            return seen
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}; last seen: {trouble!r}"
        time.sleep(0.1)


class App:
    """The `program` app.py on a free port, with its runs and uploads under `folder`."""

    def __init__(self, folder: Path, program: Path = ROOT / "app.py") -> None:
        self.runs, self._folder, self._program = folder / "runs", folder, program
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(("GRADIO_", "SPACE"))} | {
            "MTL_RUNS": str(self.runs), "GRADIO_SERVER_PORT": str(self._port), "GRADIO_TEMP_DIR": str(folder / "uploads"),
            "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}

    @property
    def output(self) -> str:
        """What the app has printed, without what Python says of event loops that Gradio 6.31 makes on a Space and never closes, and without
        what Gradio says when a page that waits in its queue was left just then."""
        said = re.sub(r"Exception ignored in: <function BaseEventLoop.__del__.*?Invalid file descriptor: -1\n", "",
                      (self._folder / "app.log").read_text(), flags=re.DOTALL)
        rest = r"(?:(?!ERROR:    ).)*?"
        return re.sub(rf"ERROR:    Exception in ASGI application\n{rest}in sse_stream\n{rest}HTTPException: 404: Not Found\n{rest}"
                      r"RuntimeError: Caught handled exception, but response already started\.\n", "", said, flags=re.DOTALL)

    def trouble(self, since: int = 0) -> str:
        """What the app has printed around the first traceback after so many characters of its output; empty if there is none."""
        said = self.output[since:]
        at = said.find("Traceback")
        return "" if at < 0 else said[max(0, at - 300):at + 4000]

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        with open(self._folder / "app.log", "a") as log:
            self._process = subprocess.Popen([sys.executable, self._program.name], cwd=self._program.parent, env=self.environment,
                                             stdout=log, stderr=log)
        try:
            wait_for("the app's first answer", self._answers, 120)
        except BaseException:
            self.kill()
            raise

    def _answers(self) -> bool:
        assert self._process.poll() is None, f"the app ended: {self.output}"
        try:
            return urllib.request.urlopen(self.url, timeout=10).status == 200
        except OSError:
            return False

    def kill(self) -> None:
        """As kill -9 does: the app saves and prints nothing more, nor do processes that it forked."""
        for child in psutil.Process(self.pid).children(recursive=True):
            child.kill()
        self._process.kill()
        self._process.wait()


# What is on the page


def address(page: Page) -> str:
    """The text in the address bar now; `page.url` is only as new as the last event that Playwright has worked off."""
    return page.evaluate("window.location.href")


def status(page: Page, place: str = "status") -> str:
    """The word in the badge of the run, or of the comparison in its `place`; empty before there is one."""
    badge = page.locator(f"#{place} .mtl-badge")
    return badge.inner_text() if badge.count() else ""


def message(page: Page) -> str:
    """The text in the message box; empty if there is none."""
    box = page.locator("#message .mtl-message span")
    return box.inner_text() if box.count() else ""


def step(page: Page) -> int:
    """The step that the status line names, 0 before the first."""
    found = re.search(r"step ([\d,]+) of", page.locator("#status").inner_text())
    return int(found[1].replace(",", "")) if found else 0


def can_press(page: Page) -> dict[str, bool]:
    """Which of the run's buttons are enabled."""
    return {name: page.locator(f"#{name}").is_enabled() for name in ("pause", "resume", "stop")}


def text_of(page: Page, box: str) -> str:
    """The text in the box with the id `box`."""
    return page.locator(f"#{box} textarea, #{box} input").first.input_value()


def points(page: Page, place: str = "curves") -> dict[str, dict[int, float]]:
    """Every line that is drawn in the charts of that `place`: series -> step -> value."""
    lines = page.evaluate("id => document.querySelector(`#${id} .mtl-curves`)?.mtlCurves.series() ?? {}", place)
    return {name: dict(line) for name, line in lines.items()}


def drawn(page: Page, place: str = "curves") -> dict[str, int]:
    """Every such line but those of quick looks, with the number of its points."""
    return {name: len(line) for name, line in points(page, place).items() if not name.endswith(", sampled")}


def legend(page: Page, chart: str) -> list[str]:
    """The names in the legend of the chart."""
    return page.locator(f"[data-chart={chart}] .mtl-key bdi").all_text_contents()


def pieces(page: Page, index: int = 0) -> list[tuple[str, str | None]]:
    """What the Predict tab highlights, piece by piece with its label, as it stands in the page: no blank is lost or made."""
    return [tuple(piece) for piece in page.locator("#answer .mtl-tags p").nth(index).locator("> span, > mark").evaluate_all(
        "parts => parts.map(part => [(part.querySelector('span') ?? part).textContent, part.querySelector('bdi')?.textContent ?? null])")]


def probabilities(page: Page, index: int = 0) -> dict[str, float]:
    """The classes of the Predict tab with their probabilities, as wide as their bars: the chosen ones first, then the likeliest."""
    return dict(page.locator("#answer .mtl-classes").nth(index).locator("li").evaluate_all(
        "bars => bars.map(bar => [bar.querySelector('bdi').textContent, parseFloat(bar.querySelector('i').style.width) / 100])"))


def chosen(page: Page, index: int = 0) -> list[str]:
    """The classes of the Predict tab that are chosen."""
    return page.locator("#answer .mtl-classes").nth(index).locator(".mtl-chosen bdi").all_inner_texts()


def answered_by(page: Page) -> str:
    """Who gave the answer that is shown, and on which device; empty while there is none, or one to another question."""
    if page.locator("#answer .mtl-answer[aria-busy=true]").count():
        return ""
    return page.locator("#about").inner_text().partition("(")[2].removesuffix(")")


def ticked(page: Page) -> list[str]:
    """The tasks that are ticked."""
    return [label.inner_text() for label in page.locator("#tasks label").all() if label.locator("input").is_checked()]


def check_legends(page: Page) -> None:
    """The legends of the short run name every series of its charts and are not cut off."""
    assert legend(page, "scores") == ["class", "sentiment", "entities f1", "everything right"]
    assert legend(page, "loss") == ["class", "sentiment", "entities"]
    for chart in ("scores", "loss"):
        box, frame = (page.locator(f"[data-chart={chart}] {part}").bounding_box() for part in (".mtl-key", ".mtl-chart"))
        assert box["x"] >= frame["x"] and box["x"] + box["width"] <= frame["x"] + frame["width"] + 1


def is_too_wide(page: Page) -> bool:
    """Whether a person has to scroll sideways."""
    return page.evaluate("document.documentElement.scrollWidth > window.innerWidth + 1")


def summary(page: Page) -> str:
    """What is on the page, for whoever reads why a test failed."""
    with suppress(Error):
        return (f"status: {status(page)!r}, message: {message(page)!r}, can press: {can_press(page)}, focus: "
                f"{page.evaluate('document.activeElement.id || document.activeElement.outerHTML.slice(0, 200)')!r}\n"
                f"{page.locator('body').inner_text()[:4000]}")
    return "it cannot be read"


# What a person does


def press(page: Page, button: str, until: str | None = None) -> None:
    """Press a button of a run or a comparison by the keyboard once it is enabled, say yes if asked, and wait for the state that it leads
    to. A button that can no longer be pressed then leaves the focus to another part."""
    wait_for(f"{button} to be enabled", page.locator(f"#{button}").is_enabled)
    if button.endswith("delete"):
        page.once("dialog", lambda dialog: dialog.accept())
    page.locator(f"#{button}").focus()
    page.keyboard.press("Enter")
    if until is not None:
        place = "compare-state" if button.startswith("compare") else "status"
        wait_for(f"the state '{until}'", lambda: status(page, place) == until)
    if until and button in HEIRS:
        wait_for("the focus", lambda: page.evaluate("document.activeElement.id") in HEIRS[button])


def open_tab(page: Page, name: str) -> None:
    """Click a tab's name."""
    page.get_by_role("tab", name=name).click()


def choose(page: Page, menu: str, option: str) -> None:
    """Open the menu with the id `menu` and click the first entry that contains `option`; retried, as opening it may bring it up to date."""
    def try_it() -> bool:
        page.locator(f"#{menu} input").click()
        entry = page.get_by_role("option").filter(has_text=option).first
        try:
            entry.wait_for(state="visible", timeout=3000)
            entry.click(timeout=3000)
        except Error:
            page.keyboard.press("Escape")
            page.locator(f"#{menu} input").blur()
        return option in text_of(page, menu)

    wait_for(f"'{option}' in the menu '{menu}'", try_it)


def upload(page: Page, *paths: Path) -> None:
    """Put files where the page takes them, in place of those that are there."""
    clear = page.locator("#files").get_by_label("Clear")
    if clear.count():
        clear.first.click()
        clear.first.wait_for(state="detached")
    page.locator("#files input[type=file]").set_input_files([str(path) for path in paths])


def bring(page: Page, summary: str, *files: Path) -> None:
    """Choose one's own files in place of the data that are there, and wait until the page sums them up in words that begin so."""
    page.get_by_label("My own files").check()
    upload(page, *files)
    wait_for(f"'{summary}'", lambda: text_of(page, "findings").startswith(summary))


def open_settings(page: Page) -> None:
    """Unfold the settings, which are drawn only then."""
    if not page.locator("#field-encoder").is_visible():
        page.locator("#settings > button").click()
        page.locator("#field-encoder").wait_for()


def set_field(page: Page, name: str, value: str) -> None:
    """Type `value` into a setting, unless it is there already."""
    open_settings(page)
    field = page.locator(f"#field-{name} input, #field-{name} textarea").first
    if field.input_value() != value:
        field.fill(value)
        field.press("Enter")
        field.blur()


def ask(page: Page, text: str) -> str:
    """Type `text` in the Predict tab, and return who answered; where that costs something, press the button. Every text is to be asked
    once."""
    page.locator("#text textarea").fill(text)
    if page.locator("#predict").is_visible():
        page.locator("#predict").click()
    return wait_for("an answer", lambda: "".join(piece for piece, _ in pieces(page)) == text and answered_by(page))


def start(page: Page, clicks: int = 1) -> str:
    """Press Start and wait for a run that was not there; its id."""
    before = address(page)
    page.locator("#start").click(click_count=clicks)
    wait_for("the run's address", lambda: address(page) != before and "run=" in address(page))
    return address(page).partition("run=")[2].partition("&")[0]


def start_tiny(page: Page, epochs: int = 2000, **settings: str) -> str:
    """Start a run with the tiny encoder, by default one that does not end by itself; its id."""
    set_field(page, "encoder", "tiny")
    set_field(page, "epochs", str(epochs))
    set_field(page, "learning_rate", "0.002")
    for name, value in settings.items():
        set_field(page, name, value)
    return start(page, clicks=2)  # people double-click
