"""Flaws of the data that would harm training or scores. One pass turns a split into numbers; rows to quote are read again."""

import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np

from mtl.data.formats.files import show
from mtl.data.rows import Dataset, Row
from mtl.data.splitting import hash_text
from mtl.data.store import take
from mtl.data.values import VALUES
from mtl.data.words import Span
from mtl.settings.config import TaskSpec
from mtl.text import many

SEVERITIES = ("problem", "warning", "note")
MEANING = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))  # the effect of each finding, and the advice
FEW_ROWS = 100  # with fewer labelled rows of a task, training and scores depend on luck
FEW_EXAMPLES = 5  # of a label
ALMOST_ALL = 0.9  # the share of one label from which on accuracy says little
MANY = 0.05  # the share of rows above which a finding is graver
SHORT = 60  # characters of a text or entity that are shown
FOUND_HERE = ("in training and will count as", "Validation has no row labelled for")  # parts of notices that would repeat a finding


@dataclass(frozen=True)
class Finding:
    """What was found in the data, its effect on training or scores, and what to do. A reader's notice has neither effect nor advice."""

    severity: Literal["problem", "warning", "note"]
    what: str
    effect: str = ""
    advice: str = ""

    @classmethod
    def of(cls, kind: str, severity: str, what: str, **facts: object) -> "Finding":
        """`what` was found, of a `kind` in findings.json, whose sentences name the `facts`."""
        return cls(severity, what, **{part: sentence.format(**facts) for part, sentence in MEANING[kind].items()})


@dataclass(frozen=True)
class Mentions:
    """The entities of a task: for each a hash of its words, the number of its label, and its row. Empty for other kinds of task."""

    numbers: dict[str, int] = field(default_factory=dict)
    words: array = field(default_factory=lambda: array("Q"))
    labels: array = field(default_factory=lambda: array("I"))
    rows: array = field(default_factory=lambda: array("I"))


@dataclass(frozen=True)
class Scan:
    """A split in numbers: a hash of every text, for each task a hash of every value (0: not labelled), counts of labels and of combinations
    of labelled tasks. `firsts` is the first row with a label of a task ('': with a value without labels)."""

    rows: Sequence[Row]
    texts: np.ndarray  # (rows)
    codes: dict[str, np.ndarray]  # (rows) for each task
    counts: dict[str, Counter[str]]
    mentions: dict[str, Mentions]
    combinations: Counter[tuple[str, ...]] = field(default_factory=Counter)
    firsts: dict[tuple[str, str], int] = field(default_factory=dict)

    def row(self, index: int) -> Row:
        return take(self.rows, [int(index)])[0]


def scan_rows(rows: Sequence[Row], tasks: Sequence[TaskSpec], report_done: Callable[[int], None]) -> Scan:
    """One pass over `rows`; `report_done` is called with the number of rows done, every thousand."""
    names = [task.name for task in tasks]
    scan = Scan(rows, np.zeros(len(rows), np.uint64), {name: np.zeros(len(rows), np.uint32) for name in names},
                {name: Counter() for name in names}, {task.name: Mentions() for task in tasks})
    for index, row in enumerate(rows):
        if index % 1000 == 0:
            report_done(index)
        scan.texts[index] = hash_text(" ".join(row.text.casefold().split()))
        labelled = tuple(name for name in names if row.values.get(name) is not None)
        scan.combinations[labelled] += 1
        for name in labelled:
            value = row.values[name]
            scan.codes[name][index] = hash_text(value.key(row.text), 4) or 1
            labels = value.labels()
            scan.counts[name].update(labels)
            for label in labels or [""]:
                scan.firsts.setdefault((name, label), index)
            mentions = scan.mentions[name]
            for span in value.spans:
                mentions.words.append(_hash_words(row.text, span))
                mentions.labels.append(mentions.numbers.setdefault(span.label, len(mentions.numbers)))
                mentions.rows.append(index)
    return scan


def _hash_words(text: str, span: Span) -> int:
    return hash_text(" ".join(text[span.start:span.end].split()))


def quote(text: str) -> str:
    """A text or label of the user in a sentence: short, on one line, visible characters only."""
    return f"'{show(' '.join(text.split()), SHORT)}'"


def some(parts: Sequence[str], most: int = 3) -> str:
    """The first few of `parts`, and how many more there are."""
    return ", ".join(parts[:most]) + (f" and {len(parts) - most:,} more" if len(parts) > most else "")


