"""What many tests need: a tiny encoder that was never trained, its tokenizer, small settings, files of rows; and for the tests of the
page a Chromium, the app as a process of its own, people with browsers of their own."""

import json
import os

os.environ.setdefault("OMP_THREAD_LIMIT", "1")  # threads that wait for each other while the other tests have the cores; read by torch

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from mtl.data.words import Span
from mtl.jobs.queue import Jobs
from mtl.model.encoder import load_encoder
from mtl.model.multitask import MultiTaskConfig, build_model
from mtl.settings.config import RunConfig, TaskSpec, make_config
from mtl.training.loop import train
from tests import browser as web
from tests.browser import App, text_of, wait_for
from tests.fake_hub import FakeHub

# the same examples every time, so that what fails is what was changed; MTL_FUZZ=1 draws others
hypothesis.settings.register_profile("same", derandomize=not os.environ.get("MTL_FUZZ"))
hypothesis.settings.load_profile("same")

TEXTS = ["Book a table in Rome for two.", "Fly from New York to Paris tomorrow!", "Play some jazz by Miles Davis",
         "It is far from good, Anna said."]
SPECS = (TaskSpec(name="intent", kind="classification", labels=("book", "fly", "play")),
         TaskSpec(name="mood", kind="classification", labels=("bad", "good")),
         TaskSpec(name="slots", kind="tagging", labels=("LOC", "PER")))


@pytest.fixture(scope="session")
def tiny():
    """The tiny encoder and its tokenizer; not to be changed."""
    return load_encoder("tiny", TEXTS, seed=5)


@pytest.fixture(scope="session", params=["bundled", "tiny"])
def tokenizer(request, tiny):
    """The bundled and the tiny tokenizer, in turn."""
    return load_encoder("bundled")[1] if request.param == "bundled" else tiny[1]


@pytest.fixture
def make_model(tiny):
    """A function that builds a model (by default on the tiny encoder, for three tasks), in eval mode."""
    def make(encoder=None, specs=SPECS, encoder_dropout=None, seed=0, **changes):
        config = MultiTaskConfig(tasks=[spec.model_dump(mode="json") for spec in specs], **{"max_length": 32} | changes)
        return build_model(encoder or tiny[0], config, encoder_dropout, seed).eval()

    return make


LONGEST = ("test_page.py", "test_zero_gpu.py", "test_page_space.py", "test_page_form.py", "test_page_messages.py",
           "test_page_compare.py", "test_page_data.py", "test_main.py", "test_page_layout.py", "test_page_scores.py",
           "test_endpoints.py", "test_checkpoint.py", "test_page_steer.py", "test_page_predict_many.py", "test_page_teach.py",
           "test_page_why.py", "test_page_pins.py", "test_why.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest come first, so that in the end no process is left alone with one of them."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


@pytest.fixture(scope="session")
def tiny_config() -> Callable[..., RunConfig]:
    """A function that makes settings for a run of a second or less."""
    def make(**changes) -> RunConfig:
        return make_config({"source": "hypothetical", "encoder": "tiny", "hypothetical_rows": 60, "epochs": 2, "batch_size": 16,
                            "learning_rate": 2e-3, "head_learning_rate": 2e-3, "device": "cpu", "precision": "fp32",
                            "threads": 1, "quick_looks": False} | changes)

    return make


@pytest.fixture(scope="session")
def finish():
    """A function that trains to the end and returns all events."""
    def run(config: RunConfig, folder: Path, **how) -> list:
        folder.mkdir(parents=True, exist_ok=True)
        return list(train(config, folder, **how))

    return run


@pytest.fixture(scope="session")
def write_rows():
    """A function that writes rows, {text, task: value}, to a JSONL file and returns its path as text."""
    def plain(value):
        return [{"start": span.start, "end": span.end, "label": span.label} for span in value] if isinstance(value, tuple) else value

    def write(path: Path, rows: list[dict]) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps({key: plain(value) for key, value in row.items()}) + "\n" for row in rows), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture(scope="session")
def easy_rows():
    """A function that makes rows of which a tiny encoder learns everything within few epochs."""
    def make(count: int) -> list[dict]:
        rows = []
        for index in range(count):
            start, place = ("yes please go", ("Rome", "Oslo")[index % 3 % 2]) if index % 2 else ("no never stay", "Lima")
            text = f"{start} {'very ' * (index % 4)}now {place}"
            rows.append({"text": text, "answer": start.split()[0], "place": (Span(len(text) - 4, len(text), "LOC"),)})
        return rows

    return make


