"""Splits rows into train and validation: equal texts on one side, each label with its share in validation. It is iterative stratification
of texts (Sechidis, Tsoumakas and Vlahavas 2011): from the rarest label on, those move whose other labels validation needs most."""

import re
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import cycle, islice
from unicodedata import normalize

import numpy as np
import regex

from mtl.data.rows import Row
from mtl.data.store import pick
from mtl.settings.config import TaskSpec

MAX_VALIDATION = 10_000  # rows; more would only make evaluation slow
DRAWN = 16  # texts of which the best one moves to validation
RARE = 0.25  # part of validation that may be filled with labels whose share is less than a row
LARGE = 0.25  # a text with more than this part of validation, or of a label's rows, is too large to move

_MARKS = regex.compile(r"[\p{P}\p{Cc}\p{Cf}]+")
_NUMBER = re.compile(r"(?<![^\W_])\d+(?:[.,:/-]\d+)*")  # not the one of A4 or covid19, which are names


def text_keys(text: str) -> tuple[str, str]:
    """Two keys: texts with the same first one differ only in case, width, blanks and punctuation; with the same second, in numbers too."""
    plain = normalize("NFKC", text.casefold()).casefold()
    exact = _strip(plain)
    numbers = _NUMBER.sub("0", plain)
    loose = exact if numbers == plain else _strip(numbers)
    return exact, exact if set(loose) == {"0"} else loose  # a text may be nothing but numbers


def _strip(text: str) -> str:
    """`text` without blanks and punctuation, unless it has nothing else."""
    joined = "".join(text.split())
    return _MARKS.sub("", joined) or joined