def find_all(dataset: Dataset, scans: dict[str, Scan], more: Sequence[Finding] = ()) -> list[Finding]:
    """All findings about `dataset`, whose splits are `scans`, and `more` that were made elsewhere; the gravest first."""
    train = scans["train"]
    found = [*_leaks(scans), *_small_validation(dataset.tasks, scans["validation"]), *_duplicates(train), *more]
    for task in dataset.tasks:
        found += [*_few_examples(task, scans), *_conflicts(task, list(scans.values())), *_numbers(task)]
        found += _majority(task, scans) if VALUES[task.kind].has_one_label else _ambiguous(task, train)
    found += _apart(dataset.tasks, scans)
    found += [Finding("note", notice) for notice in dict.fromkeys(dataset.notices) if not any(part in notice for part in FOUND_HERE)]
    return sorted(found, key=lambda finding: SEVERITIES.index(finding.severity))


def _duplicates(train: Scan) -> Iterator[Finding]:
    again = np.zeros(len(train.texts), bool)
    for codes in train.codes.values():  # a text labelled here for one task and there for another is no repeat
        labelled = np.flatnonzero(codes)
        order = labelled[np.argsort(train.texts[labelled], kind="stable")]
        again[order[1:]] |= train.texts[order[1:]] == train.texts[order[:-1]]
    if count := int(again.sum()):
        yield Finding.of("duplicates", "warning" if count > MANY * len(again) else "note",
                         f"{many(count, 'training row', 'has', len(again))} the text of an earlier one, such as "
                         f"{quote(train.row(again.argmax()).text)}.")


def _leaks(scans: dict[str, Scan]) -> Iterator[Finding]:
    train = scans["train"]
    for split in ("validation", "test"):
        scan, known = scans[split], np.zeros(len(scans[split].texts), bool)
        for name, codes in scan.codes.items():
            known |= (codes != 0) & np.isin(scan.texts, train.texts[train.codes[name] != 0])
        if count := int(known.sum()):
            yield Finding.of("leaks", "problem" if count > MANY * len(known) else "warning",
                             f"{many(count, f'{split} row', 'has', len(known))} a text that is also in train, such as "
                             f"{quote(scan.row(known.argmax()).text)}.", split=split)


def _small_validation(tasks: Sequence[TaskSpec], validation: Scan) -> Iterator[Finding]:
    sizes = {task.name: int(np.count_nonzero(validation.codes[task.name])) for task in tasks}
    if none := [quote(name) for name, size in sizes.items() if not size]:
        yield Finding.of("no validation", "problem", f"Validation has no row labelled for {some(none)}.")
    if few := sorted((size, name) for name, size in sizes.items() if 0 < size < FEW_ROWS):
        shown, least = some([f"{size} for {quote(name)}" for size, name in few]), few[0][0]
        yield Finding.of("small validation", "warning", f"Validation has few labelled rows: {shown}.", rows=many(least, "row"),
                         points=196 * np.sqrt(0.8 * 0.2 / least))


def _few_examples(task: TaskSpec, scans: dict[str, Scan]) -> Iterator[Finding]:
    """A task with few training rows, its labels without training rows, and those with few."""
    train, validation, test = (scan.counts[task.name] for scan in scans.values())
    size = int(np.count_nonzero(scans["train"].codes[task.name]))
    if size < FEW_ROWS:
        yield Finding.of("few rows", "warning", f"Only {many(size, 'training row', 'is')} labelled for {quote(task.name)}.")
    if task.scale:
        return  # a number without examples can be learned from its neighbours
    known = set(train) & set(task.labels) or set(train)
    unknown = Counter({label: count for label, count in (validation + test).items() if label not in known})
    if unknown:
        parts = [f"{quote(label)} (validation {validation[label]:,}, test {test[label]:,})" for label, _ in unknown.most_common()]
        yield Finding.of("unknown labels", "problem", f"In validation or test {quote(task.name)} has {many(len(unknown), 'label')} that "
                         f"train does not teach: {some(parts)}.")
    if rare := sorted((train[label], label) for label in task.labels or train if train[label] < FEW_EXAMPLES and label not in unknown):
        yield Finding.of("rare labels", "warning", f"{quote(task.name)} has {many(len(rare), 'label')} with fewer than {FEW_EXAMPLES} "
                         f"training examples: {some([f'{quote(label)} {count}' for count, label in rare])}.")


