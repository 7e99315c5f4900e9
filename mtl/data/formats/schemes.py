"""The schemes of tags (IOB1, IOB2, BIOES, BILOU, bare types), the separators of several labels in one cell, and how to tell which."""

import re
from collections.abc import Iterable, Sequence

from mtl.data.words import Range, Span, tags_to_spans
from mtl.errors import MtlError
from mtl.settings.config import MAX_LABELS

TAG = re.compile(r"O|[BIESLU]-\S.*", re.DOTALL)
_BARE = re.compile(r"(?![BIESLUbieslu]([-_]|$))(?!.-)(?!-)(?!o$)\S.*", re.DOTALL)  # a type without a prefix, and no slip of the pen
SEPARATORS = ("|", "#", ";", ",")  # between several labels in one cell
YES, NO = {"1", "1.0", "true", "yes", "x"}, {"0", "0.0", "false", "no"}  # values of a column for one label
ONLY_YES = "only yes"
MANY = 1_000  # different types that no column of tags has, but every column of words


class TagSurvey:
    """Counts the tags of a column, sentence by sentence, to find their scheme."""

    def __init__(self) -> None:
        self.prefixes: set[str] = set()
        self.loose = 0  # I- tags that continue nothing: usual in IOB1, an error in IOB2
        self.needless = 0  # B- tags that IOB1 would have written as I-
        self.bare = self.prefixed = 0  # tags without and with a prefix
        self.numbers = False
        self.types: set[str] = set()

    @property
    def marks_entities(self) -> bool:
        """Whether some words have a tag and others have none; parts of speech, which every word has, mark no entities."""
        return not self.bare or ("O" in self.prefixes and (self.prefixed > 0 or len(self.types) <= MAX_LABELS))

    def add(self, tags: Sequence[object]) -> None:
        if len(self.types) > MANY:
            return
        before = ""
        for tag in tags:
            if not isinstance(tag, str):
                self.numbers = True
                continue
            if tag == before:  # most tags are an O after an O
                continue
            if TAG.fullmatch(tag):
                prefix, same = tag[0], before[1:] == tag[1:]
                self.types.add(tag[2:])
                self.prefixes.add(prefix)
                self.prefixed += prefix != "O"
                self.loose += prefix == "I" and not same
                self.needless += prefix == "B" and not same
            elif _BARE.fullmatch(tag):
                self.bare += 1
                self.types.add(tag)
            before = tag
        self.types.discard("")

    @property
    def scheme(self) -> str:
        """IOB2, IOB1, BIOES, BILOU, or 'bare' for types without prefixes; raises MtlError if two schemes are mixed."""
        bioes, bilou = self.prefixes & {"E", "S"}, self.prefixes & {"L", "U"}
        if bioes and bilou:
            raise MtlError(f"the tags mix two schemes: BIOES ({'-, '.join(sorted(bioes))}-) and BILOU ({'-, '.join(sorted(bilou))}-). "
                           "Use one of them.")
        if bioes or bilou:
            return "BIOES" if bioes else "BILOU"
        if self.bare and not self.prefixed:
            return "bare"
        return "IOB1" if self.loose and not self.needless else "IOB2"


def to_spans(words: Sequence[Range], tags: Sequence[str], scheme: str) -> list[Span]:
    """The spans that `tags`, one per word, mark in `scheme`, as conlleval reads them: any tag may follow any other."""
    bio: list[str] = []  # the same tags in BIO, where every entity begins with B-
    inside = ""  # the type of the entity that the word before left open
    for tag in tags:
        prefix, _, label = ("O", "", "") if tag == "O" else ("I", "-", tag) if scheme == "bare" else tag.partition("-")
        bio.append("O" if not label else ("B-" if prefix in ("B", "S", "U") or label != inside else "I-") + label)
        inside = "" if prefix in ("E", "S", "L", "U") else label
    return tags_to_spans(words, bio)


def find_separator(values: Iterable[str]) -> str:
    """The mark between several labels in one cell: every part must be the whole of another cell; empty if there is none."""
    alone = set(values)
    for mark in SEPARATORS:
        parts = {part.strip() for value in alone if mark in value for part in value.split(mark)}
        if parts and parts <= alone and not all(part.isnumeric() for part in parts):  # 1,5 is a number
            return mark
    return ""