def hash_text(text: str, size: int = 8) -> int:
    """A number of `size` bytes for a text, the same in every process."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest(), "little")


def split_rows(rows: Sequence[Row], share: float, tasks: Sequence[TaskSpec], seed: int) -> tuple[Sequence[Row], Sequence[Row], list[str]]:
    """`rows` (at least 2) as (train, validation, sentences for the user); validation has about `share` of them, at most MAX_VALIDATION and
    at least one. Equal texts are on one side; so are nearly equal ones, unless they are so many that validation would lack a task or label.
    Train keeps a text with each label; every task has validation rows if train can spare a text. `seed` decides; order stays."""
    share = min(share, MAX_VALIDATION / len(rows))
    facts = _find_facts(rows, tasks)
    texts, is_one = _number_texts(facts, share, len(tasks))
    division = _Division(facts, texts, share, np.random.default_rng(seed))
    division.fill(len(tasks))
    is_validation = np.isin(texts, list(division.validation))
    notices = []
    if is_one:
        notices.append(f"all {len(rows):,} rows have the same text, so validation has it too and its scores say nothing. "
                       "Add rows with other texts.")
    elif near := int(np.isin(facts.loose[is_validation], facts.loose[~is_validation]).sum()):
        notices.append(f"{near:,} validation rows differ from training rows only in numbers, case or punctuation. There are too many such "
                       "rows to keep them on one side, so validation scores may be too good. Give a validation file with other texts.")
    if lost := division.left[1 + len(tasks):].count(0):
        notices.append("there are too few different texts to spare one from train. The labels that only validation has "
                       f"({lost}) never occur in training and will count as mistakes. Add rows.")
    return pick(rows, np.flatnonzero(~is_validation)), pick(rows, np.flatnonzero(is_validation)), notices


@dataclass(frozen=True)
class _Facts:
    """Rows as numbers: hashes of the keys of each text, and the traits of each row. A trait is a property whose share validation should
    have: 0 is being a row, 1 to the number of tasks being labelled for that task, then the labels. All traits of a row are its pattern."""

    exact: np.ndarray  # (rows)
    loose: np.ndarray  # (rows)
    patterns: np.ndarray  # (rows) hashes
    traits: array  # those of row i are traits[edges[i]:edges[i + 1]]
    edges: array
    rows_with: list[array]  # for each trait


def _find_facts(rows: Sequence[Row], tasks: Sequence[TaskSpec]) -> _Facts:
    first = 1 + len(tasks)
    numbers: dict[tuple[int, str], int] = {}
    facts = _Facts(*(np.zeros(len(rows), kind) for kind in (np.uint64, np.uint64, np.int64)), array("I"), array("Q", [0]),
                   [array("I") for _ in range(first)])
    for place, row in enumerate(rows):
        exact, loose = text_keys(row.text)
        facts.exact[place] = known = hash_text(exact)
        facts.loose[place] = known if loose == exact else hash_text(loose)
        mine = [0]
        for index, task in enumerate(tasks, 1):
            value = row.values.get(task.name)
            if value is not None:
                labels = dict.fromkeys(value.labels()) or [""]
                mine += [index, *(numbers.setdefault((index, label), first + len(numbers)) for label in labels)]
        mine.sort()
        facts.rows_with.extend(array("I") for _ in range(first + len(numbers) - len(facts.rows_with)))
        for trait in mine:
            facts.rows_with[trait].append(place)
        facts.patterns[place] = hash(tuple(mine))  # of whole numbers, so the same in every process
        facts.traits.extend(mine)
        facts.edges.append(len(facts.traits))
    return facts


def _number_texts(facts: _Facts, share: float, tasks: int) -> tuple[np.ndarray, bool]:
    """A number for the text of each row, and whether all have one text: then each row counts as a text of its own. Nearly equal texts share
    one, unless so many of a task or label are nearly equal that it could not have its share in validation: then the first key decides."""
    numbers = np.unique(facts.loose, return_inverse=True)[1]
    is_cut = np.zeros(len(numbers), bool)
    for trait, rows in enumerate(facts.rows_with):
        due = max(round(share * len(rows)), int(trait <= tasks))
        found, counts = np.unique(numbers[rows], return_counts=True)
        is_large = counts > max(1, LARGE * (len(rows) if trait else due))
        if counts[~is_large].sum() < due:
            is_cut[found[is_large]] = True
    numbers = np.unique(np.where(is_cut[numbers], facts.exact, facts.loose), return_inverse=True)[1]
    return (numbers, False) if numbers.any() else (np.arange(len(numbers)), True)


class _Division:
    """The texts in validation so far. For each trait, and then for each pattern: `due` is the number of rows with it that validation should
    have, `taken` the number it has, `left` the number of texts with it in train (no text of a pattern has to stay there)."""

    def __init__(self, facts: _Facts, texts: np.ndarray, share: float, random: np.random.Generator) -> None:
        self.facts, self.text_of, self.random = facts, texts, random
        self.order = array("q", np.argsort(texts, kind="stable").tobytes())
        self.edges = array("q", np.concatenate([[0], np.cumsum(np.bincount(texts))]).tobytes())
        counts = np.array([len(rows) for rows in facts.rows_with])
        _, patterns, sizes = np.unique(facts.patterns, return_inverse=True, return_counts=True)
        numbers = np.where(share * sizes < 1, 0, np.cumsum(share * sizes >= 1))  # all patterns that are due less than a row are one
        self.patterns = array("q", (len(counts) + numbers[patterns]).tobytes())
        self.due = (share * np.concatenate([counts, np.bincount(numbers, sizes)])).tolist()
        self.due[0] = max(1, round(self.due[0]))
        self.taken = [0] * len(self.due)
        self.left = [len(self._texts_with(trait)) for trait in range(len(counts))] + [len(texts) + 1] * (len(self.due) - len(counts))
        self.validation: set[int] = set()
        self.largest = 0.0
        self.unit = [1 / max(1, due) for due in self.due]
        self.lag = [due * unit for due, unit in zip(self.due, self.unit, strict=True)]  # of a full validation without the trait
        self.lead = [0.0] * len(self.due)

    def fill(self, tasks: int) -> None:
        """Move texts to validation until it has its share of everything; traits 1 to `tasks` are those of the tasks."""
        labels = self.random.permutation(np.arange(1 + tasks, len(self.facts.rows_with))).tolist()
        rare = sorted((label for label in labels if self.due[label] < 1 and self.left[label] > 2), key=self.left.__getitem__, reverse=True)
        rarest = sorted([*labels, *range(tasks, -1, -1)], key=self.due.__getitem__)
        for largest in (LARGE * self.due[0], self.due[0]):
            self.largest = max(1, largest)
            for task in range(1, 1 + tasks):
                self._take(task, 1)
            for label in rare:
                if self.taken[0] < RARE * self.due[0]:
                    self._take(label, 1)
            for trait in rarest:
                self._take(trait, self.due[trait])
        for task in range(1, 1 + tasks):
            if not self.taken[task]:  # none was small enough
                self._force(filter(self._is_spare, self._texts_with(task).tolist()))
        if not self.validation:
            self._force(range(len(self.edges) - 1))

    def _take(self, trait: int, wanted: float) -> None:
        """Move texts with `trait` until validation has `wanted` rows with it: each time the best of a few drawn at random."""
        if self.taken[trait] + 0.5 >= wanted:
            return
        texts = self._texts_with(trait)
        waiting = cycle(map(int, self.random.permutation(texts)))
        while self.taken[trait] + 0.5 < wanted:
            room = min(self.largest, self.due[0] - self.taken[0])
            spare = (text for text in islice(waiting, len(texts)) if self._size(text) <= room and self._is_spare(text))
            if not (drawn := list(islice(spare, DRAWN))):
                return
            self._move(max(drawn, key=self._worth))

    def _force(self, texts: Iterable[int]) -> None:
        """Move one of the `texts` with the fewest rows, if there are any."""
        if found := list(texts):
            least = min(map(self._size, found))
            self._move(int(self.random.choice([text for text in found if self._size(text) == least])))

    def _texts_with(self, trait: int) -> np.ndarray:
        return np.unique(self.text_of[self.facts.rows_with[trait]])

    def _size(self, text: int) -> int:
        return self.edges[text + 1] - self.edges[text]

    def _traits(self, text: int) -> list[int]:
        """The traits and patterns of all rows with `text`."""
        found: list[int] = []
        for row in self.order[self.edges[text]:self.edges[text + 1]]:
            found += self.facts.traits[self.facts.edges[row]:self.facts.edges[row + 1]]
            found.append(self.patterns[row])
        return found

    def _is_spare(self, text: int) -> bool:
        """Whether `text` is in train, where another text has each of its traits too."""
        return text not in self.validation and min(map(self.left.__getitem__, self._traits(text))) > 1

    def _worth(self, text: int) -> float:
        """How far validation is behind with the traits of `text`, compared with how full it is; 0 if it is not behind."""
        traits = self._traits(text)
        full = self.taken[0] / self.due[0]
        return (full * sum(map(self.lag.__getitem__, traits)) - sum(map(self.lead.__getitem__, traits))) / self._size(text)

    def _move(self, text: int) -> None:
        traits = self._traits(text)
        self.validation.add(text)
        for trait in traits:
            self.taken[trait] += 1
            self.lead[trait] = self.taken[trait] * self.unit[trait]
        for trait in set(traits):
            self.left[trait] -= 1
