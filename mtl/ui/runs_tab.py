"""The Runs tab: a table of one's runs, of which several can be chosen. Pure functions, then layout, wiring, handlers."""

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from mtl.comparing.cost import cost
from mtl.data.dataset import describe_source
from mtl.errors import MtlError
from mtl.runs.folder import LONGEST, Run, list_runs, open_run
from mtl.runs.history import ACTIVE, History
from mtl.settings.config import RunConfig
from mtl.text import duration, many
from mtl.training.teach import read_taught
from mtl.ui import form
from mtl.ui.charts import Markup, main_score, table_html
from mtl.ui.compare_tab import CompareTab
from mtl.ui.form_panel import FormPanel
from mtl.ui.page import MENU_LENGTH, Menu, Page, Values, text_of
from mtl.ui.status import made_at
from mtl.ui.templates import render


@dataclass(frozen=True)
class Listed:
    """A line of the table. `cost` is that of asking whether training together helped; empty if it cannot be asked."""

    id: str
    name: str
    note: str
    when: str
    state: str
    is_over: bool
    data: str
    scores: Sequence[tuple[str, float]]
    trained: str
    cost: str


def list_it(run: Run, history: History) -> Listed:
    """What the table says of `run`; raises MtlError if its settings cannot be read."""
    started, best, data = history.started, history.best, describe_source(run.config)
    scores = {task: main_score(best, task, facts) for task, facts in started.tasks.items()} if started and best else {}
    asked = ""
    if started and history.status == "finished":
        with suppress(MtlError):
            asked = cost(history, "alone", len(started.tasks)).words
    return Listed(run.id, run.name or data, run.note, made_at(run.id), history.state, history.status not in ACTIVE, data,
                  [(task, score) for task, score in scores.items() if score is not None],
                  duration(history.steps[-1].seconds) if history.steps else "–", asked)


def runs_html(runs: Sequence[Listed]) -> str:
    """The table."""
    return render("runs.html", runs=runs, host=os.environ.get("SPACE_HOST", "").split(",")[0])


def differing(configs: Sequence[RunConfig]) -> list[list[str]]:
    """The settings, but the name, that are not the same in all `configs`: title, and a value for each."""
    rows = []
    for name, field in RunConfig.model_fields.items():
        values = [_shown(name, getattr(config, name)) for config in configs]
        if name != "name" and len(set(values)) > 1:
            rows.append([field.title, *values])
    return rows


def _shown(name: str, value: Any) -> str:
    """A setting as a cell shows it: files, tasks, columns and datasets by their names."""
    if name == "steering":
        return " ".join(change.said for change in value) or "–"
    if isinstance(value, tuple):
        parts = 2 if name == "columns" else 1  # a column and its role
        value = ", ".join(Path(one).name if isinstance(one, str) else "=".join([*dict(one).values()][:parts]) for one in value)
    return str(form.shown(name, value)) or "–"


def differing_html(runs: Sequence[Run]) -> str:
    """The chosen `runs` side by side: only the settings that differ; empty for fewer than two."""
    if len(runs) < 2:
        return ""
    rows = differing([run.config for run in runs])
    names = [run.name or describe_source(run.config) for run in runs]
    table = table_html(["Setting", *names], rows) if rows else "<p>They have the same settings.</p>"
    return Markup(f'<section class="mtl-panel mtl-differing"><h2>Settings that differ <small>between the {many(len(runs), "run")} '
                  f"chosen</small></h2>{table}</section>")


class RunsTab:
    """The table, what is chosen in it, and the handlers of both."""

    def __init__(self, page: Page, menu: Menu, form_panel: FormPanel) -> None:
        self.page, self.jobs, self.menu, self.form = page, page.jobs, menu, form_panel
        # runs.js draws the value itself: Gradio would draw it while the user types
        self.table = gr.HTML(html_template='<div class="mtl-list"></div>', js_on_load=text_of("runs.js"), elem_id="runs")
        self.differing = gr.HTML(elem_id="differing")

    def wire(self, tab: gr.Tab, compare: CompareTab) -> None:
        """The events of the tab; `compare` answers whether training together helped."""
        page, quiet = self.page, self.page.quiet
        tab.select(self.show, page.browser, self.table, **quiet)
        is_open = "(browser) => [document.querySelector('#runs')?.offsetParent ? browser : null]"
        page.news.change(self.show, page.browser, self.table, js=is_open, **quiet)
        self.table.input(self.change, page.browser, [self.table, self.differing], trigger_mode="multiple", **quiet)
        shown = self.table.click(self.turn_to, page.browser, self.menu.outputs, **quiet)
        again = self.table.submit(self.take, None, self.form.outputs, **quiet)
        shown.then(self.form.fill, page.run_id, self.form.outputs, **quiet).then(**self.form.data.read)
        again.then(**self.form.data.read)
        self.table.help(compare.ask_of, page.browser, compare.menu.outputs, **quiet)

    def show(self, browser: dict | None) -> Any:
        """The table as it is now; as it was if the tab is not open (no `browser`)."""
        return self._table(browser["key"]) if browser else gr.skip()

    def _table(self, key: str) -> str:
        listed = []
        for run in list_runs(self.jobs.root, key, most=MENU_LENGTH):
            with suppress(MtlError):  # deleted meanwhile, or its settings cannot be read
                listed.append(list_it(run, self.jobs.history(run.id)))
        return runs_html(listed)

    def change(self, browser: dict, event: gr.EventData) -> Values:
        """Name a run, note something, delete it; or show what differs between those that are chosen. Only the owner changes a run."""
        if event.action == "choose":
            runs = [open_run(self.jobs.root, run_id) for run_id in event.value.split()[:MENU_LENGTH]]
            return {self.differing: differing_html(runs)}
        if event.action == "delete":
            self.jobs.delete(event.id, browser["key"])
        elif event.action in LONGEST:
            self.jobs.describe(event.id, browser["key"], **{event.action: event.value})
        return {self.table: self._table(browser["key"])}

    def turn_to(self, browser: dict, event: gr.EventData) -> Values:
        """Show a run on every tab."""
        return self.menu.turn_to(open_run(self.jobs.root, event.id).id, browser)

    def take(self, event: gr.EventData) -> Values:
        """Put the settings of a run into the form, to run it again, with the changes in its middle."""
        if read_taught(open_run(self.jobs.root, event.id)):
            raise MtlError("This run learned from corrections. To do that again, choose a model in the Predict tab and let it learn.")
        return self.form.fill(event.id, with_changes=True)
