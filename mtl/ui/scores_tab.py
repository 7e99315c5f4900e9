"""The Scores tab: what a run's best checkpoint gets right and wrong, its sentences, and the run's files. State, layout, handlers."""

import html
from contextlib import suppress
from typing import Any

import gradio as gr

from mtl.errors import MtlError
from mtl.jobs.queue import Jobs
from mtl.runs.checkpoint import BEST
from mtl.runs.folder import Run, open_run
from mtl.runs.history import ACTIVE, History
from mtl.scoring.measure import TEST, VALIDATION, SplitScores, digest, has_test_rows, measure_test, read_measured, validation_scores
from mtl.scoring.predictions import Wanted, find_sentences
from mtl.text import many
from mtl.ui.messages import WithMessage
from mtl.ui.page import Page, Values, confirm, hidden_text, text_of
from mtl.ui.run_files import about_html, make_file
from mtl.ui.scores_view import measured_html, sentences_html
from mtl.ui.status import shown_run_html, state_of

QUESTION = ("The test rows are scored only once. Choose the run by its validation scores first: if you look at test scores and then change "
            "something, they no longer tell how good the model is on new text. Score them now?")
# fills `due` of `scores_state`: what is {}, or an empty text while the tab is closed
IF_OPEN = "(id, browser, cursor, due) => [id, browser, cursor, document.getElementById('scores')?.offsetParent ? {} : '']"
SEND_FILE = """element.addEventListener('click', (event) => {
    const button = event.target.closest('[data-file]');
    if (button) trigger('input', {file: button.dataset.file});
})"""
DOWNLOAD = """(file) => {
    if (file?.url) Object.assign(document.createElement('a'), {href: file.url, download: file.orig_name}).click();
}"""
NOT_YOURS = "This run was not started in this browser. Its test rows can be scored only where it was started."


def why_not_validation(history: History, is_owner: bool) -> str:
    """Why the validation rows cannot be scored now; empty if they can."""
    if BEST not in history.checkpoints:
        return ("There is no checkpoint yet. The first evaluation saves one, and its scores on the validation rows appear here."
                if history.status in ACTIVE else "This run saved no checkpoint, so there is no model to score.")
    return ("" if is_owner or history.status not in ACTIVE else
            f"This run is {history.status}. The validation scores of its best checkpoint appear here when it has ended.")


def why_not_test(run: Run, history: History, is_owner: bool, measured: SplitScores | None) -> str:
    """Why the test rows cannot be scored now; empty if they can."""
    if measured:
        went_on = ("" if measured.is_of(run) else " Since then the run went on and has another best checkpoint, which has other scores. To "
                   f"score that one too, use the terminal: python -m mtl evaluate {run.id} --split test --again")
        return f"The test rows were scored on {measured.when}. They are scored only once.{went_on}"
    if not has_test_rows(run.config):
        return "This run has no test rows."
    if history.status in ACTIVE:
        return f"This run is {history.status}. Its test rows can be scored when it has ended."
    return why_not_validation(history, is_owner) or ("" if is_owner else NOT_YOURS)


def scores_state(jobs: Jobs, run_id: str, key: str, due: str = "") -> tuple[str, str, str, str, str]:
    """What to say of the validation rows; why the test rows cannot be scored now; the scores as HTML; a text that changes if these do; and
    the best checkpoint if its validation rows are due to be scored. `due`: what was due before, with the error if it was refused; 'opened',
    which has it scored in a run that trains too; 'open'; empty if the tab is closed."""
    try:
        run, history = open_run(jobs.root, run_id), jobs.history(run_id)
    except MtlError as error:  # none is shown, or it was deleted
        why = str(error) if run_id else "Start a run, or choose one in the Train tab. Its scores appear here."
        return why, why, "", run_id, ""
    test, validation = _read(run, TEST), _read(run, VALIDATION)
    found = [measured for measured in (test, validation) if measured]
    try:
        told, why_test = why_not_validation(history, run.belongs_to(key)), why_not_test(run, history, run.belongs_to(key), test)
    except MtlError as error:  # its settings cannot be read
        told = why_test = str(error)
    is_scored, unscored = validation and validation.is_up_to_date(run), ""
    if due and not told and not is_scored:
        best_now = f"{run_id}/{digest(run.best)}"
        if due.startswith(f"{best_now} "):
            told, unscored = due.partition(" ")[2], due
        elif due in ("opened", best_now) or not (validation and history.status in ACTIVE):
            told, unscored = f"Scoring {many(history.started.validation_rows, 'validation row')} \u2026", best_now
    best = f"<p>The best checkpoint is that of step {history.best.step:,}: {html.escape(history.best.said)}.</p>" if history.best else ""
    now = repr([run_id, state_of(run), best, why_test, *(
        (measured.time, measured.is_of(run), measured.is_whole(run)) for measured in found)])
    scores = f'<div class="mtl-hint">{shown_run_html(run)}{best}</div>' + "".join(measured_html(run, measured) for measured in found)
    return told, why_test, scores, now, unscored


