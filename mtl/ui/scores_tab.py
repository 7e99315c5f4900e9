"""The Scores tab: what the run that is shown gets right and wrong on its validation rows, and, once, on its test rows. What needs torch is
imported when it is asked for."""

from typing import Any

import gradio as gr

from mtl.errors import MtlError
from mtl.jobs.queue import Jobs
from mtl.runs.checkpoint import BEST
from mtl.runs.folder import Run, open_run
from mtl.scoring.measure import TEST, VALIDATION, SplitScores, measure_test, measure_validation, read_measured
from mtl.ui.data_view import problem_html
from mtl.ui.page import Page, Values, hidden_text
from mtl.ui.scores_view import NOT_YOURS, measured_html, why_not_test, why_not_validation
from mtl.ui.status import shown_run_html, state_of

CONFIRM = ("The test rows are measured only once. Choose the run by its validation scores first: if you look at test scores and then "
           "change "
           "something, they no longer tell how good the model is on new text. Measure now?")


# Pure functions of what is on disk


def scores_state(jobs: Jobs, run_id: str, key: str) -> tuple[str, str, str, str]:
    """Why validation and why test cannot be measured now, the scores as HTML, and what tells whether any of it has changed."""
    try:
        run, history = open_run(jobs.root, run_id), jobs.history(run_id)
    except MtlError as error:  # none is shown, or it was deleted
        why = str(error) if run_id else why_not_validation(None)
        return why, why, "", run_id
    looks = [look for look in (_read(run, TEST), _read(run, VALIDATION)) if look]
    test = next((look for look in looks if look.split == TEST), None)
    labels = {name: task["labels"] for name, task in history.started.tasks.items()} if history.started else {}
    try:
        why = why_not_validation(history), why_not_test(run, history, run.belongs_to(key), test)
    except MtlError as error:  # its settings cannot be read
        why = str(error), str(error)
    now = repr([run_id, state_of(run), *why, *((look.time, look.is_of(run)) for look in looks)])
    return *why, shown_run_html(run) + "".join(measured_html(run, look, labels) for look in looks), now


def _read(run: Run, split: str) -> SplitScores | None:
    """What was measured; a file that cannot be read is told about by whoever measures."""
    try:
        return read_measured(run, split)
    except MtlError:
        return None


# Layout and wiring


class ScoresTab:
    """The widgets of the tab, made once, and the handlers that they call."""

    def __init__(self, page: Page, tab: gr.Tab) -> None:
        self.page, self.jobs = page, page.jobs
        with gr.Row():
            self.validation_button = gr.Button("Check the validation rows", variant="primary", interactive=False, elem_id="look-validation",
                                               min_width=140)
            self.test_button = gr.Button("Measure on the test rows (once)", interactive=False, elem_id="measure-test", min_width=200)
        self.note = gr.Markdown(elem_id="scores-note")
        self.problem = gr.HTML(visible=False, elem_id="scores-problem")
        self.scores = gr.HTML(elem_id="scores")
        self.cursor = hidden_text()
        self._wire(tab)

    def _wire(self, tab: gr.Tab) -> None:
        page, who = self.page, [self.page.run_id, self.page.browser]
        shown = [self.validation_button, self.test_button, self.note, self.scores, self.cursor]
        gr.on([tab.select, page.run_id.change, page.told.change], self.show, [*who, self.cursor], shown, **page.quiet)
        page.run_id.change(lambda: gr.update(visible=False, value=""), None, self.problem, **page.quiet)
        slow: dict[str, Any] = {"concurrency_id": "scores", "concurrency_limit": 1, "api_visibility": "private"}
        self.validation_button.click(self.look_at_validation, who, [self.problem, *shown], show_progress_on=self.scores, **slow)
        self.test_button.click(self.measure_test, who, [self.problem, *shown], show_progress_on=self.scores,
                               js=f"(run, browser) => confirm({CONFIRM!r}) ? [run, browser] : ['', browser]", **slow)

    def show(self, run_id: str, browser: dict, cursor: str) -> Values:
        """Buttons and scores; what has not changed since `cursor` is left alone, so that what a person unfolded stays so."""
        why_validation, why_test, scores, now = scores_state(self.jobs, run_id, browser["key"])
        if now == cursor:
            return {}
        return {self.validation_button: gr.update(interactive=not why_validation), self.test_button: gr.update(interactive=not why_test),
                self.note: "  \n".join(dict.fromkeys([why_validation, why_test])), self.scores: scores, self.cursor: now}

    def look_at_validation(self, run_id: str, browser: dict) -> Values:
        """Measure the validation rows, unless what is on disk is of this very checkpoint."""
        def look() -> None:
            run = open_run(self.jobs.root, run_id)
            known = _read(run, VALIDATION)
            if known is None or known.checkpoint != BEST or not known.is_of(run):
                measure_validation(run)

        return self._do(look, run_id, browser)

    def measure_test(self, run_id: str, browser: dict) -> Values:
        """The one look at the test rows; an empty id is a change of mind."""
        def measure() -> None:
            run = open_run(self.jobs.root, run_id)
            if not run.belongs_to(browser["key"]):
                raise MtlError(NOT_YOURS)
            measure_test(run)

        return self._do(measure, run_id, browser) if run_id else {}

    def _do(self, act: Any, run_id: str, browser: dict) -> Values:
        """What went wrong, if anything, and what is to be shown now."""
        self.jobs.loaded()
        try:
            act()
            problem = gr.update(visible=False, value="")
        except MtlError as error:
            problem = gr.update(visible=True, value=problem_html(str(error)))
        return {self.problem: problem} | self.show(run_id, browser, "")
