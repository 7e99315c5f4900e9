"""The Scores tab: what the best checkpoint of a run gets right and wrong, on its validation rows and, once, on its test rows."""

from contextlib import suppress
from typing import Any

import gradio as gr

from mtl.errors import MtlError
from mtl.jobs.queue import Jobs
from mtl.runs.checkpoint import BEST
from mtl.runs.folder import Run, open_run
from mtl.scoring.measure import TEST, VALIDATION, SplitScores, measure_test, measure_validation, read_measured
from mtl.ui.page import Page, Values, confirm, hidden_text
from mtl.ui.scores_view import NOT_YOURS, measured_html, why_not_test, why_not_validation
from mtl.ui.status import shown_run_html, state_of

ABOUT = ("How good is the model? Its best saved state, the best checkpoint, is scored on rows that it did not learn from. The **validation "
         "rows** chose that checkpoint, so their scores are a little too good. The **test rows** chose nothing: their scores are what to "
         "expect on new text.")
QUESTION = ("The test rows are scored only once. Choose the run by its validation scores first: if you look at test scores and then change "
            "something, they no longer tell how good the model is on new text. Score them now?")


def scores_state(jobs: Jobs, run_id: str, key: str) -> tuple[str, str, str, str]:
    """Why the validation rows and why the test rows cannot be scored now, the scores as HTML, and a text that changes if any of it does."""
    try:
        run, history = open_run(jobs.root, run_id), jobs.history(run_id)
    except MtlError as error:  # none is shown, or it was deleted
        why = str(error) if run_id else why_not_validation(None)
        return why, why, "", run_id
    test, validation = _read(run, TEST), _read(run, VALIDATION)
    found = [measured for measured in (test, validation) if measured]
    labels = {name: task["labels"] for name, task in history.started.tasks.items()} if history.started else {}
    try:
        why = why_not_validation(history), why_not_test(run, history, run.belongs_to(key), test)
    except MtlError as error:  # its settings cannot be read
        why = str(error), str(error)
    now = repr([run_id, state_of(run), *why, *((measured.time, measured.is_of(run)) for measured in found)])
    return *why, shown_run_html(run) + "".join(measured_html(run, measured, labels) for measured in found), now


def _read(run: Run, split: str) -> SplitScores | None:
    """What was measured; None also if the file cannot be read, which measuring again will report."""
    with suppress(MtlError):
        return read_measured(run, split)
    return None


class ScoresTab:
    """The widgets of the tab, and their handlers."""

    def __init__(self, page: Page, tab: gr.Tab) -> None:
        self.page, self.jobs = page, page.jobs
        gr.Markdown(ABOUT)
        with gr.Row():
            self.validation_button = gr.Button("Score the validation rows", variant="primary", interactive=False,
                                               elem_id="score-validation", min_width=140)
            self.test_button = gr.Button("Score the test rows (once)", interactive=False, elem_id="score-test", min_width=200)
        self.note = gr.Markdown(elem_id="scores-note")
        self.scores, self.cursor = gr.HTML(elem_id="scores"), hidden_text()

        who, shown = [page.run_id, page.browser], [self.validation_button, self.test_button, self.note, self.scores, self.cursor]
        gr.on([tab.select, page.run_id.change, page.news.change], self.show, [*who, self.cursor], shown, **page.quiet)
        slow: dict[str, Any] = {"inputs": who, "outputs": shown, "show_progress_on": self.scores, "concurrency_id": "scores",
                                "concurrency_limit": 1, "api_visibility": "private"}
        self.validation_button.click(self.score_validation, **slow)
        self.test_button.click(self.score_test, js=confirm(QUESTION), **slow)

    def show(self, run_id: str, browser: dict, cursor: str) -> Values:
        """Buttons and scores. If nothing changed since `cursor` all is left as it is, so that unfolded parts stay unfolded."""
        why_validation, why_test, scores, now = scores_state(self.jobs, run_id, browser["key"])
        if now == cursor:
            return {}
        return {self.validation_button: gr.update(interactive=not why_validation), self.test_button: gr.update(interactive=not why_test),
                self.note: "  \n".join(dict.fromkeys([why_validation, why_test])), self.scores: scores, self.cursor: now}

    def score_validation(self, run_id: str, browser: dict) -> Values:
        """Measure the validation rows, unless the last measurement was of the same checkpoint."""
        self.jobs.loaded()
        run = open_run(self.jobs.root, run_id)
        known = _read(run, VALIDATION)
        if known is None or known.checkpoint != BEST or not known.is_of(run):
            measure_validation(run)
        return self.show(run_id, browser, "")

    def score_test(self, run_id: str, browser: dict) -> Values:
        """Measure the test rows, once; an empty id means that the user said no."""
        if not run_id:
            return {}
        self.jobs.loaded()
        run = open_run(self.jobs.root, run_id)
        if not run.belongs_to(browser["key"]):
            raise MtlError(NOT_YOURS)
        measure_test(run)
        return self.show(run_id, browser, "")
