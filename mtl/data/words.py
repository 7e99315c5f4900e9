"""Words of a text as character ranges, with their first subwords, and entities on them as BIO tags and as character spans."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import regex

Range = tuple[int, int]

# A character of a script that is written without blanks is a word of its own; so are runs of letters, digits, marks and joiners
# (Merkel's is three words, so that an entity can end before the apostrophe), and any other visible grapheme.
_WORD = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*"
    r"|[\w\p{M}\p{Cf}]+"
    r"|(?=[^\s\p{C}])\X"
)
_BETWEEN_BLANKS = (re.compile(r"[^ \t\r\n]+"), re.compile(r"\S+"))  # the second is str.split, with the places


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """An entity: the characters `start` to `end` (exclusive) of a text, and its label."""

    start: int
    end: int
    label: str


def find_words(text: str) -> list[Range]:
    """The words of raw `text`, in order and without overlap, as (start, end) characters."""
    return [match.span() for match in _WORD.finditer(text)]


def split_at_blanks(text: str, count: int) -> list[Range] | None:
    """The words between blanks, if there are `count`, else None. Some tools cut at no-break spaces too, others do not."""
    both = ([match.span() for match in pattern.finditer(text)] for pattern in _BETWEEN_BLANKS)
    return next((words for words in both if len(words) == count), None)


def first_subwords(text: str, words: Sequence[Range], offsets: Sequence[Range]) -> list[int]:
    """For each word the position of its first subword in `offsets`, or -1. `offsets` are the character ranges of the subwords, (0, 0) for
    special tokens. A subword belongs to the word with its first visible character: some tokenizers put the blank before a word into it."""
    firsts, word = [-1] * len(words), 0
    for position, (start, end) in enumerate(offsets):
        while start < end and text[start].isspace():
            start += 1
        while word < len(words) and words[word][1] <= start:
            word += 1
        if start < end and word < len(words) and words[word][0] <= start and firsts[word] < 0:
            firsts[word] = position
    return firsts


def tags_to_spans(words: Sequence[Range], tags: Sequence[str]) -> list[Span]:
    """The spans that BIO `tags`, one per word, mark; an I- that continues nothing begins an entity, as in conlleval."""
    spans: list[Span] = []
    first = last = 0
    inside = ""  # the label of the entity that lies between `first` and `last`
    for (start, end), tag in zip(words, tags, strict=True):
        prefix, _, label = ("O", "", "") if tag == "O" else tag.partition("-")
        if prefix == "I" and label == inside:
            last = end
            continue
        if inside:
            spans.append(Span(first, last, inside))
        first, last, inside = start, end, label
    return [*spans, Span(first, last, inside)] if inside else spans


def spans_to_tags(words: Sequence[Range], spans: Sequence[Span]) -> list[str]:
    """The BIO tags, one per word, of `spans` that start and end on word edges and do not overlap."""
    tags = ["O"] * len(words)
    starts = {start: index for index, (start, _) in enumerate(words)}
    for span in spans:
        index, prefix = starts[span.start], "B-"
        while index < len(words) and words[index][1] <= span.end:
            tags[index], prefix = prefix + span.label, "I-"
            index += 1
    return tags


def are_edges(words: Sequence[Range], spans: Iterable[Span]) -> bool:
    """Whether all `spans` start and end on edges of `words`."""
    starts, ends = {start for start, _ in words}, {end for _, end in words}
    return all(span.start in starts and span.end in ends for span in spans)


def snap_to_words(words: Sequence[Range], span: Span) -> Span | None:
    """`span` widened to the edges of the words that it touches; None if it touches none."""
    touched = [word for word in words if word[0] < span.end and span.start < word[1]]
    return Span(touched[0][0], touched[-1][1], span.label) if touched else None
