"""The Scores tab: what a run's best checkpoint gets right and wrong. Scores as HTML, with users' text escaped; then layout, handlers."""

import html
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import gradio as gr

from mtl.data.values import VALUES, Value
from mtl.errors import MtlError
from mtl.jobs.queue import Jobs
from mtl.runs.checkpoint import BEST
from mtl.runs.folder import Run, open_run
from mtl.runs.history import ACTIVE, History
from mtl.scoring.error_analysis import Mistake, Reliability, TaskReport
from mtl.scoring.intervals import Interval
from mtl.scoring.measure import TEST, VALIDATION, SplitScores, has_test_rows, measure_test, measure_validation, read_measured
from mtl.text import isolate, many, shorten
from mtl.ui.charts import Markup, apart, colours, table_html
from mtl.ui.data_view import label_html, marked_html, warnings_html
from mtl.ui.page import Page, Values, confirm, hidden_text
from mtl.ui.status import computed_on, legend_html, shown_run_html, state_of

ABOUT = ("How good is the model? Its best saved state, the best checkpoint, is scored on rows that it did not learn from. The **validation "
         "rows** chose that checkpoint, so their scores are a little too good. The **test rows** chose nothing: their scores are what to "
         "expect on new text.")
QUESTION = ("The test rows are scored only once. Choose the run by its validation scores first: if you look at test scores and then change "
            "something, they no longer tell how good the model is on new text. Score them now?")
CLASSES = 20  # shown in a confusion matrix, at most
SHORT = 30  # characters of a label in it, at most
ERRORS = {"right": ("right", "#15803d"), "wrong_type": ("wrong type", "#a16207"), "wrong_boundary": ("wrong boundary", "#2563eb"),
          "wrong_both": ("wrong type and boundary", "#7e22ce"), "missed": ("missed", "#b91c1c"), "invented": ("invented", "#64748b")}
NOT_YOURS = "This run was not started in this browser. Its test rows can be scored only where it was started."


def why_not_validation(history: History) -> str:
    """Why the validation rows cannot be scored now; empty if they can."""
    if "best" in history.checkpoints:
        return ""
    return ("There is no checkpoint yet. The first evaluation saves one." if history.status in ACTIVE else
            "This run saved no checkpoint, so there is no model to score.")


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
    return why_not_validation(history) or ("" if is_owner else NOT_YOURS)


def measured_html(run: Run, measured: SplitScores, labels: dict[str, Sequence[str]]) -> str:
    """The scores on one split, as a block that can be folded; `labels`: those of every task, in the order of their colours."""
    report, name = measured.report, {VALIDATION: "Validation rows", TEST: "Test rows"}[measured.split]
    took = f"{measured.seconds:.1f} s" + (f" ({computed_on(measured.how)})" if measured.how else "")
    facts = (f"{many(report.rows, 'row')}; checkpoint '{measured.checkpoint}' of step {measured.step:,}; scored on {measured.when} in "
             f"{took}. The bars are 95 % intervals: on other rows of the same kind, the scores may differ by as much.")
    warnings = [] if measured.is_of(run) else ["The run went on and has another best checkpoint now. Score the rows again for its scores."]
    if measured.split == TEST and measured.times > 1:
        warnings.append(f"These rows have been scored {measured.times} times: expect lower scores on new text.")
    rows = [_score_row(task.name, task.main_score, task.main, task.scores) for task in report.tasks]
    rows.append(_score_row("all tasks", "everything right", report.everything_right, {}))
    return (f'<details open class="mtl-report mtl-scores"><summary>{name}</summary><p>{html.escape(facts)}</p>{warnings_html(warnings)}'
            + table_html(["task", "score", "", "95 % interval", "", "other scores"], rows)
            + "".join(_task(task, labels.get(task.name, ())) for task in report.tasks if task.rows) + "</details>")


def _score_row(name: str, measure: str, main: Interval | None, scores: dict[str, float]) -> list[str]:
    others = ", ".join(f"{other.replace('_', ' ')} {value:.1%}" for other, value in scores.items() if other != measure)
    if main is None:
        return [name, measure.replace("_", " "), "-", "-" if scores else "not labelled in these rows", "", others]
    bar = (f'<div class="mtl-interval"><i style="left:{main.low:.1%};width:{main.high - main.low:.1%}"></i>'
           f'<b style="left:{main.value:.1%}"></b></div>')
    return [name, measure.replace("_", " "), Markup(f"<b>{main.value:.1%}</b>"), f"{100 * main.low:.1f} to {100 * main.high:.1f}",
            Markup(bar), others]


def _task(task: TaskReport, labels: Sequence[str]) -> str:
    what = VALUES[task.kind].label_name
    table = table_html([what, "precision", "recall", "F1", "support"],
                       [[line.label, f"{line.precision:.1%}", f"{line.recall:.1%}", f"{line.f1:.1%}", f"{line.support:,}"]
                        for line in task.labels])
    details = _errors(task.errors, VALUES[task.kind]) if task.errors else _confusion(task)
    return (f"<h4>{apart(task.name)}: mistakes in {task.wrong:,} of {many(task.rows, 'row')}</h4>{details}{_reliability(task.reliability)}"
            f"<details{' open' * (len(task.labels) <= CLASSES)}><summary>Every {what}</summary>{table}</details>"
            + _mistakes(task, VALUES[task.kind], colours(labels or sorted(line.label for line in task.labels))))