@pytest.fixture
def jobs(tmp_path):
    """Jobs over an empty folder; whatever still runs at the end is stopped."""
    made = Jobs(tmp_path / "runs")
    yield made
    made.close()


# The page


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With the failure of a browser's test, what was on its pages then, and what the app had printed."""
    report, browser = (yield), item.funcargs.get("chromium")
    if browser and report.when == "call" and report.failed:
        for page in (page for context in browser.contexts for page in context.pages):
            report.sections.append((f"page {page.url}", web.summary(page)))
        report.sections.append(("app", item.funcargs["app"].output[-3000:] if "app" in item.funcargs else ""))
    return report


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """A Chromium for all tests."""
    with sync_playwright() as playwright:
        program = web.find_chromium(playwright.chromium.executable_path)
        if not program:
            pytest.skip("No Chromium: install Debian's package 'chromium-headless-shell', or run 'playwright install chromium'.")
        chromium = playwright.chromium.launch(executable_path=program, args=web.FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def hub(tmp_path_factory) -> Iterator[FakeHub]:
    """The Hub of the app: a small one on this machine, still empty."""
    hub = FakeHub(tmp_path_factory.mktemp("hub"))
    yield hub
    hub.close()


@pytest.fixture(scope="session")
def app(chromium, hub, tmp_path_factory) -> Iterator[App]:
    """The app, with runs of its own; one for all tests, as it takes long to start: what a test starts there it also ends."""
    app = App(tmp_path_factory.mktemp("app"))
    app.environment |= {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(app.runs.with_name("cache")),
                        "HF_HUB_DISABLE_XET": "1"}
    app.start()
    yield app
    app.kill()
    assert not (trouble := app.trouble()), trouble


@pytest.fixture
def complaints() -> list[str]:
    """Errors that the browser reported in this test."""
    return []


@pytest.fixture(scope="session")
def usual_browser(chromium) -> BrowserContext:
    """The browser of the first person of every test; it need not fetch and compile the page's scripts again, which takes seconds."""
    return chromium.new_context(viewport={"width": 1280, "height": 900})


def is_error(message: ConsoleMessage) -> bool:
    """Whether the browser reports an error, other than that a page was left while Gradio waited for an answer. A connection that is really
    lost fails the test: the page answers nothing any more."""
    return message.type == "error" and "AbortError" not in message.text and "Connection errored out" not in message.text


@pytest.fixture
def new_person(chromium, usual_browser, app, complaints) -> Iterator[Callable[..., BrowserContext]]:
    """A function that makes another person's browser. In the end neither a page nor the app may have had an error."""
    contexts, said = [], len(app.output)
    listeners = {"weberror": lambda error: complaints.append(f"uncaught: {error.error}"),
                 "console": lambda message: complaints.append(f"console: {message.text}") if is_error(message) else None}

    def make(**settings) -> BrowserContext:
        context = usual_browser if not settings and usual_browser not in contexts else chromium.new_context(
            **{"viewport": {"width": 1280, "height": 900}} | settings)
        context.set_default_timeout(30_000)
        for event, listener in listeners.items():
            context.on(event, listener)
        contexts.append(context)
        return context

    yield make
    for context in contexts:
        if context is not usual_browser:
            context.close()
            continue
        for index, page in enumerate(context.pages):
            if not index:
                page.evaluate("localStorage.clear()")
            page.close()
        context.clear_cookies()
        for event, listener in listeners.items():
            context.remove_listener(event, listener)
    assert complaints == []
    assert not (trouble := app.trouble(said)), trouble


@pytest.fixture
def open_page(app) -> Callable[..., Page]:
    """A function that opens the page, with a run and a query if wanted, and waits until it has understood some data."""
    def open_it(person: BrowserContext, run_id: str = "", query: str = "") -> Page:
        page = person.new_page()
        page.goto(f"{app.url}/?{f'run={run_id}&' * bool(run_id)}{query}")
        wait_for("the data to be understood", lambda: "rows" in text_of(page, "findings"))
        return page

    return open_it
