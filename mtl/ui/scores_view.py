"""Scores and sentences as HTML: what a checkpoint gets right and wrong. Pure functions; what a user wrote is escaped."""

from collections import Counter
from collections.abc import Sequence

from mtl.data.values import VALUES
from mtl.runs.folder import Run
from mtl.scoring.error_analysis import TaskReport, excerpt
from mtl.scoring.measure import TEST, VALIDATION, SplitScores
from mtl.scoring.predictions import PAGE, Sentence, Wanted
from mtl.settings.best import ERROR
from mtl.settings.config import TaskSpec
from mtl.text import isolate
from mtl.ui.charts import Markup, apart, colours
from mtl.ui.data_view import TYPES, label_html, marked_html, warnings_html
from mtl.ui.status import computed_on
from mtl.ui.templates import render, words

CLASSES = 20  # shown in a confusion matrix, at most
SHORT = 30  # characters of a label in it, at most
TITLES = {VALIDATION: "Validation rows", TEST: "Test rows"}


def measured_html(run: Run, measured: SplitScores) -> str:
    """The scores on one split, as a block that can be folded."""
    warnings = [] if measured.is_of(run) else ["Another checkpoint is the best one now. Open this tab again for its validation scores."]
    if measured.split == TEST and measured.times > 1:
        warnings.append(f"These rows have been scored {measured.times} times: expect lower scores on new text.")
    took = f"{measured.seconds:.1f} s" + (f" ({computed_on(measured.how)})" if measured.how else "")
    places = {name: f"-{place}" for place, name in enumerate(["all tasks", *(task.name for task in measured.report.tasks)])}
    return render("scores.html", measured=measured, took=took, warnings=warnings_html(warnings), CLASSES=CLASSES, SHORT=SHORT,
                  VALUES=VALUES, most_confused=_most_confused, title=TITLES[measured.split], summary=summary(measured),
                  bdi=lambda text: Markup(apart(text)), whole=measured.is_whole(run), place=measured.split, spot=places.__getitem__)


def summary(measured: SplitScores) -> list[str]:
    """What to know first: of each task its main score, and what it does wrong most often."""
    return [f"{isolate(task.name)} " + (f"{_scored(task)}{_most_often(task)}." if task.main else
                                        "is not labelled in these rows.") for task in measured.report.tasks]


def _scored(task: TaskReport) -> str:
    name, value = words(task.main_score), task.main.value
    if ERROR in task.scores:
        return f"is off by {task.scores[ERROR]:.3g} on average, with a correlation ({name}) of {value:.1%}"
    return f"is right {value:.1%} of the time" if name == "accuracy" else f"has {'an' if name == 'F1' else 'a'} {name} of {value:.1%}"


def _most_often(task: TaskReport) -> str:
    """The most frequent error of a task, to end a sentence with."""
    wrong = {(label, found): count for label, of in (task.errors_of or task.confusion).items() for found, count in of.items()
             if found != (label if task.errors is None else "right")}
    if not wrong:
        return "" if task.wrong else ", without a mistake"
    label, found = max(wrong, key=wrong.get)
    if task.errors is None:
        return f"; it takes {isolate(label)} for {isolate(found)} most often"
    return f"; its most frequent error is {found.replace('_', ' ')}{'' if VALUES[task.kind].has_labels else ' for'} {isolate(label)}"


def sentences_html(found: Sequence[Sentence], wanted: Wanted, spec: TaskSpec) -> str:
    """The first `wanted.shown` of the sentences that were found, true beside predicted. Each can be put into the Predict tab."""
    value, listed = VALUES[spec.kind], []
    for one in found[:wanted.shown]:
        text, gold, made = excerpt(one.text, one.gold, one.made)
        title = f"predicted, {one.sure:.0%} sure" if one.sure else "predicted"
        listed.append((one, text, [("true", gold), (title, made)]))
    return render("sentences.html", listed=listed, wanted=wanted, total=len(found), title=_title(wanted, value.has_one_label), PAGE=PAGE,
                  value=value, colour=colours(spec.labels, TYPES), marked=marked_html, label=label_html)


def _title(wanted: Wanted, is_class: bool) -> str:
    label, found = (isolate(part.replace("_", " ") if part is wanted.found and not is_class else part) if part else part
                    for part in (wanted.label, wanted.found))
    if label is None:
        return f"{isolate(wanted.task)}: {found or 'mistakes'}"
    return f"{isolate(wanted.task)}: " + (f"with {label}" if found is None else f"true {label}, predicted {found}" if is_class
                                          else f"{label}, {found}")


def _most_confused(task: TaskReport) -> list[str]:
    labels = [line.label for line in task.labels]
    wrong = Counter(dict.fromkeys(labels, 0))
    for true, predicted in task.confusion.items():
        for guess, count in predicted.items():
            wrong.update({true: count, guess: count} if guess != true else {})
    most = dict(wrong.most_common(CLASSES))
    return [label for label in labels if label in most]