def _confusion(task: TaskReport) -> str:
    """The matrix of the most confused classes: a row per true label, shaded by the share of the row."""
    shown = _most_confused(task)
    head = "".join(f'<th title="{html.escape(label)}"><span>{apart(shorten(label, SHORT))}</span></th>' for label in shown)
    is_cut = len(shown) < len(task.labels)
    rows = []
    for gold in shown:
        made = task.confusion.get(gold, {})
        total = sum(made.values())
        cells = "".join(_cell(gold, guess, made.get(guess, 0), total) for guess in shown)
        other = f"<td>{total - sum(made.get(guess, 0) for guess in shown) or ''}</td>" * is_cut
        rows.append(f'<tr><th title="{html.escape(gold)}">{apart(shorten(gold, SHORT))}</th>{cells}{other}</tr>')
    note = f"<p>These are the {len(shown)} most confused of {len(task.labels):,} classes.</p>" * is_cut
    return (f'{note}<div class="mtl-scroll"><table class="mtl-confusion"><thead><tr><th>true label (down), predicted (across)</th>{head}'
            f"{'<th><span>others</span></th>' * is_cut}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>")


def _most_confused(task: TaskReport) -> list[str]:
    labels = [line.label for line in task.labels]
    wrong = Counter(dict.fromkeys(labels, 0))
    for true, predicted in task.confusion.items():
        for guess, count in predicted.items():
            wrong.update({true: count, guess: count} if guess != true else {})
    most = dict(wrong.most_common(CLASSES))
    return [label for label in labels if label in most]


def _cell(gold: str, guess: str, count: int, total: int) -> str:
    if not count:
        return "<td></td>"
    title = html.escape(f"{isolate(gold)}, predicted {isolate(guess)}: {count:,} of {total:,}")
    return f'<td class="{"mtl-hit" if gold == guess else "mtl-miss"}" style="--s:{60 * count / total:.0f}%" title="{title}">{count:,}</td>'


def _errors(errors: dict[str, int], value: type[Value]) -> str:
    """A bar with a part for every kind of error, and a legend with their counts."""
    kinds = [(*ERRORS[name], count) for name, count in errors.items()]
    bar = "".join(f'<i style="flex:{count};background:{colour}" title="{name}: {count:,}"></i>' for name, colour, count in kinds if count)
    legend = legend_html({f"{name} {count:,}": colour for name, colour, count in kinds})
    return (f'<div class="mtl-stack">{bar}</div>{legend}<p>Every {value.item} in the data and every predicted one is counted. Missed: in '
            "the data, but not predicted. Invented: predicted, but not in the data.</p>")


def _reliability(found: Reliability | None) -> str:
    """The sentence, and a picture of it: a disc for every bin, its area by the number of answers."""
    if found is None:
        return ""
    answers = sum(bin[0] for bin in found.bins)
    discs = "".join(f'<circle class="{name}" cx="{100 * sure / items:.1f}" cy="{100 - 100 * right / items:.1f}" '
                    f'r="{1 + 9 * (items / answers) ** 0.5:.1f}"><title>{many(int(items), "answer")}: {sure / items:.0%} sure, '
                    f"{right / items:.0%} right</title></circle>"
                    for name, bins in (("mtl-before", found.raw_bins), ("mtl-after", found.bins)) for items, sure, right in bins)
    return (f'<div class="mtl-reliability"><svg viewBox="-11 -11 122 122" role="img" aria-label="{found.sentence}">'
            f'<path d="M0 100H100V0H0V100L100 0"/>{discs}</svg><div><p>{found.sentence}</p><p>Across: how sure it is. Up: how often it is '
            f"right. On the diagonal, probabilities mean what they say.</p>{legend_html({'calibrated': '#2563eb', 'before': '#8b8b8b'})}"
            "</div></div>")


def _mistakes(task: TaskReport, value: type[Value], colour: dict[str, str]) -> str:
    if not task.mistakes:
        return ""
    count = f"{len(task.mistakes)} of " * (len(task.mistakes) < task.wrong) + many(task.wrong, "row")
    return (f"<details><summary>Mistakes in {count}, beginning with those of which the model was surest</summary>"
            + "".join(_mistake(mistake, value, colour) for mistake in task.mistakes) + "</details>")


def _mistake(mistake: Mistake, value: type[Value], colour: dict[str, str]) -> str:
    made = f"predicted ({mistake.confidence:.0%} sure)" if mistake.confidence else "predicted"
    true, predicted = value.of_plain(mistake.gold), value.of_plain(mistake.predicted)
    if value.marks_text:
        return (f'<div class="mtl-row"><div>true</div>{marked_html(mistake.text, true, colour)}'
                f"<div>{made}</div>{marked_html(mistake.text, predicted, colour)}</div>")
    return f'<div class="mtl-row">{apart(mistake.text)}<div>{label_html("true", true)}{label_html(made, predicted)}</div></div>'


def scores_state(jobs: Jobs, run_id: str, key: str) -> tuple[str, str, str, str]:
    """Why the validation rows and why the test rows cannot be scored now, the scores as HTML, and a text that changes if any of it does."""
    try:
        run, history = open_run(jobs.root, run_id), jobs.history(run_id)
    except MtlError as error:  # none is shown, or it was deleted
        why = str(error) if run_id else "Start a run, or choose one in the Train tab."
        return why, why, "", run_id
    test, validation = _read(run, TEST), _read(run, VALIDATION)
    found = [measured for measured in (test, validation) if measured]
    labels = {name: task["labels"] for name, task in history.started.tasks.items()} if history.started else {}
    try:
        why = why_not_validation(history), why_not_test(run, history, run.belongs_to(key), test)
    except MtlError as error:  # its settings cannot be read
        why = str(error), str(error)
    best = f"<p>The best checkpoint is that of step {history.best.step:,}: {html.escape(history.best.said)}.</p>" if history.best else ""
    now = repr([run_id, state_of(run), best, *why, *((measured.time, measured.is_of(run)) for measured in found)])
    return *why, shown_run_html(run) + best + "".join(measured_html(run, measured, labels) for measured in found), now


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
