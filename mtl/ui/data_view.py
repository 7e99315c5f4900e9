"""Data as the page shows them: uploaded files, which tasks are ticked, the report, rows. Pure functions; what a user wrote is escaped."""

import html
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd
from pydantic.dataclasses import dataclass

from mtl.data.findings import Finding
from mtl.data.formats.files import part_of, split_of
from mtl.data.readers import Progress, no_progress
from mtl.data.report import Lengths, Report
from mtl.data.rows import Row, Table
from mtl.data.values import KIND_OF_ROLE, VALUES, Spans, Value
from mtl.errors import MtlError
from mtl.settings.config import MAX_TASKS, ROLES, TaskSpec
from mtl.text import isolate, many
from mtl.ui.charts import apart, colours, table_html
from mtl.ui.page import OnPage

FILES = ("train_files", "validation_files", "test_files")
SHOWN_LABELS = 40  # per task, in the report
SHOWN_COLUMNS = 64
NO_FILE = "No file yet. Upload one with sentences and labels: CSV, TSV, JSONL, JSON, CoNLL columns, marked text or Parquet."


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


def task_table(table: Table, specs: Sequence[TaskSpec], progress: Progress = no_progress) -> pd.DataFrame:
    """One row per task: kind, number of labelled rows, labels with their counts."""
    labelled: Counter[str] = Counter()  # the labelled rows of each task
    counts: dict[str, Counter[str]] = {spec.name: Counter() for spec in specs}
    for index, row in enumerate(table.rows):
        if index % 2000 == 0:
            progress("Counting the labels", index / len(table.rows))
        for name, of_task in counts.items():
            if (value := row.values.get(name)) is not None:
                labelled[name] += 1
                of_task.update(value.labels())
    rows = []
    for spec in specs:
        most = ", ".join(f"{isolate(label)} ({count:,})" for label, count in counts[spec.name].most_common(5))
        more = ", ..." if len(counts[spec.name]) > 5 else ""
        rows.append([spec.name, spec.kind, f"{labelled[spec.name]:,} of {len(table.rows):,}", f"{len(counts[spec.name])}: {most}{more}"])
    return pd.DataFrame(rows, columns=["task", "kind", "labelled rows", "labels"])


def report_html(report: Report, specs: Sequence[TaskSpec]) -> str:
    """Findings, coverage, labels and lengths."""
    findings = "".join(map(_finding, report.findings)) or _finding_html("fine", "Nothing odd was found.")
    return (f'<div class="mtl-report">{findings}{_coverage(report, specs)}{"".join(_labels(spec, report) for spec in specs)}'
            f'{_lengths(report.lengths) if report.lengths else ""}</div>')


def short_findings_html(report: Report) -> str:
    """The findings that matter before training, and where the rest is."""
    grave = [finding for finding in report.findings if finding.severity != "note"]
    rest = len(report.findings) - len(grave)
    notes = f", with {many(rest, 'more note')}," if rest else ""
    shown = "".join(map(_finding, grave)) or _finding_html("fine", "Nothing that would harm training was found.")
    return f'<div class="mtl-report">{shown}<p>The whole report{notes} and some example rows are in the Data tab.</p></div>'


def _finding(finding: Finding) -> str:
    return _finding_html(finding.severity, " ".join(filter(None, (finding.what, finding.effect, finding.advice))), finding.severity)


def _finding_html(kind: str, text: str, heading: str = "") -> str:
    return f'<p class="mtl-finding mtl-{kind}">{f"<b>{heading}</b> " if heading else ""}{html.escape(text)}</p>'


def problem_html(message: str) -> str:
    """`message` as a problem in a report."""
    return f'<div class="mtl-report">{_finding_html("problem", message, "problem")}</div>'


def warnings_html(messages: Iterable[str]) -> str:
    """`messages` as warnings without a heading."""
    return "".join(_finding_html("warning", message) for message in messages)


def _coverage(report: Report, specs: Sequence[TaskSpec]) -> str:
    names = [spec.name for spec in specs]
    grid = table_html(["split", "rows", *names], [[part.split, f"{part.rows:,}", *(f"{part.labelled.get(name, 0):,}" for name in names)]
                                              for part in report.coverage if part.rows])
    mixed = [f"{apart(names)}: {many(count, 'training row')}" for names, count in report.coverage[0].combinations.items()]
    return f"<h4>Rows, and how many are labelled for each task</h4>{grid}" + (f"<p>{'; '.join(mixed)}.</p>" if len(mixed) > 1 else "")