def _read(run: Run, split: str) -> SplitScores | None:
    """What was measured; None also if the file cannot be read, which measuring again will report."""
    with suppress(MtlError):
        return read_measured(run, split)
    return None


class ScoresTab:
    """The widgets of the tab, and their handlers."""

    def __init__(self, page: Page, tab: gr.Tab) -> None:
        self.page, self.jobs = page, page.jobs
        with gr.Row(elem_id="scores-head"):
            # one live region that stays, so that a screen reader says what changes in it
            self.note = gr.HTML(elem_id="scores-note", html_template='<p role="status">${value}</p>', scale=4)
            self.test_button = gr.Button("Score the test rows (once)", interactive=False, elem_id="score-test", min_width=220, scale=0,
                                         size="sm")
        self.scores = gr.HTML(elem_id="scores", js_on_load=text_of("scores.js"))
        self.about = gr.HTML(elem_id="this-run", js_on_load=SEND_FILE)
        self.sentences = gr.HTML(elem_id="sentences", js_on_load=text_of("sentences.js"))
        self.file, self.cursor, self.due = gr.DownloadButton(visible="hidden"), hidden_text(), hidden_text()

        who = [page.run_id, page.browser]
        show = {"fn": self.show, "inputs": [*who, self.cursor, self.due],
                "outputs": [self.test_button, self.note, self.scores, self.about, self.sentences, self.cursor, self.due], **page.quiet}
        gr.on([tab.select, page.run_id.change], **show, js=IF_OPEN.format("'opened'"))
        page.news.change(**show, js=IF_OPEN.format("due || 'open'"))
        slow: dict[str, Any] = {"show_progress_on": self.scores, "concurrency_id": "scores", "concurrency_limit": 1,
                                "api_visibility": "private"}
        for scored in (self.due.change(self.score_validation, self.due, self.due, **slow),
                       self.test_button.click(self.score_test, who, None, js=confirm(QUESTION), trigger_mode="multiple", **slow)):
            scored.then(**show, js=IF_OPEN.format("due || 'open'"))
        gr.on([self.scores.input, self.sentences.input], self.read, page.run_id, self.sentences, trigger_mode="always_last", **page.quiet)
        self.sentences.clear(None, None, self.sentences, js="() => ''")
        self.about.input(self.download, who, self.file, concurrency_id="download", concurrency_limit=2, **page.unseen)
        self.file.change(None, self.file, None, js=DOWNLOAD)

    def show(self, run_id: str, browser: dict, cursor: str, due: str) -> Values:
        """Button, note and scores, and what is due now. What is the same since `cursor` is left as it is: unfolded parts stay unfolded."""
        told, why_test, scores, now, unscored = scores_state(self.jobs, run_id, browser["key"], due)
        shown: Values = {self.due: unscored, self.note: "<br>".join(map(html.escape, dict.fromkeys(filter(None, [told, why_test]))))}
        if not run_id or run_id not in (cursor or ""):  # the sentences were those of another run
            shown[self.sentences] = ""
        if now != cursor or due == "opened":
            shown[self.about] = ""
            with suppress(MtlError):  # no run is shown, or its settings cannot be read, which the note says
                shown[self.about] = about_html(open_run(self.jobs.root, run_id), self.jobs.history(run_id), browser["key"])
        return shown if now == cursor else shown | {
            self.test_button: gr.update(interactive=not why_test), self.scores: scores, self.cursor: now}

    def read(self, run_id: str, event: gr.EventData) -> str:
        """The sentences behind a number of the scores."""
        run, wanted = open_run(self.jobs.root, run_id), Wanted.read(event.find)
        spec, found = find_sentences(run, wanted)
        return sentences_html(found, wanted, spec)

    def download(self, run_id: str, browser: dict, event: gr.EventData) -> str:
        """A file of the run."""
        return make_file(self.jobs, run_id, browser["key"], event.file)

    def score_validation(self, due: str) -> Values | WithMessage:
        """Measure the validation rows, unless the best checkpoint has its scores. What is refused is tried again when the tab is opened."""
        if not due or " " in due:
            return {}
        self.jobs.loaded()
        try:
            validation_scores(open_run(self.jobs.root, due.partition("/")[0]))
        except MtlError as error:
            return WithMessage({self.due: f"{due} {error}"}, str(error))
        return {}

    def score_test(self, run_id: str, browser: dict) -> None:
        """Measure the test rows, once; an empty id means that the user said no."""
        if not run_id:
            return
        self.jobs.loaded()
        run = open_run(self.jobs.root, run_id)
        if not run.belongs_to(browser["key"]):
            raise MtlError(NOT_YOURS)
        measure_test(run)