def _numbers(task: TaskSpec) -> Iterator[Finding]:
    if scale := task.scale:
        yield Finding("note", f"{quote(task.name)} holds numbers from {scale.low:g} to {scale.high:g} in train, {scale.mean:.3g} on "
                      f"average, with a standard deviation of {scale.deviation:.3g}.")


def _majority(task: TaskSpec, scans: dict[str, Scan]) -> Iterator[Finding]:
    train = scans["train"].counts[task.name]
    label, most = next(iter(train.most_common(1)), ("", 0))
    if most and most >= ALMOST_ALL * train.total():
        split = "validation" if scans["validation"].counts[task.name] else "train"
        seen, example = scans[split].counts[task.name], scans["train"].row(scans["train"].firsts[task.name, label])
        yield Finding.of("majority", "warning", f"In {most / train.total():.1%} of its training rows {quote(task.name)} is {quote(label)}, "
                         f"such as {quote(example.text)}.", label=quote(label), share=seen[label] / seen.total(), split=split)


def _conflicts(task: TaskSpec, scans: Sequence[Scan]) -> Iterator[Finding]:
    texts = np.concatenate([scan.texts for scan in scans])
    codes = np.concatenate([scan.codes[task.name] for scan in scans])
    labelled = np.flatnonzero(codes)
    order = labelled[np.lexsort((codes[labelled], texts[labelled]))]
    first, second = order[:-1], order[1:]
    differ = (texts[first] == texts[second]) & (codes[first] != codes[second])
    if differ.any():
        first, second = first[differ], second[differ]
        clashing = np.unique(texts[first])
        rows = np.isin(texts[labelled], clashing).sum()
        pair = int(np.minimum(first, second).argmin())
        ends = np.cumsum([len(scan.rows) for scan in scans])  # of the splits, one after another
        found = [(place, int(np.searchsorted(ends, place, "right"))) for place in sorted((first[pair], second[pair]))]
        one, other = (scans[split].row(place - ends[split] + len(scans[split].rows)) for place, split in found)
        mine, theirs = (Counter(row.values[task.name].named(row.text)) for row in (one, other))
        once, again = (quote("; ".join(side)) if side else "without" for side in (mine - theirs, theirs - mine))
        difference = f": once {once}, once {again}" if mine != theirs else ""  # else only the places of entities differ
        yield Finding.of("conflicts", "problem" if rows > MANY * len(labelled) else "warning",
                         f"{many(len(clashing), 'text', 'has')} different labels for {quote(task.name)} in different rows ({rows:,} in "
                         f"all), such as {quote(one.text)}{difference}.")


def _ambiguous(task: TaskSpec, train: Scan) -> Iterator[Finding]:
    words, labels = np.asarray(train.mentions[task.name].words), np.asarray(train.mentions[task.name].labels)
    order = np.lexsort((labels, words))
    first, second = order[:-1], order[1:]
    torn = words[first][(words[first] == words[second]) & (labels[first] != labels[second])]
    if torn.size:
        hashes, places, counts = np.unique(words[np.isin(words, torn)], return_index=True, return_counts=True)
        parts = [_types(task, train, int(hashes[index])) for index in np.lexsort((places, -counts))[:3]]
        more = f" and {len(hashes) - 3:,} more" if len(hashes) > 3 else ""
        yield Finding.of("ambiguous", "note", f"In train the same words have different types of {quote(task.name)}: "
                         f"{', '.join(parts)}{more}.")


def _types(task: TaskSpec, train: Scan, words: int) -> str:
    """'Paris' (LOC 12, PER 2), for the entity words with the hash `words`."""
    mentions = train.mentions[task.name]
    places = np.flatnonzero(np.asarray(mentions.words) == words)
    row, names = train.row(mentions.rows[places[0]]), list(mentions.numbers)
    span = next(span for span in row.values[task.name].spans if _hash_words(row.text, span) == words)
    counts = Counter(names[number] for number in np.asarray(mentions.labels)[places])
    return f"{quote(row.text[span.start:span.end])} ({', '.join(f'{show(label)} {count:,}' for label, count in counts.most_common())})"


def _apart(tasks: Sequence[TaskSpec], scans: dict[str, Scan]) -> Iterator[Finding]:
    together = {pair for scan in scans.values() for labelled in scan.combinations for pair in combinations(labelled, 2)}
    names = [task.name for task in tasks]
    if apart := [f"{quote(one)} and {quote(other)}" for one, other in combinations(names, 2) if (one, other) not in together]:
        yield Finding.of("apart", "note", f"No row is labelled for both {some(apart, 2)}.")