def _labels(spec: TaskSpec, report: Report) -> str:
    counts = report.labels.get(spec.name, ())
    rows = [[label.label, f"{label.train:,}", f"{label.validation:,}", f"{label.test:,}", label.example] for label in counts[:SHOWN_LABELS]]
    more = f"<p>and {len(counts) - SHOWN_LABELS} more.</p>" if len(counts) > SHOWN_LABELS else ""
    what = VALUES[spec.kind].label_name
    is_open = " open" * (len(counts) <= 10)
    return f"<details{is_open}><summary>{apart(spec.name)}: {many(len(counts), what)}</summary>" + table_html(
        [what, "train", "validation", "test", "for example"], rows) + more + "</details>"


def _lengths(lengths: Lengths) -> str:
    top = max(lengths.counts, default=0) or 1
    bars = "".join(f'<i style="height:{100 * count / top:.0f}%" title="{low} to {high - 1} subwords: {many(count, "row")}"></i>'
                   for count, low, high in zip(lengths.counts, lengths.edges, lengths.edges[1:], strict=False))
    sample = f" (of a sample of {lengths.measured:,})" if lengths.measured < lengths.rows else ""
    lost = f", which loses {lengths.entities_lost:,} of {many(lengths.entities, 'entity')}" if lengths.entities else ""
    cut = (f"{many(lengths.rows_cut, 'row', 'is')} cut at {lengths.max_length}{lost}"
           if lengths.rows_cut else f"none is cut at {lengths.max_length}")
    return (f'<h4>Subwords per training row{sample}</h4><div class="mtl-bars">{bars}</div><p>The longest has {lengths.longest:,}; '
            f"half have at most {lengths.median}, 95 % at most {lengths.percentile_95}; {cut}.</p>")


def examples_html(rows: Iterable[Row], specs: Sequence[TaskSpec], labels: dict[str, Sequence[str]]) -> str:
    """Rows with their entities marked and their other labels below them."""
    shown = ""
    for row in rows:
        values = {spec.name: row.values.get(spec.name) for spec in specs}
        marked = {name: value for name, value in values.items() if value is not None and value.marks_text}
        texts = [marked_html(row.text, value, colours(labels.get(name, ()))) for name, value in marked.items()] or [apart(row.text)]
        others = [label_html(name, value) for name, value in values.items() if name not in marked]
        shown += f'<div class="mtl-row">{"<br>".join(texts)}<div>{" ".join(others)}</div></div>'
    return f'<div class="mtl-report">{shown}</div>'


def marked_html(text: str, spans: Spans, colour: dict[str, str]) -> str:
    """`text` with its entities marked in the colours of their labels."""
    made = [html.escape(words) if label is None else
            f'<mark style="--c:{colour.get(label, "gray")}">{html.escape(words)}<sub>{apart(label)}</sub></mark>'
            for words, label in spans.pieces(text)]
    return "<bdi>" + "".join(made) + "</bdi>"  # laid out in the text's own direction


def label_html(name: str, value: Value | None) -> str:
    """The labels of one task, for a place beside the text."""
    labels = "(not labelled)" if value is None else ", ".join(value.labels()) or "(none)"
    return f"<span>{apart(name)}: <b>{apart(labels)}</b></span>"


def columns_html(table: Table) -> str:
    """A table of the columns of `table`, in which the user sets what each is for: its role, its task; with some of its values."""
    rows = ""
    for index, (spec, values) in enumerate(zip(table.columns[:SHOWN_COLUMNS], table.values, strict=False)):
        name, which = f"{spec.group}/{spec.column}".removeprefix("/"), html.escape(spec.model_dump_json(include={"group", "column"}))
        options = "".join(f'<option value="{role}"{" selected" * (role == spec.role)}>{html.escape(f"{role}: {what}")}</option>'
                          for role, what in ROLES.items())
        hidden = " hidden" * (spec.role not in KIND_OF_ROLE)
        rows += (f'<div data-column="{which}"><label for="role-{index}"><b>{apart(name)}</b> <small>{apart(" | ".join(values))}</small>'
                 f'</label><select id="role-{index}">{options}</select><label{hidden}>Task <input id="task-{index}" maxlength="64" '
                 f'aria-label="Task of {html.escape(name)}" value="{html.escape(spec.task)}"></label></div>')
    return f'<div class="mtl-columns" data-tasks="{" ".join(KIND_OF_ROLE)}">{rows}</div>'
