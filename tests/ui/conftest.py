"""A short run for pages to show; and the tabs of a page that nobody has opened, so that handlers can be called without a browser."""

from types import SimpleNamespace

import gradio as gr
import pytest

from mtl.jobs.queue import Jobs
from mtl.runs.folder import create_run
from mtl.training.execute import run_training
from mtl.ui.compare_tab import CompareTab
from mtl.ui.header import Header
from mtl.ui.page import Page
from mtl.ui.train_tab import TrainTab


@pytest.fixture
def tabs(tmp_path):
    """The Train and the Compare tab, and the `form` of the former. No run that is started there is trained."""
    jobs = Jobs(tmp_path / "runs")
    jobs._start_worker = lambda: None
    with gr.Blocks():
        page = Page(jobs, gr.BrowserState({}))
        train = TrainTab(page, Header(page))
        with gr.Tab() as here:
            return SimpleNamespace(page=page, jobs=jobs, train=train, form=train.form, compare=CompareTab(page, train.form, here))


@pytest.fixture
def filled(tabs):
    """A function that returns what is in the form if these widgets of its data, and these settings, are filled."""
    def fill(source: str = "files", settings: dict[str, str] | None = None, **data) -> dict:
        form = tabs.form
        values = {widget: widget.value for widget in form.inputs} | {tabs.page.browser: {"key": "k", "run": ""}, form.data.source: source}
        values |= {form.settings[name]: value for name, value in (settings or {}).items()}
        return values | {getattr(form.data, name): value for name, value in data.items()}

    return fill


@pytest.fixture(scope="session")
def short_run(app, tiny_config):
    """A short run in the app that is over; like one from the terminal it belongs to nobody."""
    run = create_run(app.runs, tiny_config(name="A short one", eval_every=2))
    assert run_training(run, resume=False) == "finished"
    return run
