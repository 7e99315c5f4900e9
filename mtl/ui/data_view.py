"""Data as the page shows them: uploaded files, which tasks are ticked, the report, rows. Pure functions; what a user wrote is escaped."""

import html
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic.dataclasses import dataclass

from mtl.data.findings import Finding
from mtl.data.formats.files import READABLE, part_of, split_of
from mtl.data.report import Report
from mtl.data.rows import Row, Table
from mtl.data.values import KIND_OF_ROLE, VALUES, Spans, Value
from mtl.errors import MtlError
from mtl.settings.config import MAX_TASKS, ROLES, TaskSpec
from mtl.text import many
from mtl.ui.charts import Markup, apart, colours
from mtl.ui.page import OnPage
from mtl.ui.templates import render

FILES = ("train_files", "validation_files", "test_files")
SHOWN_LABELS = 40  # per task, in the report
SHOWN_COLUMNS = 64
TYPES = tuple(f"var(--type-{place})" for place in range(1, 11))  # colours of entity types, which style.css defines
NO_FILE = f"No file yet. Upload one with sentences and labels: {READABLE}."


def assign_files(paths: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Which uploaded files are for training (also if a name does not say), validation and test. Raises MtlError if none is for training."""
    if not paths:
        raise MtlError(NO_FILE)
    splits = [split_of(Path(path)) or "train" for path in paths]
    if len(paths) == 1 or (len(set(splits)) == 1 and all(part_of(Path(path)) for path in paths)):
        splits = ["train"] * len(paths)
    if "train" not in splits:
        raise MtlError("None of the files is for training. Put 'train' into the name of one that is.")
    return {f"{split}_files": tuple(path for path, of in zip(paths, splits, strict=True) if of == split)
            for split in ("train", "validation", "test") if split in splits}


@dataclass(frozen=True)
class Choice(OnPage):
    """Which of the tasks `found` in the `data` are ticked; other data get all their tasks ticked. `found` is None if the data were not read
    yet: those of a run that was just put into the form."""

    data: str = ""
    found: tuple[str, ...] | None = None
    ticked: tuple[str, ...] = ()

    @property
    def tasks(self) -> list[str]:
        """Those that are ticked, in the order of the data."""
        return [name for name in self.found or () if name in self.ticked]

    def among(self, data: str, found: Sequence[str]) -> "Choice":
        """The choice among the tasks `found` in `data`: of the same data the ticked and new ones, else as many as can be trained."""
        ticked = [name for name in found if name in self.ticked or (self.found is not None and name not in self.found)]
        if data != self.data or self.found == () or not (self.found or ticked):
            ticked = list(found)[:MAX_TASKS]
        return Choice(data, tuple(found), tuple(ticked))


def name_apart(paths: Sequence[str]) -> list[str]:
    """The same files, each once. A file with the name of an earlier one is renamed, on disk too: topic-2.csv."""
    named: dict[str, Path] = {}
    for path in map(Path, dict.fromkeys(paths)):
        new, number = path, 1
        while new.name.casefold() in named:
            number += 1
            # the format is in the end of a name such as seq.in, and a number must not hide it
            new = path.with_name(f"{number}-{path.name}" if part_of(path) else f"{path.stem}-{number}{path.suffix}")
        if new != path and not new.exists():
            shutil.copyfile(path, new)  # a copy: Gradio stores equal files of several visitors once
        named[new.name.casefold()] = new
    return list(map(str, named.values()))


def data_key(source: str, files: Sequence[str] | None, hub: str, data_run: str) -> str:
    """A text that is equal for two states of the widgets that mean the same data."""
    own = {"files": list(files or ()) or data_run, "hub": hub or data_run}
    return json.dumps([source, own.get(source, "")])


def report_html(report: Report, specs: Sequence[TaskSpec]) -> str:
    """Findings, coverage, labels and lengths."""
    findings = "".join(map(_finding, report.findings)) or _finding_html("fine", "Nothing odd was found.")
    return render("report.html", report=report, specs=specs, findings=Markup(findings), VALUES=VALUES, SHOWN_LABELS=SHOWN_LABELS)


def short_findings_html(report: Report) -> str:
    """The findings that matter before training, and where the rest is."""
    grave = [finding for finding in report.findings if finding.severity != "note"]
    rest = len(report.findings) - len(grave)
    notes = f", with {many(rest, 'more note')}" if rest else ""
    shown = "".join(map(_finding, grave))
    said = "" if grave else "Nothing in the data would harm training. "
    return (f'<div class="mtl-report">{shown}<p class="mtl-hint">{said}<button type="button" class="mtl-link" data-tab="Data">The '
            f"report and some rows</button>{notes}.</p></div>")


def _finding(finding: Finding) -> str:
    return _finding_html(finding.severity, " ".join(filter(None, (finding.what, finding.effect, finding.advice))), finding.severity)


def _finding_html(kind: str, text: str, heading: str = "") -> str:
    return f'<p class="mtl-finding mtl-{kind}">{f"<b>{heading}</b> " if heading else ""}{html.escape(text)}</p>'


def problem_html(message: str) -> str:
    """`message` as a problem in a report."""
    return f'<div class="mtl-report">{_finding_html("problem", message, "problem")}</div>'


def warnings_html(messages: Iterable[str]) -> Markup:
    """`messages` as warnings without a heading."""
    return Markup("".join(_finding_html("warning", message) for message in messages))


def examples_html(rows: Iterable[Row], specs: Sequence[TaskSpec], labels: dict[str, Sequence[str]]) -> str:
    """Rows with their entities marked and their other labels below them."""
    return render("examples.html", rows=rows, specs=specs, labels=labels, VALUES=VALUES, marked=marked_html, label=label_html,
                  colours=lambda names: colours(names, TYPES))


def marked_html(text: str, spans: Spans, colour: dict[str, str]) -> Markup:
    """`text` with its entities marked in the colours of their labels."""
    made = [html.escape(words) if label is None else
            f'<mark style="--c:{colour.get(label, "var(--soft)")}">{html.escape(words)}<sub>{apart(label)}</sub></mark>'
            for words, label in spans.pieces(text)]
    return Markup("<bdi>" + "".join(made) + "</bdi>")  # laid out in the text's own direction


def label_html(name: str, value: Value | None) -> Markup:
    """The labels of one task, for a place beside the text."""
    labels = "(not labelled)" if value is None else ", ".join(value.named("")) or "(none)"
    return Markup(f"<span>{apart(name)}: <b>{apart(labels)}</b></span>")


def questions_html(table: Table) -> str:
    """Which files of `table` may be read in another way: a button for each reading, with a row; questions.js sends the answer."""
    return render("questions.html", questions=table.questions) if table.questions else ""


def columns_html(table: Table) -> str:
    """A table of the columns of `table`, in which the user sets what each is for: its role, its task; with some of its values."""
    columns = list(zip(table.columns[:SHOWN_COLUMNS], table.values, strict=False))
    return render("columns.html", columns=columns, tasks=list(KIND_OF_ROLE), ROLES=ROLES)
