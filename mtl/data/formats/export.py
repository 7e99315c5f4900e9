"""What is known of a whole file while its samples are read one by one, and the words in which what is left out of them is told."""

import json
import re
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

from mtl.data.formats.files import Source, show
from mtl.text import inflect

LEFT_OUT: dict[str, str] = json.loads(Path(__file__).with_name("left_out.json").read_text(encoding="utf-8"))


class Annotated(dict):
    """A sample that an annotator has finished: where it lacks a list of entities, it has none; it is not unlabelled."""


class Export:
    """A file of samples while it is read: its name, its text if it is held whole, and how often something is left out of its samples."""

    def __init__(self, name: str = "", text: str = "") -> None:
        self.name, self.text = name, text
        self.header: list[str] = []  # the names of columns, where samples are lists
        self.several: set[str] = set()  # questions that were answered with several labels at once
        self.single: set[str] = set()  # those that were answered with lists of one label, as others are with several
        self.plain: set[tuple[str, ...]] = set()  # the keys of objects that need no reading: see `is_plain`
        self._left: Counter[tuple[str, str, str]] = Counter()

    def leave(self, what: str, name: str = "", kind: str = "", count: int = 1) -> None:
        """Count something that is left out: `what` is a key of LEFT_OUT, `name` and `kind` are the file's own words for it."""
        if count:
            self._left[what, name, kind] += count

    def tell(self, source: Source) -> None:
        """Keep a sentence for each thing that was left out, and which columns hold several labels."""
        source.guesses |= dict.fromkeys(self.single, ("class", "")) | dict.fromkeys(self.several, ("labels", ""))
        for (what, name, kind), count in self._left.items():
            source.notice(inflect(LEFT_OUT[what], count, name=show(name), kind=show(kind)) + ".")

    @cached_property
    def is_html(self) -> bool:
        """Whether the texts are HTML that was labelled as it looks in a browser."""
        return '"hypertextlabels"' in self.text

    @cached_property
    def choices(self) -> frozenset[str]:
        """The questions of Label Studio's JSON-MIN that some sample answers with several choices; a single one is written as a text."""
        return frozenset(re.findall(r'"([^"\\]+)"\s*:\s*\{\s*"choices"', self.text))


def dicts(value: object) -> list[dict[str, Any]]:
    """The objects in a list; none if it is no list."""
    return [part for part in value if isinstance(part, dict)] if isinstance(value, list) else []


def texts(value: object) -> list[str]:
    """The texts in a list; none if it is no list."""
    return [part for part in value if isinstance(part, str)] if isinstance(value, list) else []


def without(sample: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The sample without these keys."""
    return {key: part for key, part in sample.items() if key not in keys}
